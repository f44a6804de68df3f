"""Teams that share a worker: whatever one team sends, what becomes of another team's messages stays the same.

The team under attack sends the same messages each time. The attacker knows all about them, and sends messages of its
own before, between and after them, through the same partition.
"""

import base64
import gzip
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from recording_worker.cli import cli
from recording_worker.formats.retention import RETENTIONS
from recording_worker.formats.session_keys import SessionKeys
from recording_worker.lookups.redis_commands import Command
from recording_worker.lookups.restrictions.service import Restriction, Rule
from recording_worker.lookups.teams.service import Team
from recording_worker.messages import Message, MessageColumns, OutputRecord
from recording_worker.metrics import Metrics
from recording_worker.outcome import Reason
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.build import build_pipeline, make_decoder
from recording_worker.processes.worker.delivered import count_delivered
from recording_worker.recording.flush import FlushedPartition
from recording_worker.recording.session_batch import (
    FlushReason,
    SessionBatchManager,
    SessionBatchRecorder,
    SessionLimits,
)
from recording_worker.settings.model import Settings
from tests import builders
from tests.builders import NOW_MS, FakeClock, FixedRestrictions, counted, header_texts, message
from tests.session_files import take_sessions

VICTIM, ATTACKER = 1, 12
TEAMS = {"one": Team(VICTIM, True, "30d"), "twelve": Team(ATTACKER, True, "5y")}
TOKENS = {team.id: token for token, team in TEAMS.items()}
MARK = "\x1b[31m../no-label"
"""A text that a client chooses."""

IDS = ["s", "2:s", "1:s", "../s", "session-retention", MARK]
"""Session ids of both teams. A key that only joins a team's id and a session's could mean two sessions."""


class MemoryRedis:
    """What the steps need of Redis, in a dict."""

    def __init__(self) -> None:
        self.keys: dict[str, str] = {}

    def ask(self, commands: Sequence[Command]) -> list[object]:
        return [self._answer(*map(str, command)) for command in commands]

    def _answer(self, name: str, key: str, value: str = "", *options: str) -> object:
        if name == "SET":
            taken = "NX" in options and key in self.keys
            self.keys.setdefault(key, value)
            return None if taken else True
        found = self.keys.get(key)
        return int(found is not None) if name == "EXISTS" else found and found.encode()


class NoFlush:
    """Nothing is flushed while messages are read."""

    busy = False

    def raise_if_failed(self) -> None:
        """Nothing can have failed."""

    def submit(self, _session_batch: SessionBatchRecorder, reason: FlushReason) -> None:
        raise AssertionError(reason)


@dataclass
class Fate:
    """What became of the messages of a team."""

    ended: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Offset → disposition and reason, of those that ended."""
    sessions: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    records: list[OutputRecord] = field(default_factory=list)
    """DLQ, overflow and warning records."""
    keys: dict[str, str] = field(default_factory=dict)
    """Keys of Redis that name the team."""


class Worker:
    """The pipeline of a worker, with every limit that a team can reach."""

    def __init__(self) -> None:
        settings = Settings(
            hot_session_bytes_per_minute=30_000,
            max_events_per_session_per_batch=50,
            max_console_logs_per_session_per_batch=5,
            new_sessions_burst=len(IDS),
            new_sessions_per_second=1,
            block_new_sessions=True,
            sessions_redis="redis://localhost",
        )
        self.metrics, self.redis, clock = Metrics(), MemoryRedis(), FakeClock()
        self._manager = SessionBatchManager("recordings", clock, 1 << 30, 3600.0, SessionLimits.of(settings))
        rules = (
            Rule(Restriction.DROP_EVENT, TOKENS[ATTACKER], session_ids=frozenset({"1:s"})),
            Rule(Restriction.REDIRECT_TO_DLQ, TOKENS[ATTACKER], distinct_ids=frozenset({"user-dlq"})),
            Rule(Restriction.FORCE_OVERFLOW, TOKENS[ATTACKER], session_ids=frozenset({"../s"})),
        )
        self._pipeline = build_pipeline(
            settings,
            decoder=make_decoder(settings),
            teams=TEAMS,
            restrictions=FixedRestrictions(*rules),
            manager=self._manager,
            flusher=NoFlush(),
            clock=clock,
            metrics=self.metrics,
            redis=self.redis,
        )

    def read(self, messages: Sequence[Message], poll: int) -> dict[int, Fate]:
        """Read messages, `poll` at a time. Return team → what became of its messages."""
        fates = {team: Fate() for team in TOKENS}
        tokens = {at.offset: header_texts(at.headers)["token"] for at in messages}
        for start in range(0, len(messages), poll):
            batch = MessageBatch("recordings", MessageColumns.of(messages[start : start + poll]))
            self._pipeline.run(batch)
            assert not len(batch.rest)
            for row, offset in enumerate(batch.offsets):
                if batch.dispositions[row]:
                    ending = batch.dispositions[row], batch.reasons[row]
                    fates[TEAMS[tokens[offset]].id].ended[offset] = ending
        held = self._manager.current
        for record in chain.from_iterable(partition.records for partition in held.partitions.values()):
            token = header_texts(record.headers).get("token")
            team = int(record.key or b"") if token is None else TEAMS[token].id
            fates[team].records.append(record)
        accounts, counts = held.accounts(), held.counts()
        delivered = {at: FlushedPartition(accounts[at], [], counts=counts[at]) for at in held.partitions}
        count_delivered(delivered.items(), self.metrics)
        for session in take_sessions(held.sessions):
            entry = {name: figure for name, figure in session.entry.items() if name != "start"}
            metadata = {name: figure for name, figure in session.metadata.items() if name not in PLACE}
            outcome = session.retention, entry, metadata, session.console_logs, session.lines
            fates[session.entry["team_id"]].sessions[session.entry["session_id"]] = outcome
        for key, text in self.redis.keys.items():
            named = re.match(r"@posthog/replay/session-(?:retention|begun|blocked):(\d+):", key)
            assert named
            fates[int(named[1])].keys[key] = text
        for fate in fates.values():
            fate.records.sort()
        return fates


PLACE = {"block_url", "uuid"}
"""Where a block is, and a made-up id: other blocks in the file move the first."""


def sent(
    team: int,
    offset: int,
    session_id: str,
    events: Sequence[Any] | None = None,
    *,
    distinct_id: str = "user-1",
    value: bytes | None = None,
    lib_version: str = "1.255.0",
    other_headers: Mapping[str, str] | None = None,
) -> Message:
    """A message of a team. Its value names the other team's token, which counts for nothing."""
    content = builders.value(events, session_id=session_id, distinct_id=distinct_id)
    other = json.loads(content) | {"token": TOKENS[VICTIM + ATTACKER - team]}
    given = {"session_id": session_id, "distinct_id": distinct_id, "lib_version": lib_version, **(other_headers or {})}
    return message(
        offset,
        value=gzip.compress(orjson.dumps(other)) if value is None else value,
        headers=builders.headers(token=TOKENS[team], **given),
        key=session_id.encode(),
    )


