// The whole job as a Node consumer does it: Kafka → decode → sessions → snappy blocks → files, then the offsets.
// Its one argument is JSON, see benchmarks/end_to_end/contenders.py. Prints a line once it has partitions. When it is
// stopped with SIGTERM, it prints a line of what it did.
import { open, rename } from "node:fs/promises";
import { promisify } from "node:util";
import Kafka from "node-rdkafka";
import { compress } from "snappy";
import { decode, decompress } from "./decode.js";
import { Session } from "./session.js";

const settings = JSON.parse(process.argv[2]);
const figures = { messages: 0, dropped: 0, events: 0, bytes: 0, stored: 0, files: 0, flush_seconds: [], pause_seconds: [] };

let sessions = new Map();
let offsets = new Map();
let held = 0;
let begun = 0;
let stopping = false;

const consumer = new Kafka.KafkaConsumer(
  {
    "bootstrap.servers": settings.bootstrap_servers,
    "group.id": settings.group,
    "enable.auto.commit": false,
    "enable.auto.offset.store": false,
    "queued.max.messages.kbytes": settings.fetch_queue_bytes / 1024,
    "fetch.message.max.bytes": 10_485_760,
    "receive.message.max.bytes": 200_000_000,
    rebalance_cb(error, assignment) {
      if (error.code === Kafka.CODES.ERRORS.ERR__ASSIGN_PARTITIONS) {
        consumer.assign(assignment);
        console.log(JSON.stringify({ ready: true }));
      } else {
        consumer.unassign();
      }
    },
  },
  { "auto.offset.reset": "earliest" },
);

// The headers of a message as text. Those that the job does not need are read too, as the reference does.
function headersOf(message) {
  const headers = {};
  for (const header of message.headers ?? []) {
    for (const [key, value] of Object.entries(header)) headers[key] = value.toString();
  }
  return headers;
}

function encodingOf(headers, value) {
  if (headers["content-encoding"] !== undefined) return headers["content-encoding"];
  return value[0] === 0x1f && value[1] === 0x8b ? "gzip" : "plain";
}

function take(message) {
  const headers = headersOf(message);
  const value = message.value;
  offsets.set(message.partition, message.offset + 1);
  const given = {
    encoding: encodingOf(headers, value),
    timestamp: message.timestamp,
    sessionId: headers.session_id,
    distinctId: headers.distinct_id,
    value,
  };
  const text = decompress(given);
  const decoded = text && decode(given, text);
  if (decoded === undefined) {
    figures.dropped++;
    return;
  }
  figures.bytes += text.length;
  figures.messages++;
  figures.events += decoded.events.length;
  const key = `${headers.token}/${decoded.sessionId}`;
  let session = sessions.get(key);
  if (session === undefined) {
    session = new Session();
    sessions.set(key, session);
  }
  session.record(decoded.windowId, decoded.events);
  held += session.chunks.at(-1).length;
}

// One file of all sessions' blocks, under a hidden name until it is on the disk. Then the offsets.
async function flush() {
  const started = performance.now();
  if (sessions.size > 0) {
    const name = `${process.pid}-${figures.files++}`;
    const file = settings.folder === null ? null : await open(`${settings.folder}/.${name}.tmp`, "wx");
    for (const session of sessions.values()) {
      const block = await compress(Buffer.concat(session.chunks));
      figures.stored += block.length;
      if (file !== null) await file.writeFile(block);
    }
    if (file !== null) {
      await file.sync();
      await file.close();
      await rename(`${settings.folder}/.${name}.tmp`, `${settings.folder}/${name}`);
    }
  }
  consumer.commitSync([...offsets].map(([partition, offset]) => ({ topic: settings.topic, partition, offset })));
  sessions = new Map();
  offsets = new Map();
  held = 0;
  figures.flush_seconds.push((performance.now() - started) / 1000);
}

async function run() {
  const consume = promisify(consumer.consume.bind(consumer));
  while (!stopping) {
    const messages = await consume(settings.poll_messages);
    if (offsets.size === 0) begun = performance.now();
    for (const message of messages) take(message);
    const started = performance.now();
    const due = held >= settings.max_batch_bytes || started - begun >= settings.max_batch_age * 1000;
    if (due && offsets.size > 0) await flush();
    figures.pause_seconds.push((performance.now() - started) / 1000);
  }
  if (offsets.size > 0) await flush();
}

process.on("SIGTERM", () => (stopping = true));
consumer.setDefaultConsumeTimeout(settings.poll_timeout * 1000);
consumer.on("event.error", (error) => console.error(String(error)));
consumer.on("ready", async () => {
  consumer.subscribe([settings.topic]);
  try {
    await run();
  } catch (error) {
    console.error(error);
    process.exit(1);
  }
  console.log(JSON.stringify(figures));
  consumer.disconnect(() => process.exit(0));
});
consumer.connect();
