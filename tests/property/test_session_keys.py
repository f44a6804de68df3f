"""Sessions are recorded, flushed, moved and deleted while workers die: what is stored is as a plain model has it.

The steps, the flusher, the files and the way they are read are real. The key store is in memory, and Redis, Kafka and
the storage are a few lines each.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from recording_worker._native import Decoder
from recording_worker.dependencies import KEY_STORE, DependencyWatch
from recording_worker.errors import FlushError
from recording_worker.formats.session_keys import Session
from recording_worker.lookups.redis_commands import Command
from recording_worker.lookups.teams.service import Team
from recording_worker.messages import MessageColumns
from recording_worker.metrics import Metrics
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.steps.flush_batch import FlushBatch
from recording_worker.pipeline.steps.obtain_batch import ObtainBatch
from recording_worker.pipeline.steps.parse_headers import ParseHeaders
from recording_worker.pipeline.steps.parse_session_recording_message import ParseSessionRecordingMessage
from recording_worker.pipeline.steps.record_session_event import RecordSessionEvent
from recording_worker.pipeline.steps.resolve_session_key import ResolveSessionKey
from recording_worker.pipeline.steps.resolve_team import ResolveTeam
from recording_worker.reading.batch_files import Block, read_index
from recording_worker.reading.decryption import Decryption, SessionDeletedError
from recording_worker.recording.flush import FlushedBatch, Flusher
from recording_worker.recording.session_batch import FlushReason, SessionBatchManager, SessionLimits
from recording_worker.settings.model import Settings
from recording_worker.storage.base import Part
from tests import builders
from tests.builders import KEYS, FakeClock
from tests.memory_keys import MemoryKeys

INTERVAL = 60
"""After how many seconds a worker asks again about a session."""
TEAM = 1
PARTITION_OF = {"a": 0, "b": 0, "c": 1}
"""Session id → its partition."""
WORKERS = 2
METRICS = Metrics()
"""Costly to make, and of no concern here."""

sessions = st.sampled_from([*PARTITION_OF])
partitions = st.sampled_from(sorted({*PARTITION_OF.values()}))
workers = st.integers(0, WORKERS - 1)


@dataclass
class MemoryFile:
    """A batch file in memory."""

    content: bytes
    name: str = "memory:file"

    def read_tail(self, length: int) -> tuple[bytes, int]:
        return self.content[-length:], len(self.content)

    def read(self, start: int, length: int) -> bytes:
        return self.content[start : start + length]

    def dictionary(self, _id: str) -> "MemoryFile":
        raise NotImplementedError


@dataclass
class Redis:
    """Knows which sessions began before encryption was on; or is away."""

    seen: set[str]
    is_away: bool = False

    def ask(self, commands: Sequence[Command]) -> list[object] | None:
        return None if self.is_away else [int(command[1] in self.seen) for command in commands]


@dataclass
class Stored:
    """A block of a stored file, whether or not the file was delivered."""

    block: Block
    offsets: list[int]
    read_at: list[float]
    """When each of its messages was read, seconds."""

    @property
    def session(self) -> Session:
        return self.block.entry.team_id, self.block.entry.session_id


@dataclass
class Cluster:
    """What outlives a worker: the log, committed offsets, key store, Redis and files."""

    keys: MemoryKeys = field(default_factory=MemoryKeys)
    redis: Redis = field(default_factory=lambda: Redis(set()))
    clock: FakeClock = field(default_factory=FakeClock)
    logs: dict[int, list[str]] = field(default_factory=lambda: {0: [], 1: []})
    """Partition → the session of each message."""
    committed: dict[int, int] = field(default_factory=lambda: {0: 0, 1: 0})
    stored: list[Stored] = field(default_factory=list)
    delivered: list[Stored] = field(default_factory=list)
    made: dict[Session, set[bytes]] = field(default_factory=dict)
    """Session → all keys that it ever had."""


class Worker:
    """A worker's steps and its flusher. Its flush can end in several ways."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._metrics = METRICS
        self.positions: dict[int, int] = {}
        """Partition that it holds → the next offset to read."""
        self.flush_ends = "delivered"
        self._files: list[Stored] = []
        """The blocks of the flush in flight."""
        self._read_at: dict[tuple[int, int], float] = {}
        decoder, clock = Decoder(), cluster.clock
        self._manager = SessionBatchManager("in", clock, 1 << 30, inf, SessionLimits())
        self._flusher = Flusher(
            self,
            self,
            settings=Settings(topic="in", storage_dir="unused"),
            clock=clock,
            metrics=self._metrics,
            decoder=decoder,
            encrypts=True,
        )
        self._steps = [
            ParseHeaders(),
            ParseSessionRecordingMessage(decoder, clock, 7.0, self._metrics),
            ResolveTeam({"token-1": Team(TEAM, True, "30d")}),
            ResolveSessionKey(
                cluster.keys,
                clock,
                self._metrics,
                DependencyWatch(KEY_STORE, clock),
                check_interval=INTERVAL,
                redis=cluster.redis,
                names=KEYS,
                patience=None,
            ),
            ObtainBatch(self._manager),
            RecordSessionEvent(self._metrics),
            FlushBatch(self._manager, self._flusher, self._metrics),
        ]

    def poll(self, partition: int) -> None:
        """Read what is new. If the key store is away, the batch waits, and is read again later."""
        log, position = self._cluster.logs[partition], self.positions[partition]
        messages = [
            builders.message(
                offset,
                partition,
                value=builders.value(session_id=log[offset]),
                headers=builders.headers(session_id=log[offset]),
                timestamp_ms=self._cluster.clock.now_ms(),
            )
            for offset in range(position, len(log))
        ]
        batch = MessageBatch("in", MessageColumns.of(messages))
        for step in self._steps:
            step.run(batch)
            if batch.waits:
                assert self._cluster.keys.is_away
                return
        self.positions[partition] = len(log)
        now = self._cluster.clock.monotonic()
        self._read_at |= {(partition, offset): now for offset in range(position, len(log))}
        for session in {(TEAM, log[message.offset]) for message in messages}:
            if (known := self._cluster.keys.known.get(session)) is not None and known.key is not None:
                self._cluster.made.setdefault(session, set()).add(known.key)

    def flush(self, ends: str) -> None:
        """Flush all that is held: `delivered`, or `killed before the file`, `killed after the file`, `lost`."""
        if self._manager.is_empty:
            return
        self.flush_ends, self._files = ends, []
        self._flusher.submit(self._manager.swap(), FlushReason.AGE)
        assert self._flusher.wait(30)
        if not ends.startswith("killed"):
            self._flusher.raise_if_failed()

    def take(self, partition: int) -> None:
        self.positions[partition] = self._cluster.committed[partition]

    def lose(self, partition: int) -> None:
        """Another worker has it now: what is held for it is dropped."""
        self._manager.discard_partitions([partition])
        self.forget(partition)

    def forget(self, partition: int) -> None:
        del self.positions[partition]
        for step in self._steps:
            step.forget([partition])

    def die(self) -> None:
        self._flusher.close()

    # its storage

    def check(self) -> None: ...
    def probe(self) -> None: ...
    def close(self) -> None: ...

    def write(self, key: str, parts: Iterable[Part], _metadata: Mapping[str, str]) -> str:
        content = b"".join(parts)
        if self.flush_ends == "killed before the file":
            raise FlushError("killed")
        file = MemoryFile(content)
        index = read_index(file)
        for entry in index.blocks:
            offsets = [offset for offset, _ in entry.messages]
            read_at = [self._read_at[entry.partition, offset] for offset in offsets]
            self._files.append(Stored(Block(file, index, entry), offsets, read_at))
        self._cluster.stored += self._files
        return f"memory:{key}"

    # its delivery

    def deliver(self, flushed: FlushedBatch) -> Collection[int]:
        if self.flush_ends == "killed after the file":
            raise FlushError("killed")
        if self.flush_ends == "lost":
            return []
        self._cluster.delivered += self._files
        self._cluster.committed |= {number: part.account.next for number, part in flushed.partitions.items()}
        return flushed.partitions.keys()


