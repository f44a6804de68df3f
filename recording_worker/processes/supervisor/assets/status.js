// Shows what status.json says, and asks again every two seconds. All of it goes in as text, never as markup.
(() => {
  const $ = (id) => document.getElementById(id);
  const REFRESH_MS = 2000;
  const LATE_MS = 6000; // without an answer for this long, the page says that it is old
  const SVG = "http://www.w3.org/2000/svg";
  const WIDTH = 180, HEIGHT = 36;

  let paused = false;
  let shown = null; // the last document
  let answeredAt = 0;

  // -- words and numbers

  const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
  const fine = new Intl.NumberFormat("en", { maximumSignificantDigits: 2 });
  const number = (value) => (value === 0 || value >= 10 ? plain.format(value) : fine.format(value));
  const orDash = (value, as = String) => (value === null || value === undefined ? "–" : as(value));

  function scaled(value, step, units) {
    let unit = 0;
    while (value >= step && unit < units.length - 1) { value /= step; unit += 1; }
    return `${unit ? value.toPrecision(3).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "") : plain.format(value)} ${units[unit]}`;
  }
  function time(seconds) {
    if (seconds < 1) return "0 s";
    if (seconds < 120) return `${Math.floor(seconds)} s`;
    if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
    if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h`;
    return `${Math.floor(seconds / 86_400)} days`;
  }
  const as = {
    time,
    perSecond: (value) => `${number(value)}/s`,
    bytesPerSecond: (value) => scaled(value, 1000, ["B/s", "kB/s", "MB/s", "GB/s"]),
    bytes: (value) => scaled(value, 1000, ["B", "kB", "MB", "GB"]),
    memory: (value) => scaled(value, 1024, ["B", "KiB", "MiB", "GiB"]),
    flushing: (value) => `${fine.format(value)} workers that flush at once`,
    share: (value) => `${plain.format(100 * value)} %`,
  };
  const clock = (at) => new Date(1000 * at).toISOString().slice(11, 19);
  const date = (at) => new Date(1000 * at).toISOString().slice(0, 19).replace("T", " ");
  const ago = (at) => (shown.at - at < 1 ? "now" : `${time(shown.at - at)} ago`);
  const many = (count, one, more = `${one}s`) => `${plain.format(count)} ${count === 1 ? one : more}`;

  // -- putting it on the page: only what has changed, so that a selection and the place of the reader stay

  function say(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  function list(element, texts) {
    while (element.children.length > texts.length) element.lastElementChild.remove();
    texts.forEach((text, at) => say(element.children[at] ?? element.appendChild(document.createElement("li")), text));
  }

  // rows: lists of cells; a cell is a text, or {text, level, meter}. The first cell heads its row.
  function table(id, rows) {
    const head = [...$(id).tHead.rows[0].cells], body = $(id).tBodies[0];
    while (body.rows.length > rows.length) body.deleteRow(-1);
    rows.forEach((cells, at) => {
      const row = body.rows[at] ?? body.insertRow();
      cells.forEach((cell, place) => {
        const { text = cell, level = "", meter = null } = cell !== null && typeof cell === "object" ? cell : {};
        let element = row.cells[place];
        if (!element) {
          element = row.appendChild(document.createElement(place ? "td" : "th"));
          if (!place) element.scope = "row";
        }
        const looks = `${head[place].className} ${level}`.trim();
        if (element.className !== looks) element.className = looks;
        const words = meter ? element.querySelector("span") ?? measured(element) : element;
        say(words, text);
        if (meter) Object.assign(element.querySelector("meter"), meter);
      });
    });
  }

  function measured(cell) {
    cell.replaceChildren(document.createElement("span"), document.createElement("meter"));
    cell.lastChild.setAttribute("aria-hidden", "true"); // the text says the same
    return cell.firstChild;
  }

  // -- lines of the last 15 minutes

  function part(svg, name, kind, attributes) {
    const element = svg.querySelector(`.${kind}`) ?? svg.appendChild(document.createElementNS(SVG, name));
    element.setAttribute("class", kind);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  }

  function draw(svg, values, seconds) {
    const highest = Math.max(0, ...values.filter((value) => value !== null));
    const step = WIDTH / Math.max(1, 900 / seconds - 1);
    const left = WIDTH - step * (values.length - 1);
    const points = values.map((value, at) => {
      const height = highest ? HEIGHT - (HEIGHT - 2) * ((value ?? 0) / highest) : HEIGHT;
      return `${(left + at * step).toFixed(1)},${height.toFixed(1)}`;
    });
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    svg.setAttribute("preserveAspectRatio", "none");
    const begun = points.length > 1;
    const area = begun ? [`${left.toFixed(1)},${HEIGHT}`, ...points, `${WIDTH},${HEIGHT}`] : [];
    part(svg, "polygon", "area", { points: area.join(" ") });
    part(svg, "line", "base", { x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT });
    part(svg, "polyline", "stroke", { points: begun ? points.join(" ") : "" });
    const peak = svg.parentElement.querySelector(".peak");
    say(peak, begun ? `15 min: up to ${as[svg.dataset.as](highest)}` : "15 min: not measured yet");
  }

  // -- the parts of the page

  function showState(status) {
    const verdict = $("verdict");
    if (verdict.className !== status.level) verdict.className = status.level;
    say($("state"), status.verdict);
    list($("reasons"), status.reasons);
    document.title = `${status.level === "good" ? "" : "⚠ "}${status.verdict}: ${status.host}`;
    say($("facts"), `${status.host} · ${status.version} · up ${time(status.at - status.started_at)}`);
  }

  function showLag({ lag, bottleneck }) {
    say($("lag"), lag.seconds === null ? "unknown" : lag.messages ? time(lag.seconds) : "nothing");
    const until = lag.recorded_until === null ? "nothing recorded yet" : `recorded until ${date(lag.recorded_until)} UTC`;
    say($("lag-more"), `${many(lag.messages, "message")} not delivered · ${until}`);
    say($("bottleneck"), bottleneck.who || "none");
    say($("bottleneck-why"), bottleneck.why);
  }

  function showRates({ rates, workers }) {
    say($("messages"), as.perSecond(rates.messages_per_second));
    say($("read"), as.bytesPerSecond(rates.bytes_per_second));
    say($("written"), as.bytesPerSecond(rates.written_bytes_per_second));
    const used = workers.reduce((sum, worker) => sum + (worker.memory_bytes ?? 0), 0);
    const budget = workers.reduce((sum, worker) => sum + worker.memory_budget_bytes, 0);
    say($("memory"), `${as.memory(used)} of ${as.memory(budget)}`);
  }

  function showDependencies({ dependencies, kafka }) {
    table("dependencies", dependencies.map((each) => [
      each.title,
      { text: each.text, level: each.failing_seconds ? (each.needed ? "bad" : "warning") : each.answered_at === null ? "" : "good" },
      orDash(each.answered_at, ago),
      each.failing_seconds ? each.meanwhile : "",
    ]));
    const brokers = kafka.brokers_known ? `connected to ${kafka.brokers_connected} of ${many(kafka.brokers_known, "broker")} · ` : "";
    const commit = kafka.committed_at === null ? "nothing committed yet" : `last commit ${ago(kafka.committed_at)}`;
    say($("kafka"), `Supervisor: ${brokers}${commit}`);
  }

  function showWorkers({ workers, flushes }) {
    table("workers", workers.map((each) => [
      String(each.number),
      { text: each.state, level: each.state === "running" && !each.trouble ? "good" : "bad" },
      plain.format(each.lag_messages),
      orDash(each.cpu_cores, as.share),
      each.memory_bytes === null ? { text: "–" } : {
        text: as.memory(each.memory_bytes),
        meter: { min: 0, max: 1, low: 0.9, high: 1, optimum: 0, value: each.memory_bytes / each.memory_budget_bytes },
      },
      orDash(each.flushed_at, ago),
      each.flushed_at === null ? "–" : `${many(each.flushed_sessions, "session")}, ${as.bytes(each.flushed_bytes)}`,
      plain.format(each.restarts),
      each.partitions.join(" ") || "–",
      orDash(each.pid),
    ]));
    list($("troubles"), workers.filter((each) => each.trouble).map((each) => `Worker ${each.number}: ${each.trouble}`));
    const mean = flushes.mean_seconds === null ? "" : `, ${flushes.mean_seconds.toFixed(2)} s each`;
    const stages = flushes.stages.map((each) => `${each.name} ${as.share(each.share)}`).join(", ");
    say($("flushes"), `Flushes: ${number(60 * flushes.per_second)} a minute${mean}${stages && ` (${stages})`}`);
  }

  function showPartitions({ partitions }) {
    table("partitions", partitions.map((each) => [
      String(each.number), orDash(each.worker), orDash(each.lag_messages, plain.format), orDash(each.recorded_until, clock),
      orDash(each.committed), orDash(each.position), orDash(each.end), { text: each.note, level: each.note ? "warning" : "" },
    ]));
    const noted = partitions.filter((each) => each.note).length;
    say($("partitions-sum"), `${partitions.length}${noted ? `, ${noted} with a note` : ""}`);
  }

  function showLists({ dlq, errors, settings }) {
    table("dlq", dlq.map((each) => [each.reason, plain.format(each.recent), plain.format(each.messages)]));
    table("errors", errors.map((each) => [ago(each.at), each.text]));
    table("settings", settings.map((each) => [each.name, each.value || "–"]));
    say($("settings-sum"), String(settings.length));
  }

  function show(status) {
    shown = status;
    showState(status);
    showLag(status);
    showRates(status);
    showDependencies(status);
    showWorkers(status);
    showPartitions(status);
    showLists(status);
    for (const svg of document.querySelectorAll("svg.line")) draw(svg, status.series[svg.dataset.series], status.series_seconds);
    $("live").hidden = $("pause").hidden = false;
  }

  // -- asking

  function showPulse() {
    const late = shown !== null && !paused && Date.now() - answeredAt > LATE_MS;
    $("pulse").className = $("live").className = late ? "late" : "";
    if (!shown) return;
    const at = `${clock(shown.at)} UTC`;
    say($("pulse"), late ? `No answer since ${at}` : paused ? `Paused at ${at}` : at);
  }

  async function refresh() {
    try {
      const response = await fetch("status.json", { cache: "no-store", signal: AbortSignal.timeout(5000) });
      if (!response.ok) throw new Error(response.statusText);
      const status = await response.json();
      answeredAt = Date.now();
      if (!paused) show(status);
    } catch (error) {
      if (!shown) say($("pulse"), `No answer: ${error.message}`);
    }
    showPulse();
    setTimeout(refresh, REFRESH_MS);
  }

  $("pause").addEventListener("click", () => {
    paused = !paused;
    $("pause").setAttribute("aria-pressed", String(paused));
    showPulse();
  });
  refresh();
})();
