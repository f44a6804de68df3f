"""A letter's value for people: unpacked as the worker unpacks it, and its JSON laid out."""

import json
from contextlib import suppress
from dataclasses import dataclass

from recording_worker._native import decompress, encoding_of
from recording_worker.outcome import Reason


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What a value is. `docs/data/messages.md` says how values are encoded."""

    encoding: str
    """plain, gzip, lz4 or zstd; or an unknown name that the header gives."""
    content: bytes | None
    """What the value decompresses to; None if it does not decompress."""
    problem: str = ""
    """Why it does not decompress, or is no text."""

    @property
    def text(self) -> str | None:
        """The content as text; None if it is not text. JSON is laid out, also the JSON inside `data`."""
        if self.content is None:
            return None
        try:
            return _laid_out(self.content)
        except UnicodeDecodeError:
            return None


def unpack(value: bytes, content_encoding: str | None, cap: int) -> Unpacked:
    """Decompress a message's value to at most `cap` bytes; `content_encoding` is the header's text, if there is one."""
    encoding = encoding_of(value, content_encoding)
    if encoding is None:
        unknown = content_encoding or ""
        return Unpacked(unknown, None, f"it can't be decompressed: unknown content-encoding {unknown!r}")
    try:
        return Unpacked(encoding, decompress(value, content_encoding, cap))
    except ValueError as error:
        if str(error) == Reason.PAYLOAD_TOO_LARGE.label:
            return Unpacked(encoding, None, f"it decompresses to more than {cap:,} bytes")
        return Unpacked(encoding, None, f"it can't be decompressed: its {encoding} is damaged or cut off")


def _laid_out(content: bytes) -> str:
    """Raises UnicodeDecodeError."""
    text = content.decode()
    with suppress(ValueError, RecursionError):
        parsed = json.loads(text)
        if isinstance(parsed, dict) and isinstance(parsed.get("data"), str):
            with suppress(ValueError, RecursionError):
                parsed["data"] = json.loads(parsed["data"])
        return json.dumps(parsed, indent=2, ensure_ascii=False)
    return text
