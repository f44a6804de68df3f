// A message value to validated events: gunzip or lz4, JSON.parse twice, zod checks.
import { gunzipSync } from "node:zlib";
import { uncompressSync } from "lz4-napi";
import { z } from "zod";

const MAX_TIMESTAMP = 8.64e15;
const MAX_TIMESTAMP_DIFF_MS = 7 * 24 * 60 * 60 * 1000;

const Envelope = z.object({ distinct_id: z.string(), data: z.string() });
const Snapshot = z.object({
  event: z.literal("$snapshot_items"),
  properties: z.object({
    $session_id: z.string().min(1),
    $window_id: z.string().optional(),
    $snapshot_source: z.string().optional(),
    $lib: z.string().optional(),
    $snapshot_items: z.array(z.unknown()),
  }),
});
const Event = z.looseObject({ timestamp: z.number().positive().max(MAX_TIMESTAMP) });

// The text of a message, as bytes; undefined if it can't be decompressed.
export function decompress(message) {
  try {
    switch (message.encoding) {
      case "gzip":
        return gunzipSync(message.value);
      case "lz4":
        return uncompressSync(message.value);
      default:
        return message.value;
    }
  } catch {
    return undefined;
  }
}

// { sessionId, windowId, events } of a message's text; undefined if the message is not recorded.
export function decode(message, text) {
  const envelope = Envelope.safeParse(parse(text.toString())).data;
  if (envelope === undefined) return undefined;
  const snapshot = Snapshot.safeParse(parse(envelope.data)).data;
  if (snapshot === undefined) return undefined;
  const { $session_id: sessionId, $window_id: windowId = "", $snapshot_items: items } = snapshot.properties;
  if (message.sessionId !== undefined && message.sessionId !== sessionId) return undefined;
  if (message.distinctId !== undefined && message.distinctId !== envelope.distinct_id) return undefined;
  const events = [];
  let first = Infinity;
  let last = -Infinity;
  for (const item of items) {
    const event = Event.safeParse(item);
    if (!event.success) continue;
    events.push(event.data);
    first = Math.min(first, event.data.timestamp);
    last = Math.max(last, event.data.timestamp);
  }
  if (events.length === 0) return undefined;
  const diff = Math.max(Math.abs(first - message.timestamp), Math.abs(last - message.timestamp));
  return diff < MAX_TIMESTAMP_DIFF_MS ? { sessionId, windowId, events } : undefined;
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
