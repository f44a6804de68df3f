"""resolve_session_key: finds the key that each session is encrypted with, and makes it for a new session."""

import math
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, wait
from functools import partial
from typing import NamedTuple, TypeVar

import structlog

from recording_worker.clock import Clock
from recording_worker.dependencies import DependencyWatch
from recording_worker.errors import StoreError
from recording_worker.formats.retention import RETENTION_DAYS, RETENTIONS
from recording_worker.formats.session_keys import Session, SessionKeys
from recording_worker.keys.store import KeyStore, SessionKey
from recording_worker.lookups.lru import LruCache
from recording_worker.lookups.redis_commands import Redis
from recording_worker.metrics import Metrics
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import Ending, MessageBatch
from recording_worker.pipeline.step import Step

log = structlog.get_logger()

_CAPACITY = 100_000
"""Sessions whose keys this process remembers: about 30 MB."""
_DAY_SECONDS = 86_400
_IN_THE_CLEAR = SessionKey()

Answer = TypeVar("Answer")


class _Remembered(NamedTuple):
    known: SessionKey
    at: float
    """When the key store said so, monotonic seconds."""


class _Answers(NamedTuple):
    """What the key store said."""

    known: dict[Session, SessionKey]
    made: int
    """How many keys it was asked to make."""


class ResolveSessionKey(Step):
    """Reads `teams`, `decoded`, `retentions`; sets `session_keys`. Ends rows of deleted sessions: drop.

    A session that the key store does not know gets a key. If Redis says that a part of it is stored already, it began
    before encryption was on, and stays in the clear, as PostHog's consumer has it. If Redis does not answer, it gets a
    key. A worker asks again about a session that it records, so that it notices a deletion.

    Blocks for `patience` seconds while the key store is asked. If it does not answer until then, or can't be used, the
    batch waits (`waits`): nothing is stored in the clear because of an error. So the worker keeps on flushing and obeys
    orders, and no message is blamed for a store that hangs.
    """

    name = "resolve_session_key"

    def __init__(
        self,
        store: KeyStore,
        clock: Clock,
        metrics: Metrics,
        watch: DependencyWatch,
        *,
        check_interval: float,
        redis: Redis | None,
        names: SessionKeys,
        patience: float | None,
    ) -> None:
        """`check_interval`: after how many seconds it is asked again about a session. `patience`: None for no limit."""
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._watch = watch
        self._check_interval = check_interval
        self._redis = redis
        self._names = names
        self._patience = patience
        self._asking: Future[_Answers] | None = None
        """What a thread asks the key store."""
        self._began = -math.inf
        """When it began to, monotonic seconds."""
        self._remembered: LruCache[Session, _Remembered] = LruCache(_CAPACITY)
        self._gave_away_at = -math.inf
        """When this worker last gave partitions away, monotonic seconds."""

    def run(self, batch: MessageBatch) -> None:
        decoded = batch.decoded
        if decoded is None:
            return
        codes, first, sessions = batch.sessions(decoded)
        periods: dict[Session, int] = {}
        for group, session in sessions.items():
            periods.setdefault(session, batch.retentions[first[group]])
        known = self._remember(periods)
        if unknown := {session: period for session, period in periods.items() if session not in known}:
            try:
                known |= self._ask(unknown)
            except TimeoutError:
                batch.waits = "the key store has not answered yet"
                return
            except StoreError as error:
                self._wait(batch, error)
                return
        batch.session_keys = {session: each.key for session, each in known.items() if not each.is_deleted}
        ending = Ending(Disposition.DROP, Reason.SESSION_DELETED, self.name, "the session is deleted")
        batch.end_all(codes, {group: ending for group, each in sessions.items() if known[each].is_deleted})

    def forget(self, partitions: Collection[int]) -> None:  # noqa: ARG002 - it is not known whose sessions they had
        """Ask again about sessions in the clear. Another worker, which Redis did not answer, may give them keys."""
        self._gave_away_at = self._clock.monotonic()
        self._asking = None

    def _remember(self, sessions: Collection[Session]) -> dict[Session, SessionKey]:
        """Return what is known of these sessions, if it was asked lately. A deletion stays."""
        oldest, known = self._clock.monotonic() - self._check_interval, {}
        for session in sessions:
            remembered = self._remembered.get(session)
            if remembered is None:
                continue
            each, at = remembered
            if each.is_deleted or (at > oldest and (each.key is not None or at > self._gave_away_at)):
                known[session] = each
        return known

    def _ask(self, periods: Mapping[Session, int]) -> dict[Session, SessionKey]:
        """Ask about these sessions, and make keys for new ones.

        Raises StoreError, and TimeoutError if there is no answer yet: then ask again later.
        """
        known: dict[Session, SessionKey] = {}
        while left := {session: period for session, period in periods.items() if session not in known}:
            if self._asking is None:
                self._began = self._clock.monotonic()
                self._watch.asks()
                self._asking = _in_thread(partial(self._answers, left, self._known_in_the_clear(left)))
            asking = self._asking
            if not wait([asking], self._patience).done:
                raise TimeoutError
            self._asking = None
            known |= self._take(asking.result())  # without some of them if another batch has asked
        return known

    def _take(self, answers: _Answers) -> dict[Session, SessionKey]:
        """Remember what the key store said, and return it."""
        seconds = self._clock.monotonic() - self._began
        self._watch.worked(seconds)
        self._metrics.key_store_seconds.observe(seconds)
        self._metrics.session_keys_made.inc(answers.made)
        for session, each in answers.known.items():
            self._remembered.put(session, _Remembered(each, self._began))
        return answers.known

    def _answers(self, periods: Mapping[Session, int], in_the_clear: set[Session]) -> _Answers:
        """Ask the key store and Redis, in a thread. `in_the_clear`: those that are known to have begun so."""
        known = self._store.read(periods)
        absent = [session for session in periods if session not in known]
        seen = in_the_clear.intersection(absent) | self._seen([each for each in absent if each not in in_the_clear])
        now = self._clock.now_ms() // 1000
        expires = {
            session: now + RETENTION_DAYS[RETENTIONS[periods[session]]] * _DAY_SECONDS
            for session in absent
            if session not in seen
        }
        known |= self._store.create(expires, now)
        return _Answers(known | dict.fromkeys(seen, _IN_THE_CLEAR), len(expires))

    def _known_in_the_clear(self, sessions: Collection[Session]) -> set[Session]:
        remembered = {each: self._remembered.get(each) for each in sessions}
        return {each for each, what in remembered.items() if what is not None and what.known == _IN_THE_CLEAR}

    def _seen(self, sessions: list[Session]) -> set[Session]:
        """Return which of these sessions have begun before encryption was on, as Redis says."""
        if self._redis is None or not sessions:
            return set()
        replies = self._redis.ask([("EXISTS", self._names.seen(each)) for each in sessions]) or []
        return {each for each, reply in zip(sessions, replies, strict=False) if reply == 1}

    def _wait(self, batch: MessageBatch, error: StoreError) -> None:
        batch.waits = f"the key store can't be used: {error}"
        self._metrics.key_store_failures.inc()
        if self._watch.state.failing_since is None:
            log.warning("the key store can't be used: recording waits for it", error=str(error))
        self._watch.failed(str(error))


def _in_thread(ask: Callable[[], Answer]) -> Future[Answer]:
    """Ask in a thread that does not keep the process from exiting."""
    answer: Future[Answer] = Future()

    def run() -> None:
        try:
            answer.set_result(ask())
        except Exception as fault:  # noqa: BLE001 - raised again where the answer is taken
            answer.set_exception(fault)

    threading.Thread(target=run, name="keys", daemon=True).start()
    return answer
