// The job as a Node consumer does it. Takes a file of messages, and answers the commands that
// benchmarks/contenders/serve.py describes, except `digest`.
import { createInterface } from "node:readline";
import { decode, decompress } from "./decode.js";
import { Session } from "./session.js";
import { readWire } from "./wire.js";

function pass(messages) {
  const sessions = new Map();
  let ok = 0;
  let bytes = 0;
  for (const message of messages) {
    const text = decompress(message);
    if (text === undefined) continue;
    bytes += text.length;
    const decoded = decode(message, text);
    if (decoded === undefined) continue;
    let session = sessions.get(decoded.sessionId);
    if (session === undefined) {
      session = new Session();
      sessions.set(decoded.sessionId, session);
    }
    session.record(decoded.windowId, decoded.events);
    ok++;
  }
  return { sessions, ok, bytes };
}

function counts({ sessions, ok, bytes }) {
  const all = [...sessions.values()];
  const sum = (of) => all.reduce((total, session) => total + of(session), 0);
  return {
    ok,
    bytes,
    sessions: all.length,
    events: sum((session) => session.timestamps.length),
    clicks: sum((session) => session.clicks),
    keypresses: sum((session) => session.keypresses),
    mouse_activity: sum((session) => session.mouseActivity),
    full_snapshots: sum((session) => (session.hasFullSnapshot ? 1 : 0)),
    urls: sum((session) => session.urls.size),
    active_milliseconds: sum((session) => session.activeMilliseconds()),
    console_events: sum(({ consoleCounts: { info, warn, error } }) => info + warn + error),
    console_logs: sum((session) => session.consoleLogs.length),
  };
}

function passes(messages, wanted) {
  let spent = 0;
  let number = 0;
  let result;
  while (spent < wanted || number === 0) {
    result = undefined; // what the pass before holds is let go outside of the measured time
    const started = process.cpuUsage();
    result = pass(messages);
    const { user, system } = process.cpuUsage(started);
    spent += (user + system) / 1e6;
    number++;
  }
  return { seconds: spent / number, ...counts(result) };
}

const messages = readWire(process.argv[2]);
for await (const command of createInterface({ input: process.stdin })) {
  const [name, seconds] = command.split(" ");
  if (name !== "pass") throw new Error(`unknown command: ${command}`);
  console.log(JSON.stringify(passes(messages, Number(seconds))));
}