class Recording(RuleBasedStateMachine):
    """Two workers record three sessions of two partitions."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster()
        self.workers = [Worker(self.cluster) for _ in range(WORKERS)]
        self.owner = {0: 0, 1: 1}
        self.deleted: dict[str, float] = {}
        """Session id → when it was deleted, seconds."""
        self.began_in_the_clear: set[str] = set()
        self._delivered = self._stored = 0
        """How many blocks are checked."""
        for partition, worker in self.owner.items():
            self.workers[worker].take(partition)

    @initialize(began=st.sets(sessions, max_size=2))
    def begin(self, began: set[str]) -> None:
        self.began_in_the_clear = began
        self.cluster.redis.seen = {KEYS.seen((TEAM, session_id)) for session_id in began}

    @rule(session_id=sessions, number=st.integers(1, 3))
    def send(self, session_id: str, number: int) -> None:
        self.cluster.logs[PARTITION_OF[session_id]] += [session_id] * number

    @rule(partition=partitions)
    def poll(self, partition: int) -> None:
        self.workers[self.owner[partition]].poll(partition)

    @rule(session_id=sessions)
    def send_and_poll(self, session_id: str) -> None:
        self.send(session_id, 1)
        self.poll(PARTITION_OF[session_id])

    @rule(worker=workers)
    def flush(self, worker: int) -> None:
        self.workers[worker].flush("delivered")

    @rule(worker=workers, ends=st.sampled_from(["killed before the file", "killed after the file", "killed"]))
    def crash(self, worker: int, ends: str) -> None:
        """A worker is killed: in a flush, or outside of one. Another one takes its place."""
        if ends != "killed":
            self.workers[worker].flush(ends)
        self.workers[worker].die()
        self.workers[worker] = Worker(self.cluster)
        for partition, owner in self.owner.items():
            if owner == worker:
                self.workers[worker].take(partition)

    @rule(partition=partitions, how=st.sampled_from(["revoked", "lost", "lost in a flush"]))
    def move(self, partition: int, how: str) -> None:
        """A partition goes to the other worker."""
        old = self.workers[self.owner[partition]]
        if how == "revoked":
            old.flush("delivered")
        if how == "lost in a flush":
            old.flush("lost")
            for other, owner in self.owner.items():  # those that it still has are read again
                if self.workers[owner] is old:
                    old.take(other)
        old.lose(partition)
        self.owner[partition] = 1 - self.owner[partition]
        self.workers[self.owner[partition]].take(partition)

    @rule(session_id=sessions)
    def delete(self, session_id: str) -> None:
        now = self.cluster.clock.monotonic()
        self.cluster.keys.destroy((TEAM, session_id), "ann", int(now))
        self.deleted.setdefault(session_id, now)
        self._stored = 0

    @rule(seconds=st.sampled_from([1, INTERVAL + 1]))
    def wait(self, seconds: int) -> None:
        self.cluster.clock.ms += seconds * 1000

    @rule(is_away=st.booleans())
    def key_store(self, is_away: bool) -> None:
        self.cluster.keys.is_away = is_away

    @rule(is_away=st.booleans())
    def redis(self, is_away: bool) -> None:
        self.cluster.redis.is_away = is_away

    @invariant()
    def no_session_with_a_key_is_stored_in_the_clear(self) -> None:
        new, self._delivered = self.cluster.delivered[self._delivered :], len(self.cluster.delivered)
        for stored in new:
            known = self.cluster.keys.known.get(stored.session)
            if stored.block.entry.encryption is None:
                assert known is None or known.key is None, "its session has a key"

    @invariant()
    def each_block_is_opened_by_its_key_until_it_is_deleted(self) -> None:
        if self.cluster.keys.is_away:
            return
        new, self._stored = self.cluster.stored[self._stored :], len(self.cluster.stored)
        decryption = Decryption(self.cluster.keys)
        live = {known.key for known in self.cluster.keys.known.values()}
        for stored in new:
            block, session_id = replace(stored.block, decryption=decryption), stored.session[1]
            if session_id in self.deleted:
                with pytest.raises(SessionDeletedError):
                    block.read()
                assert live.isdisjoint(self.cluster.made.get(stored.session, ())), "its key is in the key store"
            else:
                assert block.read().count(b"\n") == len(stored.offsets)
            if block.entry.encryption is None:
                assert session_id in self.began_in_the_clear
            else:
                assert not block.entry.distinct_id
            deleted_at = self.deleted.get(session_id, inf)
            assert all(read_at < deleted_at + INTERVAL for read_at in stored.read_at), "its deletion was not noticed"

    def teardown(self) -> None:
        """Let all work again: each message of a session that is not deleted is delivered, and once."""
        self.cluster.keys.is_away = False
        self._stored = 0
        for partition, owner in self.owner.items():
            self.workers[owner].poll(partition)
        for worker in self.workers:
            worker.flush("delivered")
            worker.die()
        self.each_block_is_opened_by_its_key_until_it_is_deleted()
        self.no_session_with_a_key_is_stored_in_the_clear()
        found = Counter(
            (stored.block.entry.partition, offset) for stored in self.cluster.delivered for offset in stored.offsets
        )
        assert {*found.values()} <= {1}
        for partition, log in self.cluster.logs.items():
            for offset, session_id in enumerate(log):
                assert session_id in self.deleted or found[partition, offset] == 1


TestRecording = Recording.TestCase
TestRecording.settings = settings(max_examples=settings().max_examples // 3, stateful_step_count=40)


def test_a_session_in_the_clear_that_gets_a_key_elsewhere_is_in_the_clear_no_more() -> None:
    """Redis says to one worker that it began before encryption was on, and does not answer the other one."""
    recording = Recording()
    recording.begin({"a"})
    for is_away in (False, True, False):
        recording.redis(is_away)
        recording.send_and_poll("a")
        recording.move(0, "revoked")
        recording.no_session_with_a_key_is_stored_in_the_clear()
    recording.teardown()
    encryptions = [stored.block.entry.encryption for stored in recording.cluster.delivered]
    assert encryptions == [None, "secretbox", "secretbox"]
