"""CrashLog finds the messages that kill their worker: poison messages. No processes, no Kafka.

A worker that dies while it reads a partition, and dies again before the partition got any further, has probably met a
poison message. From then on the partition is isolated: it is read message by message, and each is noted before it is
decoded. The message that is noted when the worker dies once more is poison. It goes to the DLQ undecoded, and the
partition goes on.

A message may also kill its worker in the flush, which holds others too. So an isolated partition is flushed a few
messages at a time. If a worker dies in such a flush, the next one flushes each of these messages alone, before it reads
another.
"""

import signal
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

import structlog

from recording_worker.clock import Clock

log = structlog.get_logger()

_STABLE_SECONDS = 60.0
"""A partition that was isolated for this long, and got further, is read as any other again."""

CRASH_SIGNALS = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP, signal.SIGSYS})
"""Signals that a process brings on itself. SIGBUS is not one: a disk that is full or fails raises it too."""


@dataclass(frozen=True, slots=True)
class Death:
    """A worker that ended in a way that a message may have caused: by a signal, such as a stuck one that was killed,
    by an exception in the pipeline, or because the transaction of a flush took too long."""

    how: str
    """For people, such as "SIGSEGV"."""
    by_itself: bool
    """Whether it crashed or was stuck. Otherwise it may be chance: somebody killed or stopped it, the kernel did so
    because memory ran out, it was stuck in a flush, its transaction took too long, or an exception was raised that
    another cause can have too."""
    held: Mapping[int, int]
    """Partition it held → the offset to go on from."""
    idle: Set[int] = frozenset()
    """Partitions it held in which there was nothing to read."""
    decoding: tuple[int, int] | None = None
    """Partition and offset of the message that it had noted and not finished."""
    flushing: Mapping[int, int] = field(default_factory=dict)
    """Partition in the flush that it had begun and not finished → the offset before which the messages in it are."""


@dataclass(slots=True)
class _History:
    """What is known about a partition. It is kept only as long as there is something to suspect."""

    died_at: int
    """The offset to go on from when a worker last died with it."""
    offset: int
    """The offset to go on from."""
    isolated: bool = False
    placed: float | None = None
    """When a worker was given it, to be read message by message; None while no worker holds it."""
    placed_at: int = 0
    """The offset to go on from at that time."""
    suspect: int | None = None
    """The message that was noted when somebody killed the worker. Once may be chance."""
    poison: dict[int, str] = field(default_factory=dict)
    """Offset → how the worker ended."""
    alone_before: int = 0
    """The offset before which each message must be flushed alone."""
    past_poison: bool = False
    """Whether there were poison messages, and all of them are delivered."""

    def deliver(self, offset: int) -> None:
        """Note that everything before `offset` is delivered."""
        self.offset = offset
        if self.poison:
            self.poison = {at: how for at, how in self.poison.items() if at >= offset}
            self.past_poison = not self.poison
        if self.suspect is not None and self.suspect < offset:
            self.suspect = None

    def is_over(self, now: float, idle: bool) -> bool:
        """Return whether there is nothing to suspect any more. `idle`: there is nothing to read now."""
        if self.poison or self.offset < self.alone_before:
            return False
        if self.isolated and not self.past_poison:
            lived = self.placed is not None and now - self.placed >= _STABLE_SECONDS
            return lived and (idle or self.offset > self.placed_at)
        return self.suspect is None and self.offset > self.died_at


class CrashLog:
    """Learns of deaths, placements and deliveries. It ends with the supervisor; the next deaths start a new one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._histories: dict[int, _History] = {}

    @property
    def partitions(self) -> Set[int]:
        """The partitions that anything is remembered of."""
        return self._histories.keys()

    def is_isolated(self, partition: int) -> bool:
        """Return whether the partition must be read message by message, and each noted before it is decoded."""
        history = self._histories.get(partition)
        return history is not None and history.isolated

    def poison(self, partition: int) -> dict[int, str]:
        """Return the poison messages of the partition, which must not be decoded: offset → how the worker ended."""
        history = self._histories.get(partition)
        return {} if history is None else dict(history.poison)

    def alone_before(self, partition: int) -> int:
        """Return the offset before which each message of the partition must be flushed alone; 0 if none must."""
        history = self._histories.get(partition)
        return 0 if history is None else history.alone_before

    def died(self, death: Death) -> None:
        """Note a death that a message may have caused. Other ends don't belong here, such as storage that failed."""
        was_isolating = any(map(self.is_isolated, death.held))
        for partition, offset in death.held.items():
            history = self._histories.get(partition)
            if history is None:
                self._histories[partition] = _History(died_at=offset, offset=offset)
                continue
            if history.died_at == offset and partition not in death.idle and not history.isolated:
                log.warning("partition is isolated", partition=partition, offset=offset, ended=death.how)
                history.isolated = True
            history.died_at = history.offset = offset
            history.placed = None
        if death.decoding is not None and death.decoding[0] in death.held and self._is_noted_alone(death):
            self._suspect(death, *death.decoding)
        elif was_isolating:
            self._isolate_flushes(death)

    def placed(self, partition: int, offset: int) -> None:
        """Note that a worker reads the partition again, from this offset."""
        history = self._histories.get(partition)
        if history is not None:
            history.placed, history.placed_at = self._clock.monotonic(), offset

    def delivered(self, partition: int, offset: int) -> None:
        """Note that everything before `offset` is delivered."""
        history = self._histories.get(partition)
        if history is not None and offset > history.offset:
            history.deliver(offset)

    def take_recovered(self, idle: Set[int]) -> list[int]:
        """Return the partitions whose isolation ended since the last call. In `idle` there is nothing to read."""
        now = self._clock.monotonic()
        over = [number for number, history in self._histories.items() if history.is_over(now, number in idle)]
        return [number for number in over if self._histories.pop(number).isolated]

    def forget(self, partitions: Iterable[int]) -> None:
        """Forget partitions that are not ours any more."""
        for partition in partitions:
            self._histories.pop(partition, None)

    def _is_noted_alone(self, death: Death) -> bool:
        """Return whether the message that was noted is the only one that the worker decoded or flushed.

        A flush of several may begin just before the worker notes that a message is decoded.
        """
        assert death.decoding is not None
        partition, offset = death.decoding
        return not death.flushing or offset < self.alone_before(partition)

    def _isolate_flushes(self, death: Death) -> None:
        """Have each message of the flush that the worker died in flushed alone."""
        for partition, end in death.flushing.items():
            history = self._histories.get(partition)
            if history is not None:
                log.warning("messages are flushed one by one", partition=partition, before=end, ended=death.how)
                history.isolated = True
                history.alone_before = max(history.alone_before, end)

    def _suspect(self, death: Death, partition: int, offset: int) -> None:
        history = self._histories[partition]
        if death.by_itself or history.suspect == offset:
            log.error("message ends its worker", partition=partition, offset=offset, ended=death.how)
            history.poison[offset] = death.how
            history.isolated = True
        else:
            history.suspect = offset
