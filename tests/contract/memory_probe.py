"""A process that decodes, and prints how much memory that took: `python -m tests.contract.memory_probe WHAT CAP FILE`.

Prints one JSON object; sizes in MiB.
"""

import json
import resource
import sys
from array import array
from pathlib import Path

from recording_worker import _native
from tests.builders import NOW_MS

MIB = 1 << 20


def resident() -> float:
    """Return the memory that the process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / MIB


def peak() -> float:
    """Return the most memory that the process ever held. getrusage would count the parent's at its fork."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


def decode(decoder: _native.Decoder, values: list[bytes]) -> tuple[_native.DecodedBatch, bytearray]:
    rows = len(values)
    nothing = _native.TextColumn([None] * rows)
    reasons = bytearray(rows)
    times = array("q", [NOW_MS] * rows)
    decoded = decoder.decode(
        _native.ByteColumn(values), nothing, nothing, nothing, times, None, bytearray(rows), reasons
    )
    return decoded, reasons


def one(cap: int, value: bytes) -> dict[str, object]:
    """Decode a giant, then small messages with the same decoder."""
    decoder = _native.Decoder(max_decompressed_bytes=cap)
    before = resident()
    decoded, reasons = decode(decoder, [value])
    result: dict[str, object] = {"before": before, "peak": peak(), "reason": reasons[0]}
    result["line_bytes"] = 0 if reasons[0] else decoded.line_bytes(0)
    del decoded
    for _ in range(1_000):
        decode(decoder, [b"{}"] * 10)
    return result | {"after": resident()}


def many(cap: int, value: bytes) -> dict[str, object]:
    """Decode the same message a million times."""
    decoder = _native.Decoder(max_decompressed_bytes=cap)
    values = [value] * 1_000
    for _ in range(100):
        decode(decoder, values)
    before = resident()
    for _ in range(900):
        _, reasons = decode(decoder, values)
    return {"before": before, "after": resident(), "peak": peak(), "reason": reasons[0]}


if __name__ == "__main__":
    probe = {"one": one, "many": many}[sys.argv[1]]
    print(json.dumps(probe(int(sys.argv[2]), Path(sys.argv[3]).read_bytes())))
