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
  let recording = null, happenings = [], tabs = {}, tab = null, address = null;

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
    order("load", { number: index, text, speed: speed() });
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
    if (state.begun) address.keep(at - recording.start, state.window);
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
      const tab = windowTab(window, index, since);
      tab.onclick = () => choose(index, state.at);
      $("windows").append(tab);
      $("lanes").append(windowLane(window, index, recording, happenings));
    }
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
    if (many()) node.title = recording.windows[item.window].name;
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
    $("speed").onchange = setSpeed;
    $("full").onclick = toggleFullScreen;
    $("full").hidden = !document.fullscreenEnabled;
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
    // the address itself may have been written since
    addEventListener("hashchange", ({ newURL }) => goToAddress(new URL(newURL).hash, state.window, state.playing));
    $("help-close").onclick = () => $("help").close();
    $("keys").onclick = listenToKeys($("help"), $("orders"), [
      { keys: [" "], shown: ["Space"], does: "Play and pause", run: () => $("toggle").click() },
      { keys: ["ArrowLeft"], shown: ["←"], does: "5 seconds back", run: () => seek(state.at - STEP_MS) },
      { keys: ["ArrowRight"], shown: ["→"], does: "5 seconds forward", run: () => seek(state.at + STEP_MS) },
      { keys: ["n"], shown: ["n"], does: "Next step", run: () => step(1) },
      { keys: ["p"], shown: ["p"], does: "Previous step", run: () => step(-1) },
      { keys: ["<", "-"], shown: ["<", "-"], does: "Slower", run: () => changeSpeed(-1) },
      { keys: [">", "+"], shown: [">", "+"], does: "Faster", run: () => changeSpeed(1) },
      { keys: ["f"], shown: ["f"], does: "Full screen, and back", run: toggleFullScreen },
    ]);
  }
  const speed = () => Number($("speed").value);
  function setSpeed() {
    stage.postMessage({ do: "speed", speed: speed() });
    remembered.write("speed", $("speed").value);
  }
  function changeSpeed(by) {
    const next = $("speed").options[$("speed").selectedIndex + by];
    if (!next) return;
    next.selected = true;
    setSpeed();
  }
  function recallSpeed() {
    const last = [...$("speed").options].find(({ value }) => value === remembered.read("speed"));
    if (last) last.selected = true;
  }
  async function toggleFullScreen() {
    try {
      await (document.fullscreenElement ? document.exitFullscreen() : $("player").requestFullscreen());
    } catch (error) {
      tell("This browser refuses full screen."); // as browsers do without a key or a click
    }
  }

  // Go to what an address asks for by its hash, or to the start of the given window.
  function goToAddress(hash, otherwise, play) {
    const asked = address.read(hash);
    const window = recording.windows[asked.window] ? asked.window : otherwise;
    const at = asked.after === null ? null : recording.start + asked.after;
    if (window !== state.window) return choose(window, at, play);
    if (at !== null) seek(at);
    return null;
  }
  function selectTab(chosen) {
    for (const button of $("tabs").children) {
      button.setAttribute("aria-selected", button === chosen);
      $(button.getAttribute("aria-controls")).hidden = button !== chosen;
    }
    tab = tabs[chosen.getAttribute("aria-controls")] || null;
    follow();
  }

  async function begin() {
    recording = JSON.parse(await recordingText());
    $("length").textContent = since(recording.end);
    $("timeline").setAttribute("aria-valuemin", 0);
    $("timeline").setAttribute("aria-valuemax", Math.round(recording.end - recording.start));
    readConsole(recording);
    happenings = happeningsOf(recording);
    address = timeInAddress(many(), recording.beginAfter);
    nameWindows(recording);
    recallSpeed();
    drawDetails(recording);
    drawWindows();
    listenAside();
    drawTabs();
    if (!recording.windows.length) {
      tell("No event of this session can be read.");
      $("toggle").disabled = true;
      follow();
      return;
    }
    listenPlayer();
    const { hash } = location;
    const { after } = address.read(hash);
    const best = busiestWindow(recording.windows, after === null ? null : recording.start + after);
    await goToAddress(hash, Math.max(0, best), false);
  }

  // The viewer's keys and clicks are for this page, so the frame takes no focus (inert).
  // A data: document has an origin of its own, which it shares with nothing, not even with this page. It may use that
  // origin (allow-same-origin), so that the player can reach the inner frame, in which it rebuilds the recorded page.
  function openStage() {
    const frame = make("iframe");
    frame.id = "stage";
    frame.title = "The recorded page";
    frame.inert = true;
    frame.setAttribute("sandbox", "allow-scripts allow-same-origin");
    frame.onload = () => frame.contentWindow.postMessage("port", "*", [channel.port2]);
    frame.src = $("screen").dataset.stage;
    $("screen").prepend(frame);
  }

  openStage();
  begin().catch(failed);
})();
