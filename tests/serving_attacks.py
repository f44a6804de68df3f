"""Requests that a caller with a token of team 1 may make up, and what none of them may get."""

import base64
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlencode

import cramjam
from hypothesis import strategies as st

from recording_worker.formats.batch_file import BlockEntry
from recording_worker.serving.tokens import AUDIENCE
from tests.batch_files import block, line, write_batch_file
from tests.builders import NOW_MS
from tests.serving import OLD_SECRET, SECRET, Answer, Asked, token

MINE = "of-team-1"
THEIRS = "of-team-2"
GONE = "of-a-deleted-session"
"""Texts that stand in every line of team 1, of team 2, and of a session of team 1 that is deleted."""
ALIKE = "alike"
"""A session id that both teams use."""
_SESSIONS = [(1, MINE), (1, ALIKE), (1, GONE), (2, THEIRS), (2, ALIKE)]

_LEADS_OUT = (
    "..",
    ".",
    "/",
    "\0",
    "%00",
    "%2e%2e%2f",
    "../../etc/passwd",
    "file:///etc/passwd",
    "s3://other/key",
    "\\",
)
_MEANS_SOMETHING = (
    "' OR 1=1 --",
    "{x:String}",
    "\\N",
    "\\'",
    "%",
    "_",
    "*",
    "true",
    "TRUE",
    "null",
    "[]",
    "NaN",
    "-0",
    "1e999",
)
_ODD_TEXT = (
    st.text(max_size=20)
    | st.sampled_from(_LEADS_OUT)
    | st.sampled_from(_MEANS_SOMETHING)
    | st.sampled_from(("", "\ufffd", "\ufeff", "a\nb", "a\tb", "🙂" * 50, "x" * 3000))
)
_NOT_PLAIN = ("-1", "+1", " 1", "1 ", "01", "1.0", "1e3", "0x10", "1_0", "²", "٣", "")
_LARGE = ("2147483648", "9223372036854775807", "9223372036854775808", "18446744073709551616", "9" * 400)
_ODD_NUMBER = st.sampled_from(_NOT_PLAIN) | st.sampled_from(_LARGE) | st.integers(-(2**70), 2**70).map(str)


class Stored(NamedTuple):
    """A block of a storage."""

    team_id: int
    session_id: str
    key: str
    start: int
    end: int


class Attack(NamedTuple):
    path: str
    query: str
    authorization: str
    may_read: bool
    """Whether the token is a good one, of team 1."""


def write_storage(folder: Path) -> list[Stored]:
    """Write sessions of two teams into one file. Return their blocks."""
    blocks = [sessions_block(team_id, session_id) for team_id, session_id in _SESSIONS]
    key = write_batch_file(folder, *blocks).relative_to(folder).as_posix()
    return [
        Stored(entry.team_id, entry.session_id, key, entry.start, entry.start + entry.length - 1) for entry, _ in blocks
    ]


def sessions_block(team_id: int, session_id: str) -> tuple[BlockEntry, bytes]:
    marker = GONE if session_id == GONE else MINE if team_id == 1 else THEIRS
    entry, lines = block([(1, [line(NOW_MS + n, said=marker, n=n) for n in range(9)])], session_id, team_id)
    return replace(entry, distinct_id=marker), lines


def _encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


_CLAIMS = {"team_id": 1, "op": "read", "aud": AUDIENCE}
_BAD_TOKENS: dict[str, Callable[[], str]] = {
    "none": lambda: f"{_encoded({'alg': 'none', 'typ': 'JWT'})}.{_encoded({**_CLAIMS, 'exp': time.time() + 60})}.",
    "none with a signature": lambda: f"{_encoded({'alg': 'none'})}.{token().split('.', 1)[1]}",
    "expired": lambda: token(exp=time.time() - 31),
    "endless": lambda: token(exp=None),
    "lasting": lambda: token(exp=time.time() + 10_000_000),
    "huge": lambda: token(exp=10**30),
    "not yet": lambda: token(nbf=time.time() + 300),
    "audience": lambda: token(aud="posthog:other"),
    "no audience": lambda: token(aud=None),
    "audiences": lambda: token(aud=["a", "b"]),
    "secret": lambda: token(secret="a-secret-that-nobody-gave-to-anyone"),
    "algorithm": lambda: token(algorithm="HS512", secret=SECRET * 2),
    "operation": lambda: token(op="delete"),
    "operations": lambda: token(op=["read"]),
    "team": lambda: token(2, secret="a-secret-that-nobody-gave-to-anyone"),
    "teams": lambda: token([1, 2]),
    "text": lambda: token("1"),
    "truth": lambda: token(True),
    "float": lambda: token(1.0),
    "nothing": lambda: "",
    "cut": lambda: token()[:-1],
}
"""Tokens that are no good, made when they are used, because tokens end soon."""


