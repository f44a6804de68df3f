// What happened in a session, in one list and as marks on the time line: what the user did, which page was shown, and
// what went wrong.
const MARKS = 1000; // places for marks on a lane: more can't be told apart
const STEP_TEXT = 300; // characters of a console message; the console has all of it

function happeningsOf(recording) {
  const all = [
    ...recording.steps.map((step) => ({ ...step, trouble: step.rage || step.dead })),
    ...recording.urls.map(({ at, url, window }) => ({ at, window, kind: "page", text: url })),
    ...recording.console
      .filter((said) => said.level !== "info")
      .map(({ at, window, level, plain }) => ({
        at, window, kind: level, trouble: level === "error", text: plain.slice(0, STEP_TEXT),
      })),
    ...recording.requests
      .filter((request) => request.failed)
      .map((one) => ({
        at: one.at, window: one.window, kind: "failed", trouble: true,
        text: `${one.method || "GET"} ${one.url}: ${one.status || "no answer"}`,
      })),
  ];
  return all.sort((one, other) => one.at - other.at);
}

// Draw the marks of one window. Of those that stand in one place, the worst is seen.
function drawMarks(lane, happenings, recording) {
  const worst = ["event", "page", "input", "click", "warn", "failed", "rage", "error"];
  const length = recording.end - recording.start || 1;
  const places = new Map();
  for (const item of happenings) {
    const place = Math.round((MARKS * (item.at - recording.start)) / length);
    const kind = item.rage ? "rage" : item.kind;
    if (place < 0 || place > MARKS) continue;
    if (!places.has(place) || worst.indexOf(kind) > worst.indexOf(places.get(place))) places.set(place, kind);
  }
  for (const [place, kind] of places) {
    lane.appendChild(make("div", `mark ${kind}`)).style.left = `${(100 * place) / MARKS}%`;
  }
}

// Return what happened closest to a time, at most `reach` ms from it.
function markAt(happenings, at, reach) {
  let best = null;
  for (const item of happenings) {
    const far = Math.abs(item.at - at);
    if (far <= reach && (!best || far < Math.abs(best.at - at))) best = item;
  }
  return best;
}

function nextHappening(happenings, at, direction) {
  if (direction > 0) return happenings.find((item) => item.at > at + 1);
  return happenings.findLast((item) => item.at < at - 1);
}

function stepsTab(happenings, { goTo, since, windowOf }) {
  const $ = (id) => document.getElementById(id);

  function draw(item) {
    const node = make("div", `step ${item.kind === "failed" ? "error" : item.kind}`);
    const text = make("span", "said", item.text);
    if (item.rage) text.append(make("span", "badge", "rage click"));
    if (item.dead) text.append(make("span", "badge", "dead click"));
    node.append(make("button", "", since(item.at)), text, windowOf(item));
    return node;
  }
  function open(item, node) {
    if (!item.more || node.querySelector(".more")) return;
    const more = node.appendChild(make("div", "more"));
    more.append(make("pre", "", item.more));
  }

  const list = timedList($("trail"), { draw, open, goTo });
  $("stepped").textContent = format.number(happenings.length);
  return filteredList({
    box: $("trail"),
    none: $("nowhere"),
    search: $("step-search"),
    choice: $("step-kind"),
    items: happenings,
    matches: (item, words, kind) =>
      (!kind || item.kind === kind || (kind === "trouble" && item.trouble)) && item.text.toLowerCase().includes(words),
    empty: "No step was recorded.",
    list,
  });
}
