"""Makes up traffic: the messages of several visits at once, as a capture service sends them to Kafka.

Each message comes with what the worker must do with it, so that a run can be checked. The same seed and start time
give the same messages, and so the same figures.
"""

import gzip
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from random import Random
from typing import NamedTuple

import cramjam
import orjson

from recording_worker.demo.page import PATHS, Page
from recording_worker.demo.requests import with_requests
from recording_worker.demo.visitor import Visitor
from recording_worker.formats.rrweb import Event
from recording_worker.messages import Headers, Message
from recording_worker.outcome import Disposition, Reason

TEAMS = """\
# Which tokens are accepted, and how long their recordings are kept.
[[team]]
id = 1
token = "phc_demo_shop"
retention = "30d"

[[team]]
id = 2
token = "phc_demo_shop_de"
retention = "90d"
console_logs = false

[[team]]
id = 3
token = "phc_demo_shop_paused"
retention = "30d"
"""
"""The teams file that the traffic is made for."""

RESTRICTIONS = """\
# Which messages are dropped or redirected.
[[restriction]]
type = "drop_event"
token = "phc_demo_shop_paused"

[[restriction]]
type = "force_overflow"
token = "phc_demo_shop"
distinct_ids = ["load-test"]

[[restriction]]
type = "redirect_to_dlq"
token = "phc_demo_shop"
distinct_ids = ["fuzzer"]
"""
"""The restrictions file that the traffic is made for."""

_TOKENS = {"phc_demo_shop": 6, "phc_demo_shop_de": 3}
_LIB_VERSIONS = {"1.449.2": 8, "1.255.0": 2, "1.64.1": 1}
_ENCODINGS = {"gzip": 8, "plain": 1, "lz4": 1}
_VISITS_AT_ONCE = 24
_EVENTS_A_MESSAGE = (5, 80)
_MESSAGES_A_MISFIT = 25
_VISITS_BEGAN_MS = 3_600_000
_DAY_MS = 86_400_000


class Outcome(NamedTuple):
    """Where a message must end up, and why."""

    disposition: Disposition
    reason: Reason


OK = Outcome(Disposition.OK, Reason.NONE)


class Planned(NamedTuple):
    """A message, and what the worker must do with it."""

    message: Message
    outcome: Outcome
    events: int
    """The number of its events that the worker must record."""


@dataclass(slots=True)
class Draft:
    """The parts of a message. They can be changed to make a misfit."""

    session_id: str
    distinct_id: str
    token: str
    lib_version: str
    encoding: str
    time_ms: int
    items: list[Event]
    headers: dict[str, str] = field(default_factory=dict)
    """Headers that contradict the body."""
    without_header: str = ""
    event: str = "$snapshot_items"
    value: Callable[[bytes], bytes | None] | None = None
    """Changes the finished value, for example cuts it off."""

    def message(self, offset: int) -> Message:
        data = {
            "event": self.event,
            "properties": {
                "distinct_id": self.distinct_id,
                "$session_id": self.session_id,
                "$window_id": self.session_id[::-1],
                "$snapshot_source": "web",
                "$snapshot_items": self.items,
                "$lib": "web",
                "$lib_version": self.lib_version,
            },
        }
        now = datetime.fromtimestamp(self.time_ms / 1000, UTC).isoformat(timespec="milliseconds")
        outer = {
            "uuid": str(uuid.UUID(int=offset)),
            "distinct_id": self.distinct_id,
            "ip": "192.0.2.1",
            "data": orjson.dumps(data).decode(),
            "now": now,
            "sent_at": now,
            "token": self.token,
        }
        value: bytes | None = _encode(orjson.dumps(outer), self.encoding)
        if self.value is not None and value is not None:
            value = self.value(value)
        return Message(0, offset, self.time_ms, self.session_id.encode(), value, self._headers(outer))

    def _headers(self, outer: dict[str, str]) -> Headers:
        headers = {
            "token": self.token,
            "distinct_id": self.distinct_id,
            "session_id": self.session_id,
            "timestamp": str(self.time_ms),
            "event": self.event,
            "uuid": outer["uuid"],
            "now": outer["now"],
            "lib_version": self.lib_version,
        }
        if self.encoding == "lz4":
            headers["content-encoding"] = "lz4"
        headers |= self.headers
        headers.pop(self.without_header, None)
        return [(key, value.encode()) for key, value in headers.items()]


def traffic(seed: int, now_ms: int) -> Iterator[Planned]:
    """Yield messages without end. The visits began within the hour before `now_ms` (milliseconds since 1970)."""
    random = Random(seed)
    pages = [Page(path, random) for path in PATHS]
    visits = [_visit(random, now_ms, pages) for _ in range(_VISITS_AT_ONCE)]
    offset = 0
    while True:
        turn = random.randrange(len(visits))
        draft = next(visits[turn], None)
        if draft is None:
            visits[turn] = _visit(random, now_ms, pages)
            continue
        yield Planned(draft.message(offset), OK, len(draft.items))
        offset += 1
        if random.randrange(_MESSAGES_A_MISFIT) == 0:
            make, outcome = random.choice(_MISFITS)
            misfit = _misfit(random, now_ms, pages)
            make(misfit)
            yield Planned(misfit.message(offset), outcome, 0)
            offset += 1