def console(text: str) -> dict[str, Any]:
    return builders.event(type=6, plugin="rrweb/console@1", payload={"level": "info", "payload": [text]})


def victims_messages() -> list[Message]:
    """Of each session two. Some of them come to an end of their own."""
    messages = [sent(VICTIM, 2 * n, id_, [builders.event(n=n), console("mine")]) for n, id_ in enumerate(IDS)]
    at = 2 * len(messages)
    messages += [sent(VICTIM, at + 2 * n, id_, [builders.event(n=-n)]) for n, id_ in enumerate(IDS)]
    at += 2 * len(IDS)
    messages.append(sent(VICTIM, at, "s", lib_version="1.7.3"))
    messages.append(sent(VICTIM, at + 2, "s", value=b"not json"))
    messages.append(sent(VICTIM, at + 4, "one-too-many"))
    return messages


def attack(kind: str, offset: int, session_id: str) -> list[Message]:
    """Messages of the attacker, from an odd offset on."""
    match kind:
        case "the same ids":
            return [sent(ATTACKER, offset, session_id, [builders.event(theirs=True), console("theirs")])]
        case "many events":
            return [sent(ATTACKER, offset, session_id, [builders.event()] * 60)]
        case "many console messages":
            return [sent(ATTACKER, offset, session_id, [console(f"theirs {n}") for n in range(20)])]
        case "many bytes":
            noise = bytes(range(256)).hex() * 80
            value = builders.value([builders.event(noise=noise)], session_id=session_id)
            return [sent(ATTACKER, offset + 2 * n, session_id, value=value) for n in range(3)]
        case "many sessions":
            return [sent(ATTACKER, offset + 2 * n, f"{session_id}{n}") for n in range(8)] + [
                sent(ATTACKER, offset + 16, session_id)
            ]
        case "a restricted user":
            return [sent(ATTACKER, offset, session_id, distinct_id="user-dlq")]
        case "old clients":
            return [sent(ATTACKER, offset + 2 * n, session_id, lib_version=f"1.7.{n}") for n in range(4)]
        case "events of another time":
            return [sent(ATTACKER, offset, session_id, [builders.event(NOW_MS + 10**11)])]
        case "a header of another session":
            return [sent(ATTACKER, offset, "another", value=builders.value(session_id=session_id))]
        case "no JSON":
            return [sent(ATTACKER, offset, session_id, value=b"{")]
        case _:
            unknown = {"content-encoding": MARK, "uuid": MARK, "event": MARK}
            return [sent(ATTACKER, offset, session_id, lib_version=MARK, other_headers=unknown)]


KINDS = [
    "the same ids",
    "many events",
    "many console messages",
    "many bytes",
    "many sessions",
    "a restricted user",
    "old clients",
    "events of another time",
    "a header of another session",
    "no JSON",
    "headers that nobody knows",
]
POLLS = [1, 7, 1000]


