// The console tab: what the page wrote.
function consoleTab(recording, { goTo, since, windowOf }) {
  const $ = (id) => document.getElementById(id);
  const levels = { "": ["info", "warn", "error"], warn: ["warn", "error"], error: ["error"] };

  function draw(said) {
    const node = make("div", said.level);
    node.append(make("button", "", since(said.at)), make("span", "said", said.text || "(no text)"), windowOf(said));
    return node;
  }

  const list = timedList($("log"), { draw, goTo });
  filteredList({
    box: $("log"),
    none: $("none"),
    search: $("search"),
    choice: $("level"),
    items: recording.console,
    matches: (said, words, level) => levels[level].includes(said.level) && said.text.toLowerCase().includes(words),
    empty: "The page wrote nothing to the console.",
    list,
  });
  return list;
}
