// The list of sessions. All that the server says of them was recorded, and so is shown as text only.
(() => {
  const $ = (id) => document.getElementById(id);
  const ROWS = 100;
  const TYPING_MS = 200; // how long to wait for more letters
  const AGAIN_MS = 2000; // how often to ask while the server still reads blocks
  const FIELDS = ["text", "place", "team", "since", "until", "playable", "errors", "clicks"];

  let sort = "start", reverse = false, shown = [], turn = 0, timer = null, last = "";

  // -- columns: what a cell shows of a session, and by what the server sorts it

  const figure = (value, className) => ({ text: format.number(value), className });
  // What only the lines of a session say is not known while they are unread, and never if they are encrypted.
  const told = (session, cell) => {
    if (session.encrypted) return { text: "encrypted", className: "none" };
    return session.unread ? { text: "…", className: "none", title: "Not read yet" } : cell;
  };
  const columns = [
    { name: "Session", kind: "id" },
    { name: "User", kind: "user", cell: ({ distinct_id: user }) => (user ? { text: user, title: user } : { text: "unknown", className: "none" }) },
    { name: "First page", kind: "page", cell: (session) => (session.url ? { text: session.url.replace(/^https?:\/\//, ""), title: session.url } : told(session, { text: "none", className: "none" })) },
    { name: "Began (UTC)", sort: "start", kind: "date", cell: ({ first_timestamp: at }) => ({ text: format.date(at).slice(0, 16), title: format.date(at) }) },
    { name: "Length", sort: "duration", kind: "figure", cell: (session) => ({ text: format.clock(session.last_timestamp - session.first_timestamp) }) },
    { name: "Clicks", sort: "clicks", kind: "figure", cell: (session) => told(session, figure(session.clicks, session.clicks ? "" : "none")) },
    { name: "Errors", sort: "errors", kind: "figure", cell: (session) => told(session, figure(session.errors, session.errors ? "bad" : "none")) },
    { name: "Events", sort: "events", kind: "figure", cell: ({ events }) => figure(events) },
    { name: "Size", sort: "size", kind: "figure extra", cell: ({ size }) => ({ text: format.size(size) }) },
    { name: "Playable", kind: "yes", cell: ({ playable }) => (playable ? { text: "yes", className: "good" } : { text: "no", className: "none" }) },
    { name: "Team", kind: "figure", cell: ({ team_id: team }) => ({ text: team }) },
  ];

  function row(session) {
    const node = make("tr");
    for (const { name, kind, cell } of columns) {
      const place = node.appendChild(make("td", kind));
      place.dataset.label = name;
      if (!cell) {
        const link = place.appendChild(make("a", "", session.session_id || "(no id)"));
        link.href = session.path; // made by the server: letters, digits, - and _
        link.title = session.session_id;
        continue;
      }
      const { text, className, title } = cell(session);
      const value = place.appendChild(make("span", className, text));
      if (title) value.title = title;
    }
    return node;
  }

  function drawHeads() {
    $("heads").replaceChildren(...columns.map((column) => {
      const head = make("th", column.kind);
      head.scope = "col";
      if (!column.sort) {
        head.textContent = column.name;
        return head;
      }
      if (column.sort === sort) head.setAttribute("aria-sort", reverse ? "ascending" : "descending");
      const button = head.appendChild(make("button", "", column.name));
      button.type = "button";
      button.dataset.sort = column.sort;
      button.onclick = () => {
        reverse = column.sort === sort && !reverse;
        sort = column.sort;
        drawHeads();
        document.querySelector(`[data-sort="${sort}"]`).focus();
        ask();
      };
      return head;
    }));
  }

  // -- asking

  const time = (id) => {
    const at = Date.parse(`${$(id).value}Z`);
    return Number.isNaN(at) ? null : at;
  };
  const count = (id) => Math.min(Math.max(0, Math.floor(Number($(id).value)) || 0), Number.MAX_SAFE_INTEGER);

  function wanted(offset, limit) {
    const playable = { true: true, false: false };
    return {
      [$("place").value]: $("text").value.toWellFormed().slice(0, 1000),
      team_id: $("team").value || null, // as text: a number of JavaScript may not hold it
      since: time("since"),
      until: time("until"),
      playable: $("playable").value in playable ? playable[$("playable").value] : null,
      min_errors: count("errors"),
      min_clicks: count("clicks"),
      sort, reverse, offset, limit,
    };
  }

  // Ask for sessions: the first ones, or those after the ones that are shown.
  async function ask(more = false) {
    clearTimeout(timer);
    turn += 1;
    const mine = turn;
    remember();
    const query = more ? wanted(shown.length, ROWS) : wanted(0, Math.max(ROWS, Math.min(shown.length, 500)));
    try {
      const response = await fetch(`found/${encodeURIComponent(JSON.stringify(query))}`);
      if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
      const text = await response.text();
      if (mine !== turn) return;
      draw(JSON.parse(text), more);
    } catch (error) {
      if (mine === turn) fail(error);
    }
  }

  function fail(error) {
    $("failed").textContent = `The sessions can't be listed: ${error.message}. Is recording-worker still running?`;
    $("failed").hidden = false;
  }

  function draw(found, more) {
    $("failed").hidden = true;
    const drawn = JSON.stringify(found.sessions);
    if (more) {
      shown.push(...found.sessions);
      $("sessions").append(...found.sessions.map(row));
    } else if (drawn !== last) { // rows that stay the same keep what the viewer has selected
      shown = found.sessions;
      $("sessions").replaceChildren(...shown.map(row));
    }
    last = more ? "" : drawn;
    const all = found.total === found.all;
    $("total").textContent = all ? format.several(found.all, "session") : `${format.number(found.total)} of ${format.several(found.all, "session")}`;
    $("none").hidden = found.total > 0;
    $("more").hidden = shown.length >= found.total;
    $("reading").hidden = !found.unread;
    $("reading").textContent = `${format.several(found.unread, "session")} not read yet: searches by address, console, errors and clicks don't find them.`;
    $("notes").replaceChildren(...found.notes.map((note) => make("li", "", note)));
    drawTeams(found.teams);
    if (found.reading) timer = setTimeout(ask, AGAIN_MS);
  }

  function drawTeams(teams) {
    const chosen = $("team").value;
    const options = teams.map((team) => new Option(team, team));
    if (chosen && !teams.includes(chosen)) options.push(new Option(chosen, chosen));
    $("team").replaceChildren(new Option("All", ""), ...options);
    $("team").value = chosen;
  }

  // -- what was asked for stands in the address; the tab keeps it too, for the link back from a session

  function remember() {
    const state = Object.fromEntries(FIELDS.map((id) => [id, $(id).value]));
    const kept = encodeURIComponent(JSON.stringify({ ...state, sort, reverse }));
    history.replaceState(null, "", `#${kept}`);
    sessionStorage.setItem("sessions", kept);
  }
  function recall() {
    let state = {};
    try {
      state = JSON.parse(decodeURIComponent(location.hash.slice(1) || sessionStorage.getItem("sessions"))) || {};
    } catch (error) {
      return; // no state, or not ours
    }
    const { team } = state;
    if (/^\d+$/.test(team)) $("team").append(new Option(team, team));
    for (const id of FIELDS) if (typeof state[id] === "string") $(id).value = state[id];
    if (!$("place").value) $("place").value = "anywhere";
    if (columns.some((column) => column.sort && column.sort === state.sort)) sort = state.sort;
    reverse = state.reverse === true;
  }

  function askSoon() {
    clearTimeout(timer);
    timer = setTimeout(ask, TYPING_MS);
  }

  $("asked").onsubmit = (event) => {
    event.preventDefault();
    ask();
  };
  for (const id of FIELDS) $(id).oninput = askSoon;
  $("clear").onclick = () => {
    $("asked").reset();
    sort = "start";
    reverse = false;
    drawHeads();
    ask();
  };
  $("more").onclick = () => ask(true);
  recall();
  drawHeads();
  ask();
})();
