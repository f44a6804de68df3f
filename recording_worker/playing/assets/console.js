// The console tab: what the page wrote, repeats in one row with a count.
const GROUP_INDENT = 14; // pixels

function consoleTab(recording, { goTo, since, windowOf }) {
  const $ = (id) => document.getElementById(id);
  const levels = { "": ["info", "warn", "error"], warn: ["warn", "error"], error: ["error"] };

  function draw(said) {
    const node = make("div", said.level);
    const text = make("span", "said");
    for (const piece of said.pieces) text.append(pieceNode(piece));
    if (said.depth) text.style.marginLeft = `${said.depth * GROUP_INDENT}px`;
    const right = make("span");
    if (said.times > 1) {
      const count = right.appendChild(make("span", "times", `${format.number(said.times)}×`));
      count.title = `${format.number(said.times)} times, until ${since(said.until)}`;
    }
    right.append(windowOf(said));
    node.append(make("button", "", since(said.at)), text, right);
    return node;
  }
  function open(said, node) {
    if (!(said.trace.length || said.table) || node.querySelector(".more")) return;
    const more = node.appendChild(make("div", "more"));
    if (said.table) more.append(tableNode(said.table));
    if (said.trace.length) more.append(make("h2", "", "Written at"), scrollable("pre", "Written at", said.trace.join("\n")));
  }

  return filteredList({
    box: $("log"),
    none: $("none"),
    search: $("search"),
    choice: $("level"),
    items: withoutRepeats(recording.console),
    matches: (said, words, level) => levels[level].includes(said.level) && said.plain.toLowerCase().includes(words),
    empty: "The page wrote nothing to the console.",
    list: timedList($("log"), { draw, open, goTo }),
  });
}

// Make one item of messages that follow each other and are alike. `times` counts them.
function withoutRepeats(messages) {
  const found = [], latest = new Map(); // the latest item of each window
  for (const said of messages) {
    const last = latest.get(said.window);
    if (last && isLike(last, said)) {
      last.times += 1;
      last.until = said.at;
    } else {
      const item = { ...said, times: 1, until: said.at };
      latest.set(said.window, item);
      found.push(item);
    }
  }
  return found;
}

function isLike(one, other) {
  const same = (list, others) => list.length === others.length && list.every((text, place) => text === others[place]);
  return one.level === other.level && one.depth === other.depth && one.plain === other.plain && same(one.arguments, other.arguments)
    && same(one.trace, other.trace);
}