@pytest.fixture(scope="module")
def alone() -> Fate:
    """What becomes of the victim's messages if nobody else sends any."""
    return Worker().read(victims_messages(), 1000)[VICTIM]


def test_the_victims_messages_come_to_every_kind_of_end(alone: Fate) -> None:
    assert len(alone.sessions) == len(IDS)
    assert len(alone.ended) == 2
    assert sorted(record.topic.rpartition("_")[2] for record in alone.records) == ["dlq", "warnings"]
    assert len(alone.keys) == 2 * len(IDS) + 2, "seen and pinned; one more is seen and blocked"
    assert all(outcome[3] for outcome in alone.sessions.values()), "console logs"


@pytest.mark.parametrize("poll", POLLS)
@pytest.mark.parametrize("kind", KINDS)
def test_no_attack_changes_what_becomes_of_another_teams_messages(alone: Fate, kind: str, poll: int) -> None:
    mine = victims_messages()
    theirs = list(chain.from_iterable(attack(kind, 1 + 40 * number, id_) for number, id_ in enumerate(IDS)))
    mixed = [at for pair in zip_longest(theirs, mine) for at in pair if at is not None]
    for messages in (theirs + mine, mixed, mine + theirs):
        assert Worker().read(messages, poll)[VICTIM] == alone


@given(
    attacks=st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from(IDS), st.integers(0, 14)), max_size=8),
    poll=st.sampled_from(POLLS),
)
def test_no_mixture_of_attacks_does(alone: Fate, attacks: list[tuple[str, str, int]], poll: int) -> None:
    mine = victims_messages()
    messages = [[at] for at in mine]
    for number, (kind, session_id, before) in enumerate(attacks):
        messages[before][:0] = attack(kind, 1 + 40 * number, session_id)
    assert Worker().read(list(chain.from_iterable(messages)), poll)[VICTIM] == alone


def test_every_attack_reaches_the_limit_that_it_is_for() -> None:
    """Otherwise the tests above would show nothing."""
    reasons, topics, left_out = set[str](), set[str](), 0.0
    for kind in KINDS:
        worker = Worker()
        theirs = [at for number, id_ in enumerate(IDS) for at in attack(kind, 1 + 40 * number, id_)]
        fate = worker.read(theirs, 1)[ATTACKER]
        reasons |= {Reason(reason).label for _, reason in fate.ended.values()}
        topics |= {record.topic for record in fate.records}
        left_out += counted(worker.metrics, "console_logs_left_out_total") or 0
    assert reasons == {
        "event_dropped_by_restriction",
        "redirected_by_restriction",
        "overflow_forced",
        "overflow_hot_session",
        "session_blocked",
        "session_event_limit",
        "session_id_header_body_mismatch",
        "message_timestamp_diff_too_large",
        "invalid_json",
        "invalid_compressed_data",
    }
    assert "clickhouse_ingestion_warnings" in topics
    assert left_out > 0


def test_no_metric_has_a_label_that_a_client_chooses() -> None:
    """Else clients fill the memory, and what one sends shows in the others' figures."""
    worker = Worker()
    worker.read(
        [*victims_messages(), *attack("headers that nobody knows", 1, MARK), *attack("old clients", 41, MARK)], 1
    )
    labels = {
        text
        for metric in worker.metrics.registry.collect()
        for sample in metric.samples
        for text in sample.labels.values()
    }
    chosen = {*IDS, *TOKENS.values(), "user-1", "1.7.3", "$snapshot_items", "window-1"}
    assert labels & chosen == set()
    assert not any(MARK in text for text in labels)


def test_no_path_holds_a_text_that_a_client_chooses(tmp_path: Any) -> None:
    lines = [
        orjson.dumps(
            {
                "partition_key": MARK,
                "timestamp_ms": NOW_MS,
                "headers": [*header_texts(at.headers).items()],
                "value_b64": base64.b64encode(at.value or b"").decode(),
            }
        )
        for at in (sent(VICTIM, 0, id_, distinct_id=MARK) for id_ in IDS)
    ]
    file = tmp_path / "messages.jsonl"
    file.write_bytes(b"\n".join(lines))
    out = tmp_path / "out"
    done = CliRunner().invoke(cli, ["ingest", str(file), "--out", str(out), "--any-token"])
    assert done.exit_code == 0, done.output
    [batch_file] = [path for path in (out / "blocks").rglob("*") if path.is_file()]
    assert batch_file.parent.parent == out / "blocks"
    assert batch_file.parent.name in RETENTIONS
    assert not any(id_ in batch_file.name for id_ in IDS if len(id_) > 1)
    assert {path.name for path in tmp_path.iterdir()} == {"messages.jsonl", "out"}


@pytest.mark.parametrize("name", ["begun", "seen", "blocked", "retention"])
def test_no_two_sessions_share_a_key(name: str) -> None:
    key_of = getattr(SessionKeys("@posthog/replay/"), name)
    sessions = [(team, id_) for team in (1, 2, 12) for id_ in [*IDS, "2:1:s", ":s", ""]]
    assert len({key_of(session) for session in sessions}) == len(sessions)
