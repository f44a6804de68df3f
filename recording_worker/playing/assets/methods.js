// What console.group, table, count, time and assert show. rrweb records only their arguments, so a window's groups,
// counts and timers are followed from message to message.
const MAX_INDENT = 8; // groups inside each other that can be told apart
const MAX_COLUMNS = 20;

// Work out once what all messages say: { pieces, plain, depth, table }. What says nothing is taken out.
function readConsole(recording) {
  const windows = new Map();
  recording.console = recording.console.filter((said) => {
    if (!windows.has(said.window)) windows.set(said.window, { depth: 0, counts: new Map(), timers: new Map() });
    const known = windows.get(said.window);
    if (said.method === "groupEnd") {
      known.depth = Math.max(0, known.depth - 1);
      return false;
    }
    said.pieces = (methods[said.method] || piecesOf)(said, known);
    said.plain = plainText(said.pieces);
    said.depth = Math.min(known.depth, MAX_INDENT);
    if (said.method === "group" || said.method === "groupCollapsed") known.depth += 1;
    return true;
  });
}

const labelOf = (said) => {
  const label = said.arguments.length ? parsedArgument(said.arguments[0]) : "default";
  return typeof label === "string" ? label : preview(label);
};
// Return the pieces of all arguments but the first, with a text before them.
function piecesAfter(text, said) {
  const values = said.arguments.slice(1).map(parsedArgument);
  return [{ text }, ...values.flatMap((value) => [{ text: " " }, typeof value === "string" ? { text: value } : { value }])];
}
function passed(said, { timers }) {
  const label = labelOf(said);
  return piecesAfter(`${label}: ${timers.has(label) ? format.duration(said.at - timers.get(label)) : "no such timer"}`, said);
}
const group = (said) => [{ text: "▾ ", style: [] }, ...(said.arguments.length ? piecesOf(said) : [{ text: "console.group" }])];

const methods = {
  __proto__: null,
  group,
  groupCollapsed: group,
  assert: (said) => [{ text: "Assertion failed" }, ...(said.arguments.length ? [{ text: ": " }, ...piecesOf(said)] : [])],
  clear: () => [{ text: "Console was cleared", style: [["font-style", "italic"]] }],
  count(said, { counts }) {
    const label = labelOf(said), count = (counts.get(label) || 0) + 1;
    counts.set(label, count);
    return [{ text: `${label}: ${count}` }];
  },
  countReset(said, { counts }) {
    const label = labelOf(said);
    counts.delete(label);
    return [{ text: `${label}: counted from 0 again` }];
  },
  time(said, { timers }) {
    const label = labelOf(said);
    timers.set(label, said.at);
    return [{ text: `${label}: timer started` }];
  },
  timeLog: passed,
  timeEnd(said, known) {
    const pieces = passed(said, known);
    known.timers.delete(labelOf(said));
    return pieces;
  },
  table(said) {
    const value = said.arguments.length ? parsedArgument(said.arguments[0]) : null;
    if (typeof value !== "object" || value === null) return piecesOf(said);
    said.table = value;
    return [{ text: preview(value) }];
  },
};

// Draw the rows and columns of console.table.
function tableNode(value) {
  const isRow = (row) => typeof row === "object" && row !== null;
  const rows = Object.entries(value).slice(0, MAX_ENTRIES);
  const names = [...new Set(rows.flatMap(([, row]) => (isRow(row) ? Object.keys(row).slice(0, MAX_COLUMNS) : [])))];
  const columns = names.slice(0, MAX_COLUMNS), plain = rows.some(([, row]) => !isRow(row));
  const node = scrollable("div", "Table"), table = node.appendChild(make("table"));
  const head = table.appendChild(make("thead")).appendChild(make("tr"));
  head.append(...["(index)", ...columns, ...(plain ? ["value"] : [])].map((name) => make("th", "", name)));
  const cell = (row, name) => (isRow(row) && Object.hasOwn(row, name) ? preview(row[name]) : "");
  const body = table.appendChild(make("tbody"));
  for (const [index, row] of rows) {
    const texts = [index, ...columns.map((name) => cell(row, name)), ...(plain ? [isRow(row) ? "" : preview(row)] : [])];
    body.appendChild(make("tr")).append(...texts.map((text) => make("td", "", text)));
  }
  return node;
}