def _visit(random: Random, now_ms: int, pages: Sequence[Page]) -> Iterator[Draft]:
    """Yield the messages of one visit, one for every few seconds."""
    visitor = Visitor(random, now_ms - random.randrange(_VISITS_BEGAN_MS), pages)
    session_id = str(uuid.UUID(int=random.getrandbits(128), version=4))
    distinct_id = f"visitor-{random.randrange(10**6)}"
    token, lib_version = _pick(random, _TOKENS), _pick(random, _LIB_VERSIONS)
    events = with_requests(visitor.events())
    while items := list(islice(events, random.randint(*_EVENTS_A_MESSAGE))):
        encoding = _pick(random, _ENCODINGS)
        yield Draft(session_id, distinct_id, token, lib_version, encoding, visitor.time_ms, items)


def _misfit(random: Random, now_ms: int, pages: Sequence[Page]) -> Draft:
    """Make a small message with its own session, to turn into a misfit."""
    visitor = Visitor(random, now_ms - random.randrange(_VISITS_BEGAN_MS), pages)
    items = list(islice(visitor.events(), 1))
    session_id = str(uuid.UUID(int=random.getrandbits(128), version=4))
    return Draft(session_id, "visitor-0", "phc_demo_shop", "1.449.2", "gzip", visitor.time_ms, items)


def _pick(random: Random, weights: dict[str, int]) -> str:
    return random.choices(list(weights), list(weights.values()))[0]


def _encode(value: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.compress(value, 1, mtime=0)
    if encoding == "lz4":
        return bytes(cramjam.lz4.compress_block(value, store_size=True))
    return value


def _cut_off(draft: Draft) -> None:
    draft.value = lambda value: value[: len(value) // 2]


def _not_json(draft: Draft) -> None:
    draft.encoding, draft.value = "plain", lambda value: value[:-1] + b"!"


def _no_value(draft: Draft) -> None:
    draft.value = lambda _: None


def _no_token(draft: Draft) -> None:
    draft.without_header = "token"


def _no_snapshot(draft: Draft) -> None:
    draft.event = "$pageview"


def _other_session(draft: Draft) -> None:
    draft.headers["session_id"] = "another-session"


def _other_visitor(draft: Draft) -> None:
    draft.headers["distinct_id"] = "another-visitor"


def _no_event(draft: Draft) -> None:
    draft.items = [{"type": 3, "data": {"source": 1}}, {"type": 3, "timestamp": 0}]


def _wrong_clock(draft: Draft) -> None:
    for event in draft.items:
        timestamp = event["timestamp"]
        assert isinstance(timestamp, int)
        event["timestamp"] = timestamp - 30 * _DAY_MS


def _unknown_team(draft: Draft) -> None:
    draft.token = "phc_of_nobody"


def _paused_team(draft: Draft) -> None:
    draft.token = "phc_demo_shop_paused"


def _load_test(draft: Draft) -> None:
    draft.distinct_id = "load-test"


def _fuzzer(draft: Draft) -> None:
    draft.distinct_id = "fuzzer"


_MISFITS: list[tuple[Callable[[Draft], None], Outcome]] = [
    (_cut_off, Outcome(Disposition.DLQ, Reason.INVALID_COMPRESSED_DATA)),
    (_not_json, Outcome(Disposition.DLQ, Reason.INVALID_JSON)),
    (_no_value, Outcome(Disposition.DLQ, Reason.MESSAGE_VALUE_OR_TIMESTAMP_IS_EMPTY)),
    (_no_token, Outcome(Disposition.DLQ, Reason.NO_TOKEN_IN_HEADER)),
    (_no_snapshot, Outcome(Disposition.DLQ, Reason.RECEIVED_NON_SNAPSHOT_MESSAGE)),
    (_other_session, Outcome(Disposition.DLQ, Reason.SESSION_ID_HEADER_BODY_MISMATCH)),
    (_other_visitor, Outcome(Disposition.DLQ, Reason.DISTINCT_ID_HEADER_BODY_MISMATCH)),
    (_fuzzer, Outcome(Disposition.DLQ, Reason.REDIRECTED_BY_RESTRICTION)),
    (_no_event, Outcome(Disposition.DROP, Reason.MESSAGE_CONTAINED_NO_VALID_RRWEB_EVENTS)),
    (_wrong_clock, Outcome(Disposition.DROP, Reason.MESSAGE_TIMESTAMP_DIFF_TOO_LARGE)),
    (_unknown_team, Outcome(Disposition.DROP, Reason.HEADER_TOKEN_PRESENT_TEAM_MISSING_OR_DISABLED)),
    (_paused_team, Outcome(Disposition.DROP, Reason.EVENT_DROPPED_BY_RESTRICTION)),
    (_load_test, Outcome(Disposition.REDIRECT, Reason.OVERFLOW_FORCED)),
]
"""How to turn a message into a misfit, and what the worker must do with that misfit."""
