// What the page says about a recording: in short above it, and in full in the details.
function drawDetails(recording) {
  const { clock, size, number, several } = format;
  const { counts, notes, windows } = recording;
  const $ = (id) => document.getElementById(id);
  const since = (at) => clock(at - recording.start);
  const date = (at) => (windows.length ? format.date(at) : "unknown");

  function verdict() {
    const playable = windows.filter((window) => window.playableFrom !== null);
    if (!playable.length) return "Not playable";
    if (playable.length < windows.length) return `${playable.length} of ${windows.length} windows playable`;
    const begin = Math.min(...playable.map((window) => window.playableFrom));
    return begin - recording.start < 1000 ? "Playable from the start" : `Playable from ${since(begin)}`;
  }

  document.title = `Session ${recording.session}`;
  $("session").textContent = recording.session;
  const unplayable = windows.filter((window) => window.playableFrom === null);
  $("verdict").textContent = verdict() + (notes.length ? ", parts are missing" : "");
  $("verdict").classList.toggle("bad", unplayable.length > 0 || notes.length > 0 || !windows.length);
  $("messages").textContent = number(recording.console.length);

  const facts = [
    ["Team", String(recording.team)],
    ["User", recording.user || "unknown"],
    ["Began", date(recording.start)],
    ["Length", clock(recording.end - recording.start)],
    ["Size", size(recording.bytes)],
  ];
  for (const [name, value] of facts) {
    $("facts").appendChild(make("div")).append(make("dt", "", name), make("dd", "", value));
  }

  const all = [
    ["Session", recording.session],
    ["Team", String(recording.team)],
    ["User", recording.user || "unknown"],
    ["First event", date(recording.start)],
    ["Last event", date(recording.end)],
    ["Events", number(recording.events)],
    ["Full snapshots", number(counts.snapshots)],
    ["Size", `${size(recording.bytes)} in ${several(recording.files, "file")}`],
    ["Clicks", number(counts.clicks)],
    ["Key presses", number(counts.keypresses)],
    ["Mouse", several(counts.mouse, "event")],
    ["Console", `${number(counts.info)} info, ${several(counts.warn, "warning")}, ${several(counts.error, "error")}`],
    ...windows.map((window) => [
      window.name,
      `${several(window.events, "event")}, ${since(window.start)}–${since(window.end)}, ` +
        (window.playableFrom === null ? "not playable" : `playable from ${since(window.playableFrom)}`),
    ]),
  ];
  for (const [name, value] of all) $("all").append(make("dt", "", name), make("dd", "", value));
  const missing = "Nothing is loaded from the network: images and fonts that are not in the recording are missing.";
  for (const text of [...notes, missing]) $("notes").append(make("li", "", text));
}
