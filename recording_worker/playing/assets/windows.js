// The windows of a session: their names, their tabs, and their lanes on the time line.

// Name each window by the page that it showed longest, if a page is known.
function nameWindows({ windows, urls }) {
  const stays = windows.map(() => new Map()), shown = windows.map(() => null);
  const leave = (index, until) => {
    const visit = shown[index];
    if (visit) stays[index].set(visit.url, (stays[index].get(visit.url) || 0) + until - visit.at);
  };
  for (const visit of urls) {
    leave(visit.window, visit.at);
    shown[visit.window] = visit;
  }
  const pages = windows.map((window, index) => {
    leave(index, window.end);
    const longest = [...stays[index]].reduce((best, stay) => (best && best[1] >= stay[1] ? best : stay), null);
    return longest ? pageName(longest[0]) : { host: "", path: "" };
  });
  const several = new Set(pages.map(({ host }) => host).filter(Boolean)).size > 1;
  for (const [index, { host, path }] of pages.entries()) {
    windows[index].page = (several ? host : "") + path;
    windows[index].name = `Window ${index + 1}${path ? `: ${windows[index].page}` : ""}`;
  }
}

function pageName(url) {
  try {
    const { host, pathname, hash } = new URL(url);
    return { host, path: decodeURI(pathname + (hash.startsWith("#/") ? hash : "")) };
  } catch (error) {
    return { host: "", path: url };
  }
}

// Return the index of the window in which the user did most, of those that can be played; -1 if there is none.
// `at`: prefer those that show something at that time.
function busiestWindow(windows, at) {
  const activity = ({ active }) => active.reduce((sum, [begin, end]) => sum + end - begin + 1, 0);
  const showsThen = (window) => at !== null && window.playableFrom <= at && at <= window.end;
  const rank = (window) => [Number(showsThen(window)), activity(window), window.events];
  let best = -1, bestRank = [];
  for (const [index, window] of windows.entries()) {
    if (window.playableFrom === null) continue;
    const own = rank(window), differs = own.findIndex((value, place) => value !== bestRank[place]);
    if (best < 0 || (differs >= 0 && own[differs] > bestRank[differs])) [best, bestRank] = [index, own];
  }
  return best;
}

function windowTab(window, index, since) {
  const tab = make("button");
  tab.append(make("b", "", window.page ? String(index + 1) : window.name));
  if (window.page) tab.append(make("span", "", window.page));
  tab.append(make("small", "", `${since(window.start)}–${since(window.end)}`));
  tab.setAttribute("role", "tab");
  tab.title = `${window.name} (${window.id})`;
  return tab;
}

function windowLane(window, index, recording, happenings) {
  const length = recording.end - recording.start || 1;
  const percent = (ms, of) => `${(100 * ms) / of}%`;
  const row = make("div", "lane");
  row.dataset.window = index;
  row.title = window.name;
  const span = row.appendChild(make("div", "span"));
  const own = window.end - window.start || 1;
  span.style.left = percent(window.start - recording.start, length);
  span.style.width = percent(window.end - window.start, length);
  for (const [begin, end] of window.active) {
    const part = span.appendChild(make("div", "active"));
    part.style.left = percent(begin - window.start, own);
    part.style.width = percent(end - begin, own);
  }
  const unseen = span.appendChild(make("div", "unseen"));
  unseen.title = "Before the first full snapshot: can't be played";
  unseen.style.width = percent((window.playableFrom ?? window.end) - window.start, own);
  unseen.hidden = window.playableFrom === window.start;
  drawMarks(row, happenings.filter((item) => item.window === index), recording);
  return row;
}
