"use strict";
// The page around the stage. All it shows of a recording it sets as text: nothing recorded ever becomes markup here.
(() => {
  const $ = (id) => document.getElementById(id);
  const SKIP_MIN_MS = 2000; // shorter pauses are not worth a jump
  const LEAD_MS = 500; // a jump ends this long before somebody does something
  const STEP_MS = 5000;
  const MAX_ROWS = 2000;

  const embedded = $("recording");
  const channel = new MessageChannel();
  const stage = channel.port1;
  const state = { window: -1, at: 0, playing: false, ready: false, skipped: 0 };
  let recording = null, rows = [], visits = [];

  // -- reading what there is

  async function get(path) {
    const response = await fetch(path);
    if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
    return response.text();
  }
  const recordingText = async () => (embedded ? embedded.textContent : get("recording.json"));
  const windowText = async (number) => (embedded ? $(`window-${number}`).textContent : get(`windows/${number}.jsonl`));

  // -- small helpers

  function make(tag, className, text) {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  }
  function clock(ms) {
    const seconds = Math.max(0, Math.floor(ms / 1000));
    const two = (number) => String(number).padStart(2, "0");
    const hours = Math.floor(seconds / 3600), minutes = Math.floor(seconds / 60) % 60;
    return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
  }
  const since = (at) => clock(at - recording.start);
  function date(at) {
    const day = new Date(at);
    return Number.isNaN(day.getTime()) ? "unknown" : day.toISOString().replace("T", " ").slice(0, 19);
  }
  function size(bytes) {
    const units = ["bytes", "kB", "MB", "GB"];
    let unit = 0;
    for (; bytes >= 1000 && unit < 3; unit += 1) bytes /= 1000;
    return `${unit ? bytes.toFixed(1) : bytes} ${units[unit]}`;
  }
  const number = (count) => (count || 0).toLocaleString("en");
  const several = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
  function list(target, facts) {
    for (const [name, value] of facts) {
      const pair = target.id === "facts" ? target.appendChild(make("div")) : target;
      pair.append(make("dt", "", name), make("dd", "", value));
    }
  }
  const current = () => recording.windows[state.window];
  const windowName = (index) => `Window ${index + 1}`;
  const many = () => recording.windows.length > 1;

  // -- playing

  const from = (window) => window.playableFrom;
  const within = (window, at) => Math.min(Math.max(at, from(window)), window.end);

  async function choose(index, at = null, play = state.playing) {
    const window = recording.windows[index];
    state.window = index;
    state.ready = false;
    pause();
    for (const [order, tab] of [...$("windows").children].entries()) tab.setAttribute("aria-selected", order === index);
    for (const [order, lane] of [...$("lanes").children].entries()) lane.classList.toggle("chosen", order === index);
    const playable = from(window) !== null;
    $("stage").hidden = !playable;
    $("toggle").disabled = !playable;
    $("begin").hidden = !playable || play;
    show(playable ? within(window, at === null ? from(window) : at) : window.start);
    tell(playable ? "Loading…" : window.unplayable);
    if (!playable) return;
    const text = await windowText(index);
    if (state.window !== index) return; // another window was chosen meanwhile
    state.playAfterLoad = play;
    stage.postMessage({ do: "load", number: index, text, at: state.at, speed: Number($("speed").value) });
  }

  function tell(text) {
    $("message").textContent = text || "";
    $("message").hidden = !text;
  }
  function play() {
    if (!state.ready) return;
    if (state.at >= current().end - 1) show(from(current()));
    state.playing = true;
    $("begin").hidden = true;
    tell("");
    stage.postMessage({ do: "play", at: state.at });
    drawToggle();
  }
  function pause() {
    state.playing = false;
    stage.postMessage({ do: "pause" });
    drawToggle();
  }
  function seek(at) {
    if (from(current()) === null) return;
    show(within(current(), at));
    if (state.ready) stage.postMessage({ do: "seek", at: state.at });
  }
  function drawToggle() {
    $("toggle").classList.toggle("playing", state.playing);
    $("toggle").setAttribute("aria-label", state.playing ? "Pause" : "Play");
  }

  // When nobody does anything now: when somebody does again, or the window ends.
  function pauseUntil(window, at) {
    if (window.active.some(([begin, end]) => at >= begin - LEAD_MS && at <= end)) return null;
    const next = window.active.find(([begin]) => begin > at);
    return next ? next[0] - LEAD_MS : window.end;
  }

  function show(at) {
    state.at = at;
    const length = recording.end - recording.start || 1;
    $("head").style.left = `${(100 * (at - recording.start)) / length}%`;
    $("now").textContent = since(at);
    $("timeline").setAttribute("aria-valuenow", Math.round(at - recording.start));
    $("timeline").setAttribute("aria-valuetext", since(at));
    const window = current();
    $("state").textContent = from(window) !== null && pauseUntil(window, at) !== null ? "Inactive" : "";
    mark(rows, at, true);
    const place = mark(visits, at, false);
    $("url").textContent = place ? place.item.url : "";
  }

  // Marks what is past and what is last of a list; returns that row.
  function mark(list, at, follow) {
    let last = null;
    for (const row of list) {
      const ahead = row.item.at > at;
      row.node.classList.toggle("ahead", ahead);
      row.node.classList.remove("current");
      if (!ahead && row.item.window === state.window) last = row;
    }
    if (last) {
      last.node.classList.add("current");
      if (follow && state.playing) reveal(last.node);
    }
    return last;
  }

  // Scrolls the console alone: not the page, as scrollIntoView would on a small screen.
  function reveal(node) {
    const log = $("log").getBoundingClientRect(), box = node.getBoundingClientRect();
    if (box.bottom > log.bottom) $("log").scrollTop += box.bottom - log.bottom;
    else if (box.top < log.top) $("log").scrollTop += box.top - log.top;
  }

  const heard = {
    ready({ number: loaded }) {
      if (loaded !== state.window) return;
      state.ready = true;
      tell("");
      if (state.playAfterLoad) play();
    },
    time({ at }) {
      if (!state.ready || typeof at !== "number" || !Number.isFinite(at)) return;
      const until = pauseUntil(current(), at);
      if (state.playing && $("skip").checked && until !== null && until - at > SKIP_MIN_MS) seek(until);
      else show(within(current(), at));
    },
    end() {
      if (!state.ready) return;
      state.playing = false;
      drawToggle();
      show(current().end);
    },
    skipped({ events }) {
      state.skipped += Number(events) || 0;
      $("skipped").textContent = `Events passed over, as they can't be played: ${number(state.skipped)}.`;
      $("skipped").hidden = false;
    },
    problem({ text }) {
      tell(String(text));
    },
  };
  stage.onmessage = ({ data }) => {
    const action = Object.hasOwn(heard, data.is) ? heard[data.is] : null;
    if (action) action(data);
  };

  // -- what is drawn once

  function drawHeader() {
    document.title = `Session ${recording.session}`;
    $("session").textContent = recording.session;
    list($("facts"), [
      ["Team", String(recording.team)],
      ["User", recording.user || "unknown"],
      ["Began", `${date(recording.start)} UTC`],
      ["Length", clock(recording.end - recording.start)],
      ["Size", size(recording.bytes)],
    ]);
    const playable = recording.windows.filter((window) => from(window) !== null);
    const verdict = $("verdict");
    verdict.classList.toggle("bad", playable.length < recording.windows.length || !playable.length);
    if (!playable.length) verdict.textContent = "Not playable";
    else if (playable.length < recording.windows.length)
      verdict.textContent = `${playable.length} of ${recording.windows.length} windows playable`;
    else {
      const begin = Math.min(...playable.map(from));
      verdict.textContent = begin - recording.start < 1000 ? "Playable from the start" : `Playable from ${since(begin)}`;
    }
    $("length").textContent = clock(recording.end - recording.start);
    $("timeline").setAttribute("aria-valuemin", 0);
    $("timeline").setAttribute("aria-valuemax", Math.round(recording.end - recording.start));
  }

  function drawWindows() {
    $("windows").hidden = !many();
    for (const [index, window] of recording.windows.entries()) {
      const tab = make("button", "", windowName(index));
      tab.append(make("small", "", `${since(window.start)}–${since(window.end)}`));
      tab.setAttribute("role", "tab");
      tab.title = window.id;
      tab.onclick = () => choose(index, state.at);
      $("windows").append(tab);
      $("lanes").append(lane(window, index));
    }
  }

  function lane(window, index) {
    const length = recording.end - recording.start || 1;
    const percent = (ms, of) => `${(100 * ms) / of}%`;
    const row = make("div", "lane");
    row.dataset.window = index;
    row.title = windowName(index);
    const span = row.appendChild(make("div", "span"));
    const own = window.end - window.start || 1;
    span.style.left = percent(window.start - recording.start, length);
    span.style.width = percent(window.end - window.start, length);
    for (const [begin, end] of window.active) {
      const part = span.appendChild(make("div", "active"));
      part.style.left = percent(begin - window.start, own);
      part.style.width = percent(end - begin, own);
    }
    const unseen = span.appendChild(make("div", "unseen"));
    unseen.title = "Before the first full snapshot: can't be played";
    unseen.style.width = percent((from(window) === null ? window.end : from(window)) - window.start, own);
    unseen.hidden = from(window) === window.start;
    for (const said of recording.console) {
      if (said.window !== index || said.level === "info") continue;
      const tick = row.appendChild(make("div", `mark ${said.level}`));
      tick.style.left = percent(said.at - recording.start, length);
    }
    return row;
  }

  function goTo(item) {
    if (item.window === state.window) seek(item.at);
    else choose(item.window, item.at);
  }

  function row(item, text, level) {
    const node = make("button", `row ${level}`);
    node.append(make("time", "", since(item.at)), make("span", "said", text));
    if (many()) node.append(make("small", "", String(item.window + 1)));
    if (many()) node.lastChild.title = windowName(item.window);
    node.onclick = () => goTo(item);
    return { item, node };
  }
  function fill(target, made) {
    target.replaceChildren(...made.map(({ node }) => {
      const entry = make("li");
      entry.append(node);
      return entry;
    }));
    return made;
  }

  function drawConsole() {
    const wanted = { "": ["info", "warn", "error"], warn: ["warn", "error"], error: ["error"] }[$("level").value];
    const words = $("search").value.toLowerCase();
    const found = recording.console.filter(
      (said) => wanted.includes(said.level) && said.text.toLowerCase().includes(words),
    );
    rows = fill($("log"), found.slice(0, MAX_ROWS).map((said) => row(said, said.text || "(no text)", said.level)));
    $("none").hidden = found.length > 0 && found.length <= MAX_ROWS;
    if (!recording.console.length) $("none").textContent = "The page wrote nothing to the console.";
    else if (!found.length) $("none").textContent = "No message matches.";
    else $("none").textContent = `${number(found.length - MAX_ROWS)} more: narrow the search.`;
    mark(rows, state.at, false);
  }

  function drawDetails() {
    const counts = recording.counts;
    list($("all"), [
      ["Session", recording.session],
      ["Team", String(recording.team)],
      ["User", recording.user || "unknown"],
      ["First event", `${date(recording.start)} UTC`],
      ["Last event", `${date(recording.end)} UTC`],
      ["Events", number(recording.events)],
      ["Full snapshots", number(counts.snapshots)],
      ["Size", `${size(recording.bytes)} in ${several(recording.files, "file")}`],
      ["Clicks", number(counts.clicks)],
      ["Key presses", number(counts.keypresses)],
      ["Mouse", `${number(counts.mouse)} events`],
      ["Console", `${number(counts.info)} info, ${several(counts.warn, "warning")}, ${several(counts.error, "error")}`],
      ...recording.windows.map((window, index) => [
        windowName(index),
        `${several(window.events, "event")}, ${since(window.start)}–${since(window.end)}, ` +
          (from(window) === null ? "not playable" : `playable from ${since(from(window))}`),
      ]),
    ]);
    const notes = ["Nothing is loaded from the network: images and fonts that are not in the recording are missing."];
    for (const text of [...recording.notes, ...notes]) $("notes").append(make("li", "", text));
  }

  // -- what the viewer does

  function timeAt(event) {
    const box = $("lanes").getBoundingClientRect();
    const part = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    return recording.start + part * (recording.end - recording.start);
  }
  function listen() {
    $("toggle").onclick = () => (state.playing ? pause() : play());
    $("begin").onclick = play;
    $("speed").onchange = () => stage.postMessage({ do: "speed", speed: Number($("speed").value) });
    $("level").onchange = $("search").oninput = drawConsole;
    $("copy").onclick = async () => {
      await navigator.clipboard.writeText(recording.session);
      $("copy").textContent = "Copied";
    };
    const line = $("timeline");
    line.onpointerdown = (event) => {
      line.setPointerCapture(event.pointerId);
      const lane = event.target.closest(".lane");
      if (lane && Number(lane.dataset.window) !== state.window) choose(Number(lane.dataset.window), timeAt(event));
      else seek(timeAt(event));
    };
    line.onpointermove = (event) => line.hasPointerCapture(event.pointerId) && seek(timeAt(event));
    for (const tab of $("tabs").children) tab.onclick = () => selectTab(tab);
    document.onkeydown = (event) => {
      if (event.target.matches("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === " " && !event.target.matches("button")) $("toggle").click();
      else if (event.key === "ArrowLeft") seek(state.at - STEP_MS);
      else if (event.key === "ArrowRight") seek(state.at + STEP_MS);
      else return;
      event.preventDefault();
    };
  }
  function selectTab(chosen) {
    for (const tab of $("tabs").children) {
      tab.setAttribute("aria-selected", tab === chosen);
      $(tab.getAttribute("aria-controls")).hidden = tab !== chosen;
    }
  }

  async function begin() {
    recording = JSON.parse(await recordingText());
    $("messages").textContent = number(recording.console.length);
    $("visits").textContent = number(recording.urls.length);
    drawHeader();
    drawWindows();
    drawDetails();
    visits = fill($("trail"), recording.urls.map((visit) => row(visit, visit.url, "")));
    if (!recording.windows.length) {
      tell("No event of this session can be read.");
      return;
    }
    listen();
    const best = recording.windows.findIndex((window) => from(window) !== null);
    await choose(Math.max(0, best), null, false);
    drawConsole();
  }

  // A data: document has an origin of its own, which nothing else has, this page neither. It may use that origin
  // (allow-same-origin), so that the player reaches the frame inside it that the recorded page is rebuilt in.
  function openStage() {
    const frame = make("iframe");
    frame.id = "stage";
    frame.title = "The recorded page";
    frame.setAttribute("sandbox", "allow-scripts allow-same-origin");
    frame.onload = () => frame.contentWindow.postMessage("port", "*", [channel.port2]);
    frame.src = $("screen").dataset.stage;
    $("screen").prepend(frame);
  }

  const failed = (error) => {
    const hint = embedded ? "" : " Is recording-worker still running?";
    tell(`The recording can't be read: ${error.message}.${hint}`);
  };
  openStage();
  begin().catch(failed);
  addEventListener("unhandledrejection", (event) => failed(event.reason));
})();
