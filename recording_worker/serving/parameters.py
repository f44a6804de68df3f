"""Parameters: what requests ask for, checked. Blocks have the rules of PostHog's API.

They stand in nodejs/src/session-replay/recording-api/schemas.ts.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from recording_worker.formats.timestamps import parse_iso
from recording_worker.reading.catalogue import SessionQuery

Query = Mapping[str, Sequence[str]]
"""Name → the values that the query gives it."""

MAX_SESSIONS = 1000
_MAX_NUMBER = 2**63 - 2
"""The last byte that a file can have: the length of a range up to it still fits into SQLite's integers."""
_DIGITS = re.compile("[0-9]+", re.ASCII)
_TRUTH = {"true": True, "1": True, "false": False, "0": False}
_CURSOR = re.compile(r"(?=[^:]{1,25}:)(-?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?):(.*)", re.ASCII | re.DOTALL)
"""See cursor_text. A number as Python writes it."""


class ParameterError(ValueError):
    """A parameter is missing or wrong. The text says which."""


class BlockRange(NamedTuple):
    """Which block to read: the range of its bytes, first and last inclusive."""

    key: str
    start: int
    end: int
    decompress: bool


def team_of(text: str) -> int:
    """Return a team id from a path. Raises ParameterError."""
    team_id = _number(text, "team_id")
    if team_id == 0:
        raise ParameterError("Invalid team_id parameter")
    return team_id


def session_of(text: str) -> str:
    """Return a session id from a path. Raises ParameterError."""
    if not text:
        raise ParameterError("Invalid session_id parameter")
    return text


def block_range(query: Query) -> BlockRange:
    """Raises ParameterError."""
    key = _one(query, "key")
    if not key:
        raise ParameterError(f"{'Missing' if key is None else 'Invalid'} key query parameter")
    start, end = _required(query, "start_byte"), _required(query, "end_byte")
    if start > end:
        raise ParameterError("start_byte must be less than or equal to end_byte")
    return BlockRange(key, start, end, _truth(query, "decompress") or False)


def session_query(query: Query) -> SessionQuery:
    """Raises ParameterError."""
    since, until = _time(query, "since"), _time(query, "until")
    limit = _one(query, "limit")
    wanted = 100 if limit is None else _number(limit, "limit")
    if not 1 <= wanted <= MAX_SESSIONS:
        raise ParameterError(f"limit must be from 1 to {MAX_SESSIONS}")
    return SessionQuery(
        since=float("-inf") if since is None else since,
        until=float("inf") if until is None else until,
        prefix=_one(query, "session") or "",
        distinct_id=_one(query, "user"),
        playable=_truth(query, "playable"),
        before=_cursor(query),
        limit=wanted,
    )


def cursor_text(first_timestamp: float, session_id: str) -> str:
    """Return the text that continues a listing after this session."""
    return f"{first_timestamp!r}:{session_id}"


def _cursor(query: Query) -> tuple[float, str] | None:
    text = _one(query, "cursor")
    if text is None:
        return None
    found = _CURSOR.fullmatch(text)
    if found is None:
        raise ParameterError("Invalid cursor query parameter")
    return float(found[1]), found[2]


def _required(query: Query, name: str) -> int:
    text = _one(query, name)
    if text is None:
        raise ParameterError(f"Missing {name} query parameter")
    return _number(text, f"{name} query")


def _number(text: str, name: str) -> int:
    if not _DIGITS.fullmatch(text) or len(text) > 19 or int(text) > _MAX_NUMBER:
        raise ParameterError(f"Invalid {name} parameter")
    return int(text)


def _truth(query: Query, name: str) -> bool | None:
    text = _one(query, name)
    if text is not None and text not in _TRUTH:
        raise ParameterError(f"Invalid {name} query parameter")
    return None if text is None else _TRUTH[text]


def _time(query: Query, name: str) -> float | None:
    """Return a time in milliseconds since 1970. It is UTC if it names no zone."""
    text = _one(query, name)
    try:
        return None if text is None else parse_iso(text)
    except ValueError:
        raise ParameterError(f"{name} must be a time such as 2026-11-24T03:30Z") from None


def _one(query: Query, name: str) -> str | None:
    """Return the value of a parameter, None if it is not given. Raises ParameterError if it is given twice."""
    values = query.get(name, ())
    if len(values) > 1:
        raise ParameterError(f"Invalid {name} query parameter")
    return values[0] if values else None
