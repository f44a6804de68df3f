// The page around the stage. It shows all recorded data as text: nothing recorded ever becomes markup here.
(() => {
  const $ = (id) => document.getElementById(id);
  const SKIP_MIN_MS = 2000; // shorter pauses are not worth a jump
  const LEAD_MS = 500; // a jump ends this long before the user does something
  const STEP_MS = 5000;
  const JUMP_SHOWN_MS = 3000;
  const GOES_ON_MS = 1000; // ignore another window that ends less than this after the current one

  const embedded = $("recording");
  const channel = new MessageChannel();
  const stage = channel.port1;
  const state = { window: -1, at: 0, playing: false, begun: false, ready: false, skipped: 0, turn: 0 };
  let recording = null, happenings = [], tabs = {}, tab = null;

  // -- reading the recording

  async function get(path) {
    const response = await fetch(path);
    if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
    return response.text();
  }
  const recordingText = async () => (embedded ? embedded.textContent : get("recording.json"));
  const windowText = async (number) => (embedded ? $(`window-${number}`).textContent : get(`windows/${number}.jsonl`));

  // -- small helpers

  const { number } = format;
  const since = (at) => format.clock(at - recording.start);
  const current = () => recording.windows[state.window];
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
    for (const all of [$("windows"), $("lanes")]) reveal(all, all.children[index]);
    const playable = from(window) !== null;
    $("screen").classList.add("blank"); // hides the previous window until this one can be seen
    $("toggle").disabled = true;
    $("begin").hidden = !playable || state.begun;
    show(playable ? within(window, at === null ? from(window) : at) : window.start);
    tell(playable ? "Loading…" : window.unplayable);
    if (!playable) return;
    let text;
    try {
      text = await windowText(index);
    } catch (error) {
      if (state.window === index) failed(error);
      return;
    }
    if (state.window !== index) return; // the viewer has chosen another window meanwhile
    state.playAfterLoad = play;
    order("load", { number: index, text, speed: Number($("speed").value) });
  }

  // Order the stage to go to the time shown. Messages of the stage from an earlier turn are out of date.
  function order(what, more) {
    state.turn += 1;
    stage.postMessage({ do: what, at: state.at, turn: state.turn, ...more });
  }
  function failed(error) {
    const hint = embedded ? "" : " Is recording-worker still running?";
    tell(`The recording can't be read: ${error.message}.${hint}`);
  }
  function tell(text) {
    $("message").textContent = text || "";
    $("message").hidden = !text;
  }
  function play() {
    if (!state.ready) return;
    if (state.at >= current().end - 1) show(from(current()));
    state.playing = true;
    hideBegin();
    tell("");
    order("play");
    drawToggle();
  }
  function pause() {
    state.playing = false;
    stage.postMessage({ do: "pause" });
    drawToggle();
  }
  function hideBegin() {
    state.begun = true;
    $("begin").hidden = true;
  }
  function seek(at) {
    if (from(current()) === null) return;
    hideBegin();
    show(within(current(), at));
    if (state.ready) order("seek");
  }
  function sayJump(length) {
    $("jump").textContent = `Skipped ${format.clock(length)} of inactivity`;
    $("jump").hidden = false;
    clearTimeout(state.jumped);
    state.jumped = setTimeout(() => { $("jump").hidden = true; }, JUMP_SHOWN_MS);
  }
  function drawToggle() {
    $("toggle").classList.toggle("playing", state.playing);
    $("toggle").setAttribute("aria-label", state.playing ? "Pause" : "Play");
  }

  // If the user is inactive at this time: when activity begins again, or when the window ends. Otherwise null.
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
    follow();
    const place = recording.urls.findLast((visit) => visit.at <= at && visit.window === state.window);
    $("url").textContent = place ? place.url : "";
  }

  // Only the list that can be seen follows the time.
  function follow() {
    if (tab) tab.show(state.at, state.window);
  }

  // Return which window continues when this one ends, the first to show something; -1 if there is no such window.
  function nextWindow() {
    const end = current().end;
    const goOn = recording.windows.filter((window) => from(window) !== null && window.end > end + GOES_ON_MS);
    const begins = (window) => Math.max(from(window), end);
    return recording.windows.indexOf(goOn.toSorted((one, other) => begins(one) - begins(other))[0]);
  }

  const heard = {
    ready({ number: loaded }) {
      if (loaded !== state.window) return;
      state.ready = true;
      $("screen").classList.remove("blank");
      $("toggle").disabled = false;
      tell("");
      if (state.playAfterLoad) play();
    },
    time({ at, turn }) {
      if (!state.ready || turn !== state.turn || typeof at !== "number" || !Number.isFinite(at)) return;
      const until = pauseUntil(current(), at);
      if (state.playing && $("skip").checked && until !== null && until - at > SKIP_MIN_MS) {
        sayJump(until - at);
        seek(until);
      } else {
        show(within(current(), at));
      }
    },
    end({ turn }) {
      if (!state.ready || turn !== state.turn) return;
      const { end } = current(), next = nextWindow();
      show(end);
      if (next >= 0) {
        choose(next, end, true);
      } else {
        state.playing = false;
        drawToggle();
      }
    },
    skipped({ events }) {
      state.skipped += Number(events) || 0;
      $("skipped").textContent = `Events that can't be played, and are skipped: ${number(state.skipped)}.`;
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

  // -- drawing

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
    drawMarks(row, happenings.filter((item) => item.window === index), recording);
    return row;
  }

  // Go to the next or the previous of what happened, in any window.
  function step(direction) {
    const next = nextHappening(happenings, state.at, direction);
    if (next) goTo(next);
  }

  function goTo(item) {
    if (item.window === state.window) seek(item.at);
    else choose(item.window, item.at);
  }

  // The number of an item's window, for its row, if there are several.
  function windowOf(item) {
    const node = make("small", "", many() ? String(item.window + 1) : "");
    if (many()) node.title = windowName(item.window);
    return node;
  }
  function drawTabs() {
    const around = { goTo, since, windowOf };
    const steps = stepsTab(happenings, around);
    tabs = { console: consoleTab(recording, around), network: networkTab(recording, around), steps };
    tab = tabs.console;
  }

  // -- listening to the viewer

  function partAt(event) {
    const box = $("lanes").getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  }
  const timeAt = (event) => recording.start + partAt(event) * (recording.end - recording.start);

  function listenAside() {
    for (const button of $("tabs").children) button.onclick = () => selectTab(button);
    $("copy").onclick = async () => {
      try {
        await navigator.clipboard.writeText(recording.session);
        $("copy").textContent = "Copied";
      } catch (error) {
        getSelection().selectAllChildren($("session")); // the browser refuses; the viewer can use Ctrl-C
      }
    };
  }
  function listenPlayer() {
    $("toggle").onclick = () => (state.playing ? pause() : play());
    $("begin").onclick = play;
    $("speed").onchange = () => stage.postMessage({ do: "speed", speed: Number($("speed").value) });
    const line = $("timeline");
    line.onpointerdown = (event) => {
      line.setPointerCapture(event.pointerId);
      const lane = event.target.closest(".lane");
      if (lane && Number(lane.dataset.window) !== state.window) choose(Number(lane.dataset.window), timeAt(event));
      else seek(timeAt(event));
    };
    line.onpointermove = (event) => {
      const near = markAt(happenings, timeAt(event), ((recording.end - recording.start) * 4) / $("lanes").clientWidth);
      $("peek").textContent = since(timeAt(event)) + (near ? ` ${near.text}` : "");
      $("peek").style.left = `${100 * partAt(event)}%`;
      if (line.hasPointerCapture(event.pointerId)) seek(timeAt(event));
    };
    document.onkeydown = (event) => {
      if (event.target.matches("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === " " && !event.target.matches("button")) $("toggle").click();
      else if (event.key === "ArrowLeft") seek(state.at - STEP_MS);
      else if (event.key === "ArrowRight") seek(state.at + STEP_MS);
      else if (event.key === "n") step(1);
      else if (event.key === "p") step(-1);
      else return;
      event.preventDefault();
    };
  }
  function selectTab(chosen) {
    for (const button of $("tabs").children) {
      button.setAttribute("aria-selected", button === chosen);
      $(button.getAttribute("aria-controls")).hidden = button !== chosen;
    }
    tab = tabs[chosen.getAttribute("aria-controls")] || null;
    if (recording.windows.length) follow();
  }

  async function begin() {
    recording = JSON.parse(await recordingText());
    $("length").textContent = since(recording.end);
    $("timeline").setAttribute("aria-valuemin", 0);
    $("timeline").setAttribute("aria-valuemax", Math.round(recording.end - recording.start));
    happenings = happeningsOf(recording);
    drawDetails(recording);
    drawWindows();
    listenAside();
    drawTabs();
    if (!recording.windows.length) {
      tell("No event of this session can be read.");
      $("toggle").disabled = true;
      return;
    }
    listenPlayer();
    const best = recording.windows.findIndex((window) => from(window) !== null);
    await choose(Math.max(0, best), null, false);
  }

  // A data: document has an origin of its own, which it shares with nothing, not even with this page. It may use that
  // origin (allow-same-origin), so that the player can reach the inner frame, in which it rebuilds the recorded page.
  function openStage() {
    const frame = make("iframe");
    frame.id = "stage";
    frame.title = "The recorded page";
    frame.setAttribute("sandbox", "allow-scripts allow-same-origin");
    frame.onload = () => frame.contentWindow.postMessage("port", "*", [channel.port2]);
    frame.src = $("screen").dataset.stage;
    $("screen").prepend(frame);
  }

  openStage();
  begin().catch(failed);
})();
