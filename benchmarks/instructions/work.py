"""The counted work, in a process of its own: `work.py MESSAGES SMALL_MESSAGES count CALLGRIND | time ROUNDS`.

It imports the native core, the standard library and `benchmarks.wire`, so that it also runs on the core of another
commit and starts quickly under valgrind. `time` prints JSON: case → CPU seconds of each round.
"""

import ctypes
import gc
import json
import sys
import time
from array import array
from collections.abc import Callable
from pathlib import Path

from benchmarks.wire import Encoding, WireMessage, read_wire
from recording_worker._native import ByteColumn, Compressor, DecodedBatch, Decoder, SessionBatch, TextColumn


class Messages:
    """Messages as columns."""

    def __init__(self, messages: list[WireMessage]) -> None:
        self.rows = len(messages)
        self._values = ByteColumn([message.value for message in messages])
        self._encodings = TextColumn(["lz4" if message.encoding is Encoding.LZ4 else None for message in messages])
        self._session_ids = TextColumn([message.session_id for message in messages])
        self._distinct_ids = TextColumn([message.distinct_id for message in messages])
        self._timestamps = array("q", [message.timestamp_ms for message in messages])

    def decode(self, decoder: Decoder) -> DecodedBatch:
        """Decode all of them."""
        dispositions = bytearray(self.rows)
        decoded = decoder.decode(
            self._values,
            self._encodings,
            self._session_ids,
            self._distinct_ids,
            self._timestamps,
            None,
            dispositions,
            bytearray(self.rows),
        )
        assert decoded.rows == self.rows
        assert not any(dispositions)
        return decoded


def record(decoded: DecodedBatch) -> SessionBatch:
    batch, rows = SessionBatch(), decoded.rows
    offsets, nothing = array("q", range(rows)), array("q", bytes(8 * rows))
    teams, team_ids = array("i", bytes(4 * rows)), array("q", [1])
    batch.record(decoded, nothing, offsets, bytearray(rows), bytearray(rows), teams, team_ids, b"\1", bytes(rows))
    return batch


def compress(compressor: Compressor, batch: SessionBatch) -> None:
    for file in batch.take():
        blocks = file.session_blocks()
        while blocks:
            del blocks[: len(compressor.compress(blocks).lengths)]


def cases(messages: Messages, small: Messages) -> dict[str, Callable[[], Callable[[], object]]]:
    """Return name → what prepares a run. Only what that returns is counted."""
    plain, unpacking = Decoder(max_decoded_bytes=1 << 30), Decoder(unpack_client_compression=True)
    zstd, snappy = Compressor("zstd", 1), Compressor("snappy")

    def recording(batch: DecodedBatch) -> Callable[[], object]:
        return lambda: record(batch)

    def compressing(compressor: Compressor, batch: SessionBatch) -> Callable[[], object]:
        return lambda: compress(compressor, batch)

    return {
        "decode": lambda: lambda: messages.decode(plain),
        "decode and unpack": lambda: lambda: messages.decode(unpacking),
        "decode small": lambda: lambda: small.decode(plain),
        "record": lambda: recording(messages.decode(plain)),
        "record small": lambda: recording(small.decode(plain)),
        "compress zstd": lambda: compressing(zstd, record(messages.decode(plain))),
        "compress snappy": lambda: compressing(snappy, record(messages.decode(plain))),
    }


def main() -> None:
    messages, small = (Messages(read_wire(Path(path))) for path in sys.argv[1:3])
    mode, argument = sys.argv[3:]
    gc.disable()
    prepared = cases(messages, small)
    for prepare in prepared.values():  # buffers are allocated, and what is bound late is bound
        prepare()()
    if mode == "count":
        callgrind = ctypes.CDLL(argument)
        callgrind.instrument()
        for name, prepare in prepared.items():
            run, label = prepare(), name.encode()
            callgrind.begin()
            run()
            callgrind.end(label)
        return
    rounds: dict[str, list[float]] = {name: [] for name in prepared}
    for _ in range(int(argument)):
        for name, prepare in prepared.items():
            run = prepare()
            started = time.process_time()
            run()
            rounds[name].append(time.process_time() - started)
    print(json.dumps(rounds))


if __name__ == "__main__":
    main()
