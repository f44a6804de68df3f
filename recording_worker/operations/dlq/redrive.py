"""Handling: letters are redriven or dropped, a few in each transaction, with an audit record each."""

import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple, Protocol

from recording_worker.clock import Clock
from recording_worker.operations.dlq.audit import Action, AuditRecord, Handled, State
from recording_worker.operations.dlq.dead_letter import Letter, Place, Selection
from recording_worker.operations.dlq.producer import LetterProducer, Outgoing, Position, TooLargeError
from recording_worker.operations.dlq.topics import DlqTopics
from recording_worker.settings.model import Settings

_MOST_LETTERS = 200
_MOST_BYTES = 4 * 1024 * 1024
"""Of one transaction: other readers of the source topic wait while it lasts."""
_PER_SECOND = 10
"""Transactions a second where a rate is asked for, so that it is kept evenly."""


class Interruptions(Protocol):
    """How a signal ends a run: between two transactions, never inside one."""

    def deferred(self) -> AbstractContextManager[None]:
        """What runs in it comes to its end."""

    def check(self) -> None:
        """Give up where that was asked for: the broker does not answer."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done."""

    action: Action
    selection: Selection
    to_topic: str | None = None
    """Where messages go instead of where they came from."""
    limit: int | None = None
    """Letters to handle at most."""
    rate: float | None = None
    """Letters a second at most."""


@dataclass(slots=True)
class Tally:
    """What became of the letters that were asked for."""

    done: int = 0
    before: Counter[State] = field(default_factory=Counter)
    """Letters that were dealt with before, by how."""
    copies: int = 0
    """Further letters of messages that were handled just now."""
    left: Counter[str] = field(default_factory=Counter)
    """Letters that could not be handled and stay as they are, by why."""
    missing: list[Place] = field(default_factory=list)
    """Locator that were named, and hold no letter."""


class Job(NamedTuple):
    """A letter to be handled."""

    letter: Letter
    topic: str | None
    """Where its message is to go; None where it is dropped."""
    partition: int | None
    """None leaves it to the key."""


class Done(NamedTuple):
    """A letter that was handled, or in a rehearsal would be."""

    letter: Letter
    topic: str | None
    partition: int | None
    offset: int | None
    """Where its message is now."""


