// The network tab: which requests the page made, how they went, and what was sent and answered.
const NEXT_BURST_MS = 1000; // a pause this long begins another waterfall

// Give each request its part of a waterfall: those that begin close to each other share one.
function waterfalls(requests) {
  const bars = new Map();
  let burst = [], begin = 0, end = -Infinity;
  const close = () => {
    const length = Math.max(end - begin, 1);
    for (const { request, ends } of burst) {
      bars.set(request, { left: (request.at - begin) / length, width: (ends - request.at) / length });
    }
  };
  for (const request of requests) {
    const ends = request.at + Math.min(request.duration || 0, 3_600_000);
    if (request.at > end + NEXT_BURST_MS) {
      close();
      [burst, begin, end] = [[], request.at, ends];
    }
    burst.push({ request, ends });
    end = Math.max(end, ends);
  }
  close();
  return bars;
}

function networkTab(recording, { goTo, since, windowOf }) {
  const $ = (id) => document.getElementById(id);
  const bars = waterfalls(recording.requests);
  const how = (request) => request.status || (request.failed ? "failed" : "–");

  function shortUrl(url) {
    try {
      const { host, pathname, search } = new URL(url);
      return { name: decodeURI(pathname + search), host };
    } catch (error) {
      return { name: url, host: "" };
    }
  }

  function draw(request) {
    const node = make("div", `request ${request.failed ? "error" : ""}`);
    const { name, host } = shortUrl(request.url);
    const text = make("span", "said");
    text.append(make("b", "", request.method || (request.kind || "")), ` ${name}`);
    text.title = request.url;
    const line = make("span", "quietly");
    const size = request.bytes === null ? "" : format.size(request.bytes);
    line.append(make("b", "", String(how(request))), ...[host, size, format.duration(request.duration)]
      .filter(Boolean).map((part) => make("span", "", part)));
    const bar = make("span", "waterfall"), part = bars.get(request);
    const filled = bar.appendChild(make("span", ""));
    filled.style.left = `${100 * part.left}%`;
    filled.style.width = `${100 * part.width}%`;
    if (request.waited && request.duration) {
      filled.appendChild(make("span", "")).style.width = `${Math.min(100, (100 * request.waited) / request.duration)}%`;
    }
    const column = make("div");
    column.append(text, line, bar);
    node.append(make("button", "", since(request.at)), column, windowOf(request));
    return node;
  }

  function pretty(body) {
    try {
      return JSON.stringify(JSON.parse(body), null, 2);
    } catch (error) {
      return body;
    }
  }
  function pairs(title, found) {
    if (!found.length) return [];
    const all = make("dl");
    for (const [name, value] of found) all.append(make("dt", "", name), make("dd", "", value));
    return [make("h2", "", title), all];
  }
  function body(title, text) {
    if (text === null) return [];
    return [make("h2", "", title), scrollable("pre", title, pretty(text))];
  }

  // Headers and bodies are made when they are looked at, since there may be many.
  function open(request, node) {
    if (node.querySelector(".more")) return;
    const more = node.appendChild(make("div", "more"));
    more.append(
      ...pairs("Request", [
        ["URL", request.url],
        ["Method", request.method || "not recorded"],
        ["Status", request.status ? String(request.status) : request.failed ? "no answer" : "not recorded"],
        ["Asked by", request.kind || "not recorded"],
        ["Began", since(request.at)],
        ["Waited", request.waited === null ? "not recorded" : format.duration(request.waited)],
        ["Took", request.duration === null ? "not recorded" : format.duration(request.duration)],
        ["Size", request.bytes === null ? "not recorded" : format.size(request.bytes)],
      ]),
      ...pairs("Request headers", request.request_headers),
      ...body("Request body", request.request_body),
      ...pairs("Response headers", request.response_headers),
      ...body("Response body", request.response_body),
    );
  }

  const list = timedList($("requests"), { draw, open, goTo });
  const data = new Set(["fetch", "xmlhttprequest", "beacon"]);
  const wanted = {
    "": () => true,
    data: (request) => data.has(request.kind),
    failed: (request) => request.failed,
  };
  $("requested").textContent = format.number(recording.requests.length);
  return filteredList({
    box: $("requests"),
    none: $("no-requests"),
    search: $("request-search"),
    choice: $("request-kind"),
    items: recording.requests,
    matches: (request, words, kind) =>
      wanted[kind](request) &&
      `${request.method || ""} ${request.url} ${how(request)}`.toLowerCase().includes(words),
    empty: "No request was recorded.",
    list,
  });
}
