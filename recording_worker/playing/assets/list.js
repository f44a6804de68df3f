// A list of things that happened: it marks what is still ahead, except troubles, and follows the time. It shows at most MAX_ROWS of them.
const MAX_ROWS = 10_000;

// Scroll only this box. scrollIntoView would also scroll the page on a small screen.
function reveal(box, node) {
  const outer = box.getBoundingClientRect(), inner = node.getBoundingClientRect();
  if (inner.bottom > outer.bottom) box.scrollTop += inner.bottom - outer.bottom;
  else if (inner.top < outer.top) box.scrollTop += inner.top - outer.top;
  if (inner.right > outer.right) box.scrollLeft += inner.right - outer.right;
  else if (inner.left < outer.left) box.scrollLeft += inner.left - outer.left;
}

// Return how many of these items, which are in time order, are not after a time.
function countUntil(items, at) {
  let low = 0, high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (items[middle].at <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}

// `draw` makes an item's row. It has a `goTo` button, which leads to the item's time; `open` unfolds the row.
// The rows stand in parts of PART. What is not in view takes next to no time, because the browser does not style it,
// and in a long list the rows of a part are made when it comes into view.
function timedList(box, { draw, open, goTo }) {
  const PART = 100, MADE_AT_ONCE = 1000, ROW_HEIGHT = 31;
  let items = [], parts = [], ofWindow = new Map(), edge = null, past = 0, current = null;
  const comes = new IntersectionObserver((seen) => {
    for (const { isIntersecting, target } of seen) if (isIntersecting) makeRows(parts[Number(target.dataset.part)]);
  }, { root: box, rootMargin: "400px" });

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
    return entry;
  }
  function makeRows(part) {
    if (part.rows) return;
    part.rows = part.items.map(row);
    part.node.style.height = "";
    part.node.append(...part.rows);
    comes.unobserve(part.node);
  }
  const partOf = (place) => parts[Math.floor(place / PART)];
  function entryAt(place) {
    makeRows(partOf(place));
    return partOf(place).rows[place % PART];
  }

  return {
    fill(given) {
      comes.disconnect();
      items = given.slice(0, MAX_ROWS);
      parts = [];
      for (let from = 0; from < items.length; from += PART) {
        const part = { items: items.slice(from, from + PART), node: make("ol"), rows: null };
        part.node.style.height = `${ROW_HEIGHT * part.items.length}px`;
        part.node.style.containIntrinsicHeight = `auto ${part.node.style.height}`;
        part.node.className = "ahead";
        part.node.dataset.part = parts.length;
        parts.push(part);
        if (items.length <= MADE_AT_ONCE) makeRows(part);
        else comes.observe(part.node);
      }
      box.replaceChildren(...parts.map(({ node }) => node));
      ofWindow = Map.groupBy(items.map(({ at, window }, place) => ({ at, window, place })), ({ window: own }) => own);
      edge = current = null;
      past = 0;
    },
    // Mark what is past, and the latest in this window. Scroll to it only once, so that the viewer can read other rows.
    show(at, window) {
      const count = countUntil(items, at);
      if (count !== past) {
        const [from, to] = [Math.min(past, count), Math.max(past, count)].map((place) => Math.floor(place / PART));
        for (const [place, { node }] of parts.slice(from, to + 1).entries()) {
          node.classList.toggle("ahead", (from + place) * PART >= count);
        }
        if (edge) edge.classList.remove("edge");
        edge = count ? entryAt(count - 1) : null;
        if (edge) edge.classList.add("edge");
        past = count;
      }
      const own = ofWindow.get(window) || [], latest = own[countUntil(own, at) - 1];
      const entry = latest ? entryAt(latest.place) : null;
      if (entry === current) return;
      if (current) current.firstChild.classList.remove("current");
      if (entry) entry.firstChild.classList.add("current");
      current = entry;
      if (entry) reveal(box, entry.firstChild);
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
