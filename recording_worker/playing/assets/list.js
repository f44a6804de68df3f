// A list of things that happened: it marks what is still ahead, and follows the time. It shows at most MAX_ROWS of them.
const MAX_ROWS = 10_000;

// Scroll only this box. scrollIntoView would also scroll the page on a small screen.
function reveal(box, node) {
  const outer = box.getBoundingClientRect(), inner = node.getBoundingClientRect();
  if (inner.bottom > outer.bottom) box.scrollTop += inner.bottom - outer.bottom;
  else if (inner.top < outer.top) box.scrollTop += inner.top - outer.top;
  if (inner.right > outer.right) box.scrollLeft += inner.right - outer.right;
  else if (inner.left < outer.left) box.scrollLeft += inner.left - outer.left;
}

// Return the last of these rows, which are in time order, that is not after a time; null if there is none.
function lastUntil(rows, at) {
  let low = 0, high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle].item.at <= at) low = middle + 1;
    else high = middle;
  }
  return low ? rows[low - 1] : null;
}

// `draw` makes an item's row. It has a `goTo` button, which leads to the item's time; `open` unfolds the row.
function timedList(box, { draw, open, goTo }) {
  let rows = [], rowsOf = new Map(), edge = null, current = null;

  function row(item) {
    const node = draw(item);
    node.classList.add("row");
    node.onclick = (event) => {
      if (!getSelection().isCollapsed || event.target.closest(".more, details")) return; // the viewer reads
      node.classList.toggle("open");
      if (open) open(item, node);
      goTo(item);
    };
    const entry = make("li");
    entry.append(node);
    return { item, node, entry };
  }

  return {
    fill(items) {
      rows = items.slice(0, MAX_ROWS).map(row);
      rowsOf = Map.groupBy(rows, ({ item }) => item.window);
      box.replaceChildren(...rows.map(({ entry }) => entry));
      edge = current = null;
    },
    // Mark what is past, and the latest in this window. Scroll to it only once, so that the viewer can read other rows.
    // Few rows are touched, however many there are: a style sheet's rule shows all after the edge as ahead.
    show(at, window) {
      const past = lastUntil(rows, at), latest = lastUntil(rowsOf.get(window) || [], at);
      if (edge !== past) {
        if (edge) edge.entry.classList.remove("edge");
        if (past) past.entry.classList.add("edge");
        edge = past;
      }
      box.classList.toggle("ahead", !past);
      if (current === latest) return;
      if (current) current.node.classList.remove("current");
      if (latest) latest.node.classList.add("current");
      current = latest;
      if (latest) reveal(box, latest.node);
    },
  };
}

// A search field and a choice above a list. `matches` says whether an item is wanted. The list is made when it is first
// looked at.
function filteredList({ box, none, search, choice, items, matches, empty, list }) {
  const inOrder = items.toSorted((one, other) => one.at - other.at);
  let filled = false, shown = [0, 0];

  function fill() {
    const words = search.value.toLowerCase();
    const found = inOrder.filter((item) => matches(item, words, choice.value));
    list.fill(found);
    none.hidden = found.length > 0 && found.length <= MAX_ROWS;
    if (!items.length) none.textContent = empty;
    else if (!found.length) none.textContent = "Nothing matches.";
    else none.textContent = `${format.number(found.length - MAX_ROWS)} more: narrow the search.`;
    box.hidden = !found.length;
    filled = true;
  }
  choice.onchange = search.oninput = () => {
    fill();
    list.show(...shown);
  };
  return {
    show(...given) {
      shown = given;
      if (!filled) fill();
      list.show(...given);
    },
  };
}
