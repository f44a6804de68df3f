// A list of things that happened, in time order: it marks what is still ahead, and follows the time. The page shows at
// most MAX_ROWS of them.
const MAX_ROWS = 10_000;

// Scroll only this box. scrollIntoView would also scroll the page on a small screen.
function reveal(box, node) {
  const outer = box.getBoundingClientRect(), inner = node.getBoundingClientRect();
  if (inner.bottom > outer.bottom) box.scrollTop += inner.bottom - outer.bottom;
  else if (inner.top < outer.top) box.scrollTop += inner.top - outer.top;
  if (inner.right > outer.right) box.scrollLeft += inner.right - outer.right;
  else if (inner.left < outer.left) box.scrollLeft += inner.left - outer.left;
}

// `draw` makes an item's row. It has a `goTo` button, which leads to the item's time; `open` unfolds the row.
function timedList(box, { draw, open, goTo }) {
  let rows = [], latest = null;

  function row(item) {
    const node = draw(item);
    node.classList.add("row");
    node.onclick = (event) => {
      if (!getSelection().isCollapsed || event.target.closest(".more")) return; // the viewer selects text, or reads
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
      box.replaceChildren(...rows.map(({ entry }) => entry));
      latest = null;
    },
    // Mark what is past in this window. Scroll to the latest only once, so that the viewer can read other rows.
    show(at, window) {
      let last = null;
      for (const one of rows) {
        const ahead = one.item.at > at;
        one.node.classList.toggle("ahead", ahead);
        one.node.classList.remove("current");
        if (!ahead && one.item.window === window) last = one;
      }
      if (last) last.node.classList.add("current");
      if (last && last.item !== latest) reveal(box, last.node);
      latest = last && last.item;
    },
  };
}

// A search field and a choice above a list. `matches` says whether an item is wanted.
function filteredList({ box, none, search, choice, items, matches, empty, list }) {
  function fill() {
    const words = search.value.toLowerCase();
    const found = items.filter((item) => matches(item, words, choice.value));
    list.fill(found);
    none.hidden = found.length > 0 && found.length <= MAX_ROWS;
    if (!items.length) none.textContent = empty;
    else if (!found.length) none.textContent = "Nothing matches.";
    else none.textContent = `${format.number(found.length - MAX_ROWS)} more: narrow the search.`;
    box.hidden = !found.length;
  }
  choice.onchange = search.oninput = fill;
  fill();
}
