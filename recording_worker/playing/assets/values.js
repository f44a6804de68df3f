// What a page wrote to its console, as a browser's console shows it: %s and the like filled in, and objects that unfold.
// All of it was recorded, so it is hostile: it becomes text, and of styles only what STYLES lists.
const PREVIEW_ENTRIES = 5, PREVIEW_TEXT = 60;
const MAX_ENTRIES = 1000; // of one object; the rest is counted

const COLOUR = /^(#[\da-f]{3,8}|[a-z]{3,30}|(rgb|hsl)a?\([\d\s.,%/deg]{1,40}\))$/i;
const LENGTHS = /^((\d{1,2}px|\d?\.?\dr?em|0)(\s+|$)){1,4}$/;
const STYLES = {
  color: COLOUR,
  background: COLOUR, // and no pictures
  "background-color": COLOUR,
  "font-weight": /^(bold|bolder|lighter|normal|[1-9]00)$/,
  "font-style": /^(italic|oblique|normal)$/,
  "text-decoration": /^(underline|overline|line-through|none)$/,
  padding: LENGTHS,
  "border-radius": LENGTHS,
};

// Return the pieces of a message: { text, style } or { value }.
function piecesOf(said) {
  if (!said.arguments.length) return [{ text: said.text || "(no text)" }];
  const values = said.arguments.map(parsedArgument);
  const pieces = [], rest = typeof values[0] === "string" ? filledIn(values, pieces) : values;
  for (const value of rest) {
    if (pieces.length) pieces.push({ text: " " });
    pieces.push(typeof value === "string" ? { text: value } : { value });
  }
  return pieces;
}

// rrweb records an argument as JSON. What is no JSON was cut.
function parsedArgument(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return text;
  }
  return typeof value === "string" ? value.replace(/\nEnd of stack for Error object$/, "") : value;
}

// Fill the values into the format, which is the first of them. Return the values that it does not use.
// The rules: https://console.spec.whatwg.org/#formatter
function filledIn([given, ...values], pieces) {
  let style = [], from = 0;
  const add = (text) => text && pieces.push({ text, style });
  const wanted = {
    s: (value) => add(typeof value === "string" ? value : preview(value)),
    d: (value) => add(String(Number.parseInt(value, 10))),
    f: (value) => add(String(Number.parseFloat(value))),
    o: (value) => pieces.push({ value }),
    c: (value) => { style = stylesOf(String(value)); },
  };
  [wanted.i, wanted.O] = [wanted.d, wanted.o];
  for (const found of given.matchAll(/%([sdifoOc%])/g)) {
    if (found[1] !== "%" && !values.length) break;
    add(given.slice(from, found.index));
    from = found.index + 2;
    if (found[1] === "%") add("%");
    else wanted[found[1]](values.shift());
  }
  add(given.slice(from));
  return values;
}

function stylesOf(css) {
  return css.split(";", 50).map((line) => line.split(":").map((part) => part.trim()))
    .filter(([name, value, ...more]) => !more.length && Object.hasOwn(STYLES, name) && STYLES[name].test(value));
}

// A value in one line, cut.
function preview(value, depth = 0) {
  if (typeof value === "string") {
    return JSON.stringify(value.length > PREVIEW_TEXT ? `${value.slice(0, PREVIEW_TEXT)}…` : value);
  }
  if (typeof value !== "object" || value === null) return String(value);
  const isList = Array.isArray(value), keys = Object.keys(value);
  const [begin, end] = isList ? ["[", "]"] : ["{", "}"];
  if (!keys.length) return begin + end;
  if (depth) return `${begin}…${end}`;
  const parts = keys.slice(0, PREVIEW_ENTRIES)
    .map((key) => (isList ? "" : `${key.slice(0, PREVIEW_TEXT)}: `) + preview(value[key], 1));
  if (keys.length > PREVIEW_ENTRIES) parts.push("…");
  return `${isList ? `(${keys.length}) ` : ""}${begin}${parts.join(", ")}${end}`;
}

function pieceNode({ text, style, value }) {
  if (text === undefined) return valueNode(value);
  const node = make("span", "", text);
  for (const [name, wanted] of style || []) node.style.setProperty(name, wanted);
  return node;
}

// An object unfolds. What is in it is made when it does so, since it may be much.
function valueNode(value) {
  const folds = typeof value === "object" && value !== null && Object.keys(value).length > 0;
  if (!folds) return make("span", `a-${typeof value}`, typeof value === "string" ? JSON.stringify(value) : preview(value));
  const node = make("details", "folds");
  node.append(make("summary", "", preview(value)));
  node.addEventListener("toggle", () => {
    node.closest(".row").classList.add("open"); // else only its first lines show
    const entries = Object.entries(value);
    for (const [key, inside] of entries.slice(0, MAX_ENTRIES)) {
      const entry = node.appendChild(make("div", "entry"));
      entry.append(make("b", "", `${key}: `), valueNode(inside));
    }
    if (entries.length > MAX_ENTRIES) {
      node.append(make("div", "entry", `… ${format.number(entries.length - MAX_ENTRIES)} more`));
    }
  }, { once: true });
  return node;
}

function plainText(pieces) {
  return pieces.map(({ text, value }) => (text === undefined ? preview(value) : text)).join("");
}