class Handling:
    """One run of `redrive` or `drop`. Raises WorkerError; what was handled until then stays so, and never is again."""

    def __init__(self, settings: Settings, topics: DlqTopics, order: Order, tell: Callable[[Done], None]) -> None:
        """`tell` is told of each letter that was handled."""
        self._settings = settings
        self._topics = topics
        self._order = order
        self._tell = tell
        self._partitions = cache(topics.partitions)
        self.tally = Tally()

    def rehearse(self) -> None:
        """Find what would be handled, and do nothing; a run that is under way is not disturbed."""
        with closing(self._topics.handled()) as handled, closing(self._jobs(handled)) as jobs:
            for letter, topic, partition in jobs:
                self._count(Done(letter, topic, partition, None))
                if self.tally.done == self._order.limit:
                    break

    def run(self, by: str, clock: Clock, interruptions: Interruptions) -> None:
        """Handle what is asked for, in the name of `by`."""
        self._topics.create_audit_topic()
        producer = LetterProducer(self._settings, interruptions.check)
        producer.begin()  # from here on nobody else handles anything: what the audit topic says is all there is
        clerk = _Clerk(producer, self._settings, self._order.action, by, clock)
        with closing(self._topics.handled()) as handled, closing(self._jobs(handled)) as jobs:
            pace = _Pace(self._order.rate)
            for chunk in self._chunks(jobs):
                pace.wait(len(chunk))
                with interruptions.deferred():
                    self._commit(chunk, clerk)
                if self.tally.done == self._order.limit:
                    break

    def _jobs(self, handled: Handled) -> Generator[Job]:
        """The letters to be handled, one for each message; the others are counted."""
        selection, tally = self._order.selection, self.tally
        seen: set[Place] = set()
        with closing(self._topics.letters(selection)) as letters:
            for letter in letters:
                if selection.places:
                    seen.add(letter.place)
                state = handled.state_of(letter)
                if state in (State.REDRIVEN, State.DROPPED):
                    tally.before[state] += 1
                elif not isinstance(job := self._job(letter, state), Job):
                    tally.left[job] += 1
                elif handled.take(letter):
                    yield job
                else:
                    tally.copies += 1
        tally.missing = sorted(selection.places - seen)

    def _job(self, letter: Letter, state: State) -> Job | str:
        """What is to be done about a letter, or why nothing can be."""
        if self._order.action is Action.DROP:
            return Job(letter, None, None)
        if state is State.UNKNOWN:
            return "nobody knows whether they were redriven"
        source, topic = letter.source, self._order.to_topic
        if topic is None:
            if source is None:
                return "they don't say where they came from (--to-topic sends them somewhere)"
            topic = source.topic
        partitions = self._partitions(topic)
        if not partitions:
            return f"there is no topic {topic} (--to-topic sends them elsewhere)"
        came_from = source is not None and source.topic == topic and source.partition in partitions
        return Job(letter, topic, source.partition if source is not None and came_from else None)

    def _chunks(self, jobs: Generator[Job]) -> Generator[list[Job]]:
        """The jobs, in the lots that go into one transaction each."""
        limit, rate = self._order.limit, self._order.rate
        most = _MOST_LETTERS if rate is None else max(1, min(_MOST_LETTERS, int(rate / _PER_SECOND)))
        chunk: list[Job] = []
        for job in jobs:
            chunk.append(job)
            room = most if limit is None else min(most, limit - self.tally.done)
            if len(chunk) >= room or sum(len(job.letter.value or b"") for job in chunk) >= _MOST_BYTES:
                yield chunk
                chunk = []
        if chunk:
            yield chunk

    def _commit(self, chunk: Sequence[Job], clerk: "_Clerk") -> None:
        try:
            for done in clerk.commit(chunk):
                self._count(done)
        except TooLargeError:
            if len(chunk) == 1:
                self.tally.left[f"topic {chunk[0].topic} takes none so large"] += 1
                return
            for job in chunk:  # a broker refuses all that it gets at once: which it is about shows when each is alone
                self._commit([job], clerk)

    def _count(self, done: Done) -> None:
        self.tally.done += 1
        self._tell(done)


class _Pace:
    """Keeps to a rate, where there is one. What took too long is not made up for."""

    def __init__(self, rate: float | None) -> None:
        """`rate`: letters a second."""
        self._rate = rate
        self._free_at = time.monotonic()

    def wait(self, letters: int) -> None:
        """Wait until so many letters may be handled."""
        if self._rate is not None:
            time.sleep(max(0.0, self._free_at - time.monotonic()))
            self._free_at = time.monotonic() + letters / self._rate


class _Clerk:
    """Does jobs, and keeps the books."""

    def __init__(self, producer: LetterProducer, settings: Settings, action: Action, by: str, clock: Clock) -> None:
        self._producer = producer
        self._settings = settings
        self._action = action
        self._by = by
        self._clock = clock

    def commit(self, jobs: Sequence[Job]) -> list[Done]:
        """Do all of them or none. Raises TooLargeError, WorkerError."""
        letters = [job.letter for job in jobs]
        messages = [
            Outgoing(topic, partition, letter.key, letter.value, letter.headers)
            for letter, topic, partition in jobs
            if topic is not None
        ]
        positions = self._producer.commit(messages, lambda sent: list(map(self._record, letters, _places(jobs, sent))))
        return [
            Done(letter, *(at or (None, None, None)))
            for letter, at in zip(letters, _places(jobs, positions), strict=True)
        ]

    def _record(self, letter: Letter, at: Position | None) -> Outgoing:
        """What is kept about a letter."""
        record = AuditRecord.of(
            letter,
            self._action,
            dlq_topic=self._settings.dlq_topic,
            by=self._by,
            at_ms=self._clock.now_ms(),
            to=at or (None, None, None),
        )
        return Outgoing(self._settings.dlq_audit_topic, None, record.identity.encode(), record.json(), [])


def _places(jobs: Sequence[Job], sent: Sequence[Position]) -> Sequence[Position | None]:
    """Job for job, where its message is; None for those that are dropped."""
    return sent or [None] * len(jobs)
