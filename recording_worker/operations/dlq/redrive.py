"""RedriveRun: dead letters are redriven or dropped, a few in each transaction, each with an audit record."""

import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache

from recording_worker.clock import Clock
from recording_worker.kafka.exclusive_producer import RecordTooLargeError
from recording_worker.operations.dlq.audit import Action, AuditLog, State
from recording_worker.operations.dlq.audited_producer import AuditedProducer, Target, Task
from recording_worker.operations.dlq.dead_letter import DeadLetter, Place, Selection
from recording_worker.operations.dlq.topics import DlqTopics
from recording_worker.operations.interruptions import Interruptions
from recording_worker.settings.model import Settings

_MAX_LETTERS = 200
_MAX_BYTES = 4 * 1024 * 1024
"""The limits of one transaction: other readers of the source topic wait while it lasts."""
_TRANSACTIONS_PER_SECOND = 10
"""If a rate is asked for: so that it is kept evenly."""


@dataclass(frozen=True, slots=True)
class RedriveRequest:
    """What an operator asks for."""

    action: Action
    selection: Selection
    to_topic: str | None = None
    """Where messages go instead of where they came from."""
    limit: int | None = None
    """The most letters to handle."""
    rate: float | None = None
    """The most letters per second."""


@dataclass(slots=True)
class RedriveResult:
    """What became of the letters that were asked for."""

    done: int = 0
    before: Counter[State] = field(default_factory=Counter)
    """State → letters that were handled in an earlier run."""
    copies: int = 0
    """Further letters of messages that this run has handled."""
    left: Counter[str] = field(default_factory=Counter)
    """Reason → letters that could not be handled, and stay as they are."""
    missing: list[Place] = field(default_factory=list)
    """Places that were asked for and hold no letter."""


class RedriveRun:
    """One run of `redrive` or `drop`. Raises WorkerError; letters handled before stay handled, and never are again."""

    def __init__(
        self, settings: Settings, topics: DlqTopics, request: RedriveRequest, on_done: Callable[[Task], None]
    ) -> None:
        """`on_done` is called for each letter that was handled, or would be in a rehearsal."""
        self._settings = settings
        self._topics = topics
        self._request = request
        self._on_done = on_done
        self._partitions = cache(topics.partitions)
        self.result = RedriveResult()

    def rehearse(self) -> None:
        """Find what would be handled, and change nothing; a run under way is not disturbed."""
        with closing(self._topics.audit_log()) as log, closing(self._tasks(log)) as tasks:
            for task in tasks:
                self._count(task)
                if self.result.done == self._request.limit:
                    break

    def run(self, by: str, clock: Clock, interruptions: Interruptions) -> None:
        """Handle what is asked for, in the name of `by`."""
        self._topics.create_audit_topic()
        producer = AuditedProducer(self._settings, self._request.action, by, clock, interruptions.check)
        producer.fence()  # from here on no other run handles anything, so the audit topic says all there is
        with closing(self._topics.audit_log()) as log, closing(self._tasks(log)) as tasks:
            pace = _Pace(self._request.rate)
            for chunk in self._chunks(tasks):
                pace.wait(len(chunk))
                with interruptions.deferred():
                    self._commit(chunk, producer)
                if self.result.done == self._request.limit:
                    break

    def _tasks(self, log: AuditLog) -> Generator[Task]:
        """Yield the letters to handle, one for each message; count the others."""
        selection, result = self._request.selection, self.result
        seen: set[Place] = set()
        with closing(self._topics.dead_letters(selection)) as letters:
            for letter in letters:
                if selection.places:
                    seen.add(letter.place)
                state = log.state_of(letter)
                if state in (State.REDRIVEN, State.DROPPED):
                    result.before[state] += 1
                    continue
                match self._plan(letter, state):
                    case str(why):
                        result.left[why] += 1
                    case task if log.claim(letter):
                        yield task
                    case _:
                        result.copies += 1
        result.missing = sorted(selection.places - seen)

    def _plan(self, letter: DeadLetter, state: State) -> Task | str:
        """What to do about a letter, or why nothing can be done."""
        if self._request.action is Action.DROP:
            return Task(letter, None)
        if state is State.UNKNOWN:
            return "nobody knows whether they were redriven"
        source, topic = letter.source, self._request.to_topic
        if topic is None:
            if source is None:
                return "they don't say where they came from (--to-topic sends them somewhere)"
            topic = source.topic
        partitions = self._partitions(topic)
        if not partitions:
            return f"there is no topic {topic} (--to-topic sends them elsewhere)"
        goes_home = source is not None and source.topic == topic and source.partition in partitions
        return Task(letter, Target(topic, source.partition if source is not None and goes_home else None))

    def _chunks(self, tasks: Generator[Task]) -> Generator[list[Task]]:
        """The tasks, divided into transactions."""
        limit, rate = self._request.limit, self._request.rate
        max_letters = _MAX_LETTERS if rate is None else max(1, min(_MAX_LETTERS, int(rate / _TRANSACTIONS_PER_SECOND)))
        chunk: list[Task] = []
        for task in tasks:
            chunk.append(task)
            room = max_letters if limit is None else min(max_letters, limit - self.result.done)
            if len(chunk) >= room or sum(len(task.letter.value or b"") for task in chunk) >= _MAX_BYTES:
                yield chunk
                chunk = []
        if chunk:
            yield chunk

    def _commit(self, chunk: Sequence[Task], producer: AuditedProducer) -> None:
        try:
            for task in producer.commit(chunk):
                self._count(task)
        except RecordTooLargeError:
            if len(chunk) > 1:
                for task in chunk:  # a broker refuses all it gets at once: one at a time shows which one is too large
                    self._commit([task], producer)
                return
            [(_, target)] = chunk
            topic = self._settings.dlq_audit_topic if target is None else target.topic
            self.result.left[f"topic {topic} takes none so large"] += 1

    def _count(self, task: Task) -> None:
        self.result.done += 1
        self._on_done(task)


class _Pace:
    """Keeps to a rate. Time lost by a slow transaction is not made up for."""

    def __init__(self, rate: float | None) -> None:
        """`rate`: letters per second; None for no limit."""
        self._rate = rate
        self._free_at = time.monotonic()

    def wait(self, letters: int) -> None:
        """Wait until this many letters may be handled."""
        if self._rate is not None:
            time.sleep(max(0.0, self._free_at - time.monotonic()))
            self._free_at = time.monotonic() + letters / self._rate
