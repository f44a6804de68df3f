// What a pass keeps of a session: its lines, and the counters that its metadata needs.
const CLICKS = new Set([2, 3, 4, 9]);
const MOUSE = new Set([1, 2, 6]);
const ACTIVE = new Set([1, 2, 3, 4, 5, 6, 7, 12]);
const LEVELS = { warn: "warn", countReset: "warn", error: "error", assert: "error" };
const ACTIVITY_THRESHOLD_MS = 5_000;
const MAX_URLS = 25;
const MAX_URL_LENGTH = 4_096;
const MAX_CONSOLE_STRING = 2_999;

export class Session {
  chunks = [];
  timestamps = [];
  active = [];
  clicks = 0;
  keypresses = 0;
  mouseActivity = 0;
  hasFullSnapshot = false;
  urls = new Set();
  consoleCounts = { info: 0, warn: 0, error: 0 };
  consoleLogs = [];

  // Adds the events of one message.
  record(windowId, events) {
    const seen = new Set();
    let lines = "";
    for (const event of events) {
      lines += JSON.stringify([windowId, event]) + "\n";
      this.count(event);
      if (event.type === 6 && event.data?.plugin === "rrweb/console@1") this.recordConsole(event, seen);
    }
    this.chunks.push(Buffer.from(lines));
  }

  count(event) {
    const { type, data, timestamp } = event;
    let active = false;
    if (type === 2) this.hasFullSnapshot = true;
    if (typeof data === "object" && data !== null) {
      if (type === 3) {
        const source = data.source;
        if (source === 2 && CLICKS.has(data.type)) this.clicks++;
        if (source === 5) this.keypresses++;
        if (MOUSE.has(source)) this.mouseActivity++;
        active = ACTIVE.has(source);
      }
      if (this.urls.size < MAX_URLS) {
        const url = urlOf(type, data);
        if (url !== undefined) this.urls.add(url);
      }
    }
    this.timestamps.push(timestamp);
    this.active.push(active);
  }

  recordConsole(event, seen) {
    const payload = event.data.payload;
    const level = LEVELS[payload?.level] ?? "info";
    const strings = Array.isArray(payload?.payload) ? payload.payload : [];
    const texts = strings.filter((each) => typeof each === "string").map((each) => each.slice(0, MAX_CONSOLE_STRING));
    const message = texts.join(" ");
    this.consoleCounts[level]++;
    const fingerprint = `${level}:${message}`;
    if (!seen.has(fingerprint)) {
      seen.add(fingerprint);
      this.consoleLogs.push({ level, message, timestamp: event.timestamp });
    }
  }

  activeMilliseconds() {
    const order = this.timestamps.map((_, index) => index).sort((a, b) => this.timestamps[a] - this.timestamps[b]);
    let total = 0;
    let start = 0;
    let last = 0;
    let lastActive = 0;
    let began = false;
    let inActive = false;
    for (const index of order) {
      const timestamp = this.timestamps[index];
      const active = this.active[index];
      const idle = inActive && timestamp - lastActive > ACTIVITY_THRESHOLD_MS;
      if (!began || (active && !inActive) || idle) {
        if (inActive) total += Math.max(1, last - start);
        began = true;
        inActive = active;
        start = timestamp;
      }
      last = timestamp;
      if (active) lastActive = timestamp;
    }
    return Math.trunc(total + (inActive ? Math.max(1, last - start) : 0));
  }
}

function urlOf(type, data) {
  if (type === 5 && data.tag === "$json_ld") return undefined;
  for (const url of [data.href, data.payload?.href]) {
    if (typeof url === "string" && url !== "") return url.slice(0, MAX_URL_LENGTH);
  }
  return undefined;
}
