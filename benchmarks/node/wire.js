// The file of messages that all contenders read; benchmarks/wire.py says what is in it.
import { readFileSync } from "node:fs";

const ABSENT = 0xffffffff;
const ENCODINGS = ["plain", "gzip", "lz4"];

export function readWire(path) {
  const content = readFileSync(path);
  const messages = [];
  let position = 0;
  const take = (length) => content.subarray(position, (position += length));
  const takeText = (length) => (length === ABSENT ? undefined : take(length).toString());
  while (position < content.length) {
    const head = take(24);
    const sessionId = takeText(head.readUInt32LE(12));
    const distinctId = takeText(head.readUInt32LE(16));
    messages.push({
      encoding: ENCODINGS[head.readUInt32LE(0)],
      timestamp: Number(head.readBigInt64LE(4)),
      sessionId,
      distinctId,
      value: take(head.readUInt32LE(20)),
    });
  }
  return messages;
}
