from collections.abc import Collection, Sequence
from threading import Event

from recording_worker.dependencies import KEY_STORE, DependencyWatch
from recording_worker.formats.session_keys import Session
from recording_worker.keys.store import SessionKey
from recording_worker.lookups.redis_commands import Command
from recording_worker.metrics import Metrics
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.steps.resolve_session_key import ResolveSessionKey
from tests.builders import KEYS, NOW_MS, FakeClock
from tests.integration.sessions import sessions
from tests.memory_keys import MemoryKeys

A, B = (1, "a"), (1, "b")


class SeenRedis:
    """A Redis in which these keys exist; None: it does not answer."""

    def __init__(self, *keys: str) -> None:
        self.keys: tuple[str, ...] | None = keys

    def ask(self, commands: Sequence[Command]) -> list[object] | None:
        return None if self.keys is None else [int(command[1] in self.keys) for command in commands]


class Bench:
    def __init__(self, redis: SeenRedis | None = None, patience: float | None = None) -> None:
        self.store, self.clock, self.metrics = MemoryKeys(), FakeClock(), Metrics()
        self.watch = DependencyWatch(KEY_STORE, self.clock)
        self.step = ResolveSessionKey(
            self.store,
            self.clock,
            self.metrics,
            self.watch,
            check_interval=60.0,
            redis=redis,
            names=KEYS,
            patience=patience,
        )

    def run(self, *ids: str) -> MessageBatch:
        rows = sessions(*ids)
        self.step.run(rows)
        return rows


def test_a_new_session_gets_a_key_that_lives_as_long_as_its_recording() -> None:
    bench = Bench()
    rows = bench.run("a", "b", "a")
    assert rows.session_keys == {session: bench.store.known[session].key for session in (A, B)}
    assert None not in rows.session_keys.values()
    assert bench.store.expires == dict.fromkeys((A, B), bench.clock.now_ms() // 1000 + 30 * 86_400)
    assert (rows.waits, any(rows.dispositions)) == ("", False)


def test_the_store_is_asked_once_and_again_after_the_interval() -> None:
    bench = Bench()
    for _ in range(3):
        keys = bench.run("a", "b").session_keys
    assert bench.store.asked == [[A, B]]
    bench.clock.ms += 61_000
    assert bench.run("a", "c").session_keys[A] == keys[A]
    assert bench.store.asked[1:] == [[A, (1, "c")]]


def test_a_deletion_stops_recording_within_the_interval_and_is_not_forgotten() -> None:
    bench = Bench()
    bench.run("a")
    bench.store.destroy(A, "ann", NOW_MS // 1000)
    bench.clock.ms += 61_000
    for _ in range(2):
        rows = bench.run("a", "b", "a")
        assert list(rows.dispositions) == [Disposition.DROP, Disposition.OK, Disposition.DROP]
        assert rows.reasons[0] == Reason.SESSION_DELETED
        assert rows.session_keys.keys() == {B}


def test_a_session_that_began_in_the_clear_stays_so() -> None:
    redis = SeenRedis(KEYS.seen(A))
    bench = Bench(redis)
    assert bench.run("a").session_keys == {A: None}
    redis.keys = ()
    bench.clock.ms += 61_000
    assert bench.run("a").session_keys == {A: None}, "the worker remembers it, should Redis forget it"
    bench.store.destroy(A, "ann", 1)
    bench.clock.ms += 61_000
    assert bench.run("a").reasons[0] == Reason.SESSION_DELETED


def test_a_session_whose_key_is_gone_from_the_table_gets_another_one_and_is_never_in_the_clear() -> None:
    bench = Bench()
    bench.run("a")
    bench.store.known.clear()
    bench.clock.ms += 61_000
    assert bench.run("a").session_keys[A] is not None


def test_without_an_answer_of_redis_a_session_is_encrypted() -> None:
    redis = SeenRedis()
    redis.keys = None
    assert Bench(redis).run("a").session_keys[A] is not None


def test_an_item_that_says_in_the_clear_counts() -> None:
    bench = Bench()
    bench.store.known[A] = SessionKey()
    assert bench.run("a").session_keys == {A: None}


def test_a_batch_waits_while_the_store_is_away_and_then_goes_on() -> None:
    bench = Bench()
    bench.run("a")
    bench.store.is_away = True
    assert bench.run("a").waits == "", "what is known needs no store"
    rows = bench.run("a", "b")
    assert rows.waits == "the key store can't be used: away"
    assert (rows.session_keys, any(rows.dispositions)) == ({}, False)
    assert bench.watch.state.problem == "away"
    bench.store.is_away, rows.waits = False, ""
    bench.step.run(rows)
    assert rows.session_keys.keys() == {A, B}
    assert bench.watch.state.failing_since is None


class SlowKeys(MemoryKeys):
    """Answers once it is let to."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = Event()

    def read(self, sessions: Collection[Session]) -> dict[Session, SessionKey]:
        assert self.may_answer.wait(30)
        return super().read(sessions)


def test_a_store_that_hangs_does_not_hold_up_the_worker() -> None:
    bench = Bench(patience=0.01)
    bench.step._store = slow = SlowKeys()
    rows = bench.run("a")
    assert rows.waits == "the key store has not answered yet"
    bench.clock.ms += 20_000
    assert bench.watch.state.problem == "no answer"
    slow.may_answer.set()
    while rows.waits:
        rows.waits = ""
        bench.step.run(rows)
    assert rows.session_keys == {A: slow.known[A].key}
    assert slow.asked == [[A]], "one request is enough, however long it takes"
    assert bench.watch.state.failing_since is None


def test_an_answer_that_comes_once_the_partitions_are_gone_is_not_taken() -> None:
    bench = Bench(patience=0.01)
    bench.step._store = slow = SlowKeys()
    assert bench.run("a").waits
    bench.step.forget([0])
    assert bench.run("b").waits
    slow.may_answer.set()
    rows = sessions("b", "c")
    while not rows.session_keys:
        rows.waits = ""
        bench.step.run(rows)
    assert rows.session_keys.keys() == {B, (1, "c")}
    assert [(1, "c")] in slow.asked, "another batch has asked about b alone"


def test_it_is_asked_again_about_sessions_in_the_clear_once_partitions_were_given_away() -> None:
    bench = Bench(SeenRedis(KEYS.seen(A)))
    bench.run("a", "b")
    bench.store.known[A] = SessionKey(b"k" * 32)  # a worker that Redis did not answer made it
    assert bench.run("a", "b").session_keys[A] is None
    bench.step.forget([0])
    assert bench.run("a", "b").session_keys[A] == b"k" * 32
    assert bench.store.asked == [[A, B], [A]]