_PARTS = ("team", "session", "route", "key", "start", "end", "others", "twice", "token")


def attacks(stored: Sequence[Stored]) -> st.SearchStrategy[Attack]:
    """Requests near what is right: for a block of one of the teams, with at most two parts that are odd."""
    return st.composite(_attack)(stored)


def _attack(draw: st.DrawFn, stored: Sequence[Stored]) -> Attack:
    odd_parts = draw(st.sets(st.sampled_from(_PARTS), max_size=2))

    def part(name: str, *right: str, odd: st.SearchStrategy[str] = _ODD_TEXT) -> str:
        return draw(odd if name in odd_parts else st.sampled_from(right))

    wanted = draw(st.sampled_from(stored))
    team = part("team", "1", "1", "1", "2", odd=_ODD_NUMBER | _ODD_TEXT)
    session = part("session", wanted.session_id, wanted.session_id, *(each.session_id for each in stored))
    route = part("route", "block", "block", "block", "blocks", "sessions")
    path = f"/api/projects/{team}/{'sessions' if route == 'sessions' else f'recordings/{session}/{route}'}"
    fields = [
        ("key", part("key", wanted.key, odd=_ODD_TEXT | st.just(_mangled(draw, wanted.key)))),
        ("start_byte", part("start", str(wanted.start), odd=_ODD_NUMBER)),
        ("end_byte", part("end", str(wanted.end), odd=_ODD_NUMBER)),
        *(draw(st.lists(_EXTRA, max_size=3)) if "others" in odd_parts else []),
    ]
    if "twice" in odd_parts:
        fields.append(draw(st.sampled_from(fields)))
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in draw(st.permutations(fields)))
    may_read = "token" not in odd_parts
    good = token(secret=draw(st.sampled_from([SECRET, OLD_SECRET])))
    given = good if may_read else _BAD_TOKENS[draw(st.sampled_from(sorted(_BAD_TOKENS)))]()
    return Attack(path, query, f"Bearer {given}", may_read)


_NAMES = ["decompress", "since", "until", "limit", "cursor", "session", "user", "playable", "team_id", "session_id"]
_EXTRA = st.tuples(
    st.sampled_from(_NAMES),
    _ODD_TEXT
    | _ODD_NUMBER
    | st.sampled_from(["true", "1", "1e9:x", f"1e308:{THEIRS}", "2026-11-24T03:30Z", THEIRS, GONE]),
)


def _mangled(draw: st.DrawFn, key: str) -> str:
    """The key, spelled otherwise, or one that leads elsewhere."""
    folder, _, name = key.rpartition("/")
    before = st.sampled_from(("../storage/", "./", "/", "x/../", "file:///", "s3://bucket/")).map(
        lambda text: text + key
    )
    after = st.sampled_from(("/", "?range=bytes=0-9", "#", "\0", " ")).map(lambda text: key + text)
    between = st.sampled_from(("//", "/../30d/", "/%2e%2e/30d/", "\\")).map(lambda text: folder + text + name)
    return draw(before | after | between | st.sampled_from((name, key.upper(), quote(key, safe=""))))


def check(asked: Asked, attack: Attack) -> Answer:
    """Ask, and check that the answer holds nothing that nobody may get."""
    answer = asked.get(attack.path, attack.query, attack.authorization)
    shown = answer.body
    if answer.headers.get("content-type") == "application/octet-stream":
        shown = bytes(cramjam.snappy.decompress_raw(answer.body))
    assert answer.status in (200, 307, 400, 401, 403, 404, 410, 413), (attack, answer)
    assert THEIRS.encode() not in shown, (attack, answer)
    assert GONE.encode() not in shown, (attack, answer)
    if answer.status == 200:
        assert attack.may_read, (attack, answer)
        assert attack.path.startswith("/api/projects/1/"), (attack, answer)
    else:
        assert MINE.encode() not in shown, (attack, answer)
        assert answer.headers.get("cache-control", "no-store") == "no-store", (attack, answer)
    return answer


def check_the_right_request(asked: Asked, stored: Sequence[Stored]) -> None:
    """Check that what attacks are near to is answered: those who may read do."""
    for each in stored:
        query = urlencode({"key": each.key, "start_byte": each.start, "end_byte": each.end, "decompress": "true"})
        path = f"/api/projects/{each.team_id}/recordings/{each.session_id}/block"
        answer = asked.get(path, query, f"Bearer {token(each.team_id)}")
        assert answer.status == (410 if each.session_id == GONE else 200), (each, answer)
