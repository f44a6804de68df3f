"""Memory: the cap bounds it for any message, it is given back after a giant, and it never leaks.

Each case runs in its own process. Messages are gzipped, so that the measured memory is the decoder's.
"""

import json
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from recording_worker.outcome import Reason
from recording_worker.settings.memory import DECODING_FACTOR
from tests.builders import NOW_MS
from tests.inputs import EVENT, data_text, envelope_text, event_text, plain_value

CAP = 16 << 20
"""A quarter of the default, which says the same in a quarter of the time."""
ROOT = Path(__file__).parents[2]
MAX_GROWTH = (DECODING_FACTOR * CAP >> 20) + 4
"""MiB that a worker may take for any single message, on top of what it takes anyway.

The unescaped `data` takes a cap, and the places of its tokens four: 4 bytes for each byte of it. The text is freed
before these are looked for. One more is for vectors of a message that has fewer tokens. Lines are written when all but
`data` is freed. A text whose UTF-8 is repaired may be three times as large. The last 4 are for everything else.
"""

TINY_EVENT = '{"timestamp":1795e9}'
assert float("1795e9") == NOW_MS


def filled(text: str, unit: str, size: int = CAP) -> bytes:
    """Replace the word HERE by as many units as fit, and fill up with blanks to `size` bytes."""
    head, tail = text.split("HERE")
    count = (size - len(head) - len(tail)) // len(unit)
    return f"{head}{unit * count}{tail}".ljust(size).encode()


def message(*items: str, window_id: str = "w") -> str:
    return plain_value(items, {"$window_id": json.dumps(window_id)}).decode()


def escaped(text: str) -> str:
    """Return the text as it is written in the envelope's string."""
    return json.dumps(text)[1:-1]


CONSOLE = event_text('{"plugin":"rrweb/console@1","payload":{"payload":[HERE""]}}', type="6")
NUMBERS_EVENT, STRING_EVENT = event_text("[HERE1]"), event_text('"HERE"')
ENVELOPE = envelope_text(data_text(), {"x": "[HERE1]"})

GIANTS: dict[str, tuple[Callable[[], bytes], Reason]] = {
    "blanks": (lambda: plain_value().ljust(CAP), Reason.NONE),
    "over-the-cap": (lambda: plain_value().ljust(3 * CAP), Reason.PAYLOAD_TOO_LARGE),
    "envelope-of-numbers": (lambda: filled(ENVELOPE, "1,"), Reason.NONE),
    "items-of-numbers": (lambda: filled(message("HERE" + EVENT), "1,"), Reason.NONE),
    "items-of-objects": (
        lambda: filled(message("HERE{}"), "{},"),
        Reason.MESSAGE_CONTAINED_NO_VALID_RRWEB_EVENTS,
    ),
    "tiny-events-of-a-usual-window": (
        lambda: filled(message("HERE" + EVENT, window_id="w" * 36), escaped(TINY_EVENT + ",")),
        Reason.PAYLOAD_TOO_LARGE,
    ),
    "tiny-console-events": (
        lambda: filled(
            message("HERE" + EVENT), escaped('{"type":6,"timestamp":1795e9,"data":{"plugin":"rrweb/console@1"}},')
        ),
        Reason.NONE,
    ),
    "event-of-numbers": (lambda: filled(message(NUMBERS_EVENT), "1,"), Reason.NONE),
    "event-of-escapes": (lambda: filled(message(STRING_EVENT), escaped("\\u0000")), Reason.NONE),
    "event-of-line-breaks": (lambda: filled(message(NUMBERS_EVENT), escaped("1,\n")), Reason.NONE),
    "event-of-invalid-utf8": (
        lambda: message(STRING_EVENT).encode().replace(b"HERE", b"\xff" * (CAP - 1000)),
        Reason.PAYLOAD_TOO_LARGE,
    ),
    "console-of-empty-strings": (lambda: filled(message(CONSOLE), escaped('"",')), Reason.NONE),
    "window-id-in-every-line": (
        lambda: filled(message("HERE" + EVENT, window_id="\x01" * 256), escaped(TINY_EVENT + ","), 8 << 20),
        Reason.PAYLOAD_TOO_LARGE,
    ),
    "id-of-half-the-message": (
        lambda: filled(message("HERE" + EVENT, window_id="w" * (4 << 20)), escaped(TINY_EVENT + ","), 8 << 20),
        Reason.ID_TOO_LONG,
    ),
}
"""Messages of the cap after decompression, except three."""


def run_probe(what: str, value: bytes, folder: Path) -> dict[str, float]:
    file = folder / "value"
    file.write_bytes(value)
    command = [sys.executable, "-m", "tests.contract.memory_probe", what, str(CAP), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    result: dict[str, float] = json.loads(done.stdout)
    return result


def gzipped(plain: bytes) -> bytes:
    deflate = zlib.compressobj(level=1, wbits=31)
    return deflate.compress(plain) + deflate.flush()


@pytest.mark.parametrize("name", GIANTS)
def test_peak_of_any_single_message(name: str, tmp_path: Path) -> None:
    build, reason = GIANTS[name]
    result = run_probe("one", gzipped(build()), tmp_path)
    assert Reason(int(result["reason"])) == reason
    assert result["peak"] - result["before"] < MAX_GROWTH
    assert result["after"] < result["before"] + 64


@pytest.mark.parametrize("characters", [64, 200])
def test_peak_of_window_ids_in_between(characters: int, tmp_path: Path) -> None:
    """A long window id in millions of lines makes a message too large. Shorter ones must fit into memory."""
    value = filled(message("HERE" + EVENT, window_id="w" * characters), escaped(TINY_EVENT + ","))
    result = run_probe("one", gzipped(value), tmp_path)
    assert Reason(int(result["reason"])) in (Reason.NONE, Reason.PAYLOAD_TOO_LARGE)
    assert result["peak"] - result["before"] < MAX_GROWTH


def test_a_million_decodes_leak_nothing(tmp_path: Path) -> None:
    result = run_probe("many", gzipped(plain_value([EVENT, "{}"])), tmp_path)
    assert Reason(int(result["reason"])) == Reason.NONE
    assert result["after"] < result["before"] + 4
