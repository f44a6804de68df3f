"""Exports: a session's lines in the formats that other programs read. Each piece that is made is whole lines."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import Any

from recording_worker._native import unpack_line
from recording_worker.errors import ConfigError
from recording_worker.formats.rrweb import console_line, read_line
from recording_worker.formats.timestamps import utc_text
from recording_worker.playing.har import HAR_HEAD, MAX_NAMED, Pages, har_entries
from recording_worker.text import counted, printable

MAX_UNPACKED_BYTES = 64 * 1024 * 1024
"""The limit for one event that the client packed."""
_NAMED_WINDOWS = 10
"""The most windows that an error names."""
_HEAD = re.compile(rb'\[("(?:[^"\\]|\\.)*"),', re.DOTALL)
"""How a line begins: the id of its window."""
_PACKED = re.compile(rb'"cv"\s*:')
_WINDOW_NUMBER = re.compile("[0-9]{1,4}", re.ASCII)


class ExportFormat(StrEnum):
    LINES = "lines"
    RRWEB = "rrweb"
    HAR = "har"
    CONSOLE = "console"


Problem = Callable[[str], None]


def windows_of(lines: Iterable[bytes]) -> dict[str, int]:
    """Return window id → number of its lines, in the order in which the windows appear, as the player counts them."""
    return dict(Counter(window_of(line) for line in lines))


def window_of(line: bytes) -> str:
    """Return the id of a line's window; empty if the line has none."""
    found = _HEAD.match(line)
    try:
        return str(json.loads(found[1])) if found else ""
    except ValueError:
        return ""


def choose_window(windows: dict[str, int], wanted: str) -> str:
    """Return the id of the window that is wanted: by its number from 1, its id, or how that begins.

    Raises ConfigError if there is no such window, or if there are several.
    """
    ids = list(windows)
    if _WINDOW_NUMBER.fullmatch(wanted):
        if not 1 <= int(wanted) <= len(ids):
            raise ConfigError(f"--window {wanted}: the session has {counted(len(ids), 'window')}")
        return ids[int(wanted) - 1]
    found = [wanted] if wanted in windows else [window for window in ids if window.startswith(wanted)]
    if len(found) != 1:
        problem = "several windows begin like this" if found else "the session has no such window"
        raise ConfigError(f"--window {printable(wanted)}: {problem}: {_named(windows)}")
    return found[0]


def only_window(windows: dict[str, int]) -> None:
    """Raise ConfigError, which names the windows, if there are several."""
    if len(windows) > 1:
        raise ConfigError(f"the session has {len(windows)} windows: say which with --window: {_named(windows)}")


def _named(windows: dict[str, int]) -> str:
    named = [f"{number} ({printable(window)})" for number, window in enumerate(windows, 1)]
    more = [] if len(named) <= _NAMED_WINDOWS else ["…"]
    return ", ".join(named[:_NAMED_WINDOWS] + more)


def exported(lines: Iterable[bytes], kind: ExportFormat, problem: Problem) -> Iterator[bytes]:
    """Yield the lines of a session, in time order, in another format. `problem` is called with what is left out."""
    match kind:
        case ExportFormat.LINES:
            return (line + b"\n" for line in lines)
        case ExportFormat.RRWEB:
            return _listed(b"[", _rrweb(lines, problem), b"]")
        case ExportFormat.HAR:
            return _har(lines, problem)
        case ExportFormat.CONSOLE:
            return _console(lines, problem)


def _listed(head: bytes, items: Iterable[bytes], end: bytes) -> Iterator[bytes]:
    """Yield a JSON list, an item a line."""
    yield head + b"\n"
    for number, item in enumerate(items):
        yield (b"," if number else b" ") + item + b"\n"
    yield end + b"\n"


def _rrweb(lines: Iterable[bytes], problem: Problem) -> Iterator[bytes]:
    """Yield the events, as rrweb's Replayer takes them."""
    unread = packed = 0
    for line in lines:
        found = _HEAD.match(line)
        if found is None or not line.endswith(b"]"):
            unread += 1
            continue
        event = line[found.end() : -1]
        if _PACKED.search(event):
            try:
                unpacked = unpack_line(line, MAX_UNPACKED_BYTES)
                event = unpacked[found.end() : -1]
            except ValueError:
                packed += 1
        yield event
    if unread:
        problem(f"{counted(unread, 'event')} can't be read: left out")
    if packed:
        problem(f"{counted(packed, 'event')} that the client packed can't be unpacked: left as they are")


def _events(lines: Iterable[bytes], problem: Problem) -> Iterator[tuple[str, dict[str, Any], float]]:
    unread = 0
    for line in lines:
        try:
            yield read_line(line)
        except (ValueError, RecursionError):
            unread += 1
    if unread:
        problem(f"{counted(unread, 'event')} can't be read: left out")


def _console(lines: Iterable[bytes], problem: Problem) -> Iterator[bytes]:
    """Yield the messages of the console, one a line: time in UTC, level, text."""
    for _, event, at in _events(lines, problem):
        if said := console_line(event):
            yield f"{utc_text(at)} {said.level:5} {printable(said.message)}\n".encode()


def _har(lines: Iterable[bytes], problem: Problem) -> Iterator[bytes]:
    """Yield an HTTP archive, a request or a page a line."""
    pages = Pages()
    yield from _listed(HAR_HEAD + b',"entries":[', har_entries(_events(lines, problem), pages), b"],")
    yield from _listed(b'"pages":[', pages.as_json(), b"]}}")
    if pages.is_full:
        problem(f"{MAX_NAMED:,} events name their page: requests after them have none")
