"""CrashLog: which partitions are read carefully, and which messages end their worker. No processes, no Kafka.

A worker that dies while it reads a partition, and dies again before the partition got any further, has probably met a
message that kills it. From then on the partition is read carefully: message by message, each noted before.
The one noted when the worker dies once more is the culprit: it goes to the DLQ, undecoded, and the rest goes on.
"""

import signal
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

import structlog

from recording_worker.clock import Clock

log = structlog.get_logger()

_STABLE_SECONDS = 60.0
"""A partition that was read carefully this long, and got further, is read as any other again."""

CRASH_SIGNALS = frozenset(
    {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP, signal.SIGSYS}
)
"""Signals by which a process ends of what it does itself."""


@dataclass(frozen=True, slots=True)
class Death:
    """A worker that was ended by a signal, be it because it was stuck, or by an exception of the pipeline."""

    how: str
    """For people, such as "SIGSEGV"."""
    by_itself: bool
    """Whether it crashed or was stuck. Else it may be chance: somebody killed or stopped it, or the kernel did, for
    want of memory; or an exception was raised, be it for want of something as well."""
    held: Mapping[int, int]
    """Partition in its hands → the offset to go on from."""
    idle: Set[int] = frozenset()
    """Those of them of which it had nothing to read."""
    decoding: tuple[int, int] | None = None
    """Partition and offset of the message it had noted, and not got through with."""


@dataclass(slots=True)
class _History:
    """What is known of a partition. It is kept only as long as there is something to suspect."""

    died_at: int
    """The offset to go on from when a worker last died with it."""
    offset: int
    """The offset to go on from."""
    careful: bool = False
    placed: float | None = None
    """When it was handed over to be read carefully; None while it is in nobody's hands."""
    placed_at: int = 0
    """The offset to go on from then."""
    suspect: int | None = None
    """The message that was noted when somebody killed the worker. Once that is chance."""
    culprits: dict[int, str] = field(default_factory=dict)
    """Offset → how the worker ended."""
    past_culprits: bool = False
    """Whether there were culprits, and all are done with."""

    def deliver(self, offset: int) -> None:
        """Everything before `offset` is done with."""
        self.offset = offset
        if self.culprits:
            self.culprits = {at: how for at, how in self.culprits.items() if at >= offset}
            self.past_culprits = not self.culprits
        if self.suspect is not None and self.suspect < offset:
            self.suspect = None

    def is_over(self, now: float, idle: bool) -> bool:
        """Whether there is nothing to suspect any more. `idle`: there is nothing to read now."""
        if self.culprits:
            return False
        if self.careful and not self.past_culprits:
            lived = self.placed is not None and now - self.placed >= _STABLE_SECONDS
            return lived and (idle or self.offset > self.placed_at)
        return self.suspect is None and self.offset > self.died_at


class CrashLog:
    """Told of deaths, placements and progress. It is lost with the supervisor, and begins anew with the next deaths."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._histories: dict[int, _History] = {}

    def is_careful(self, partition: int) -> bool:
        """Whether the partition is to be read message by message, each noted before."""
        history = self._histories.get(partition)
        return history is not None and history.careful

    def culprits(self, partition: int) -> dict[int, str]:
        """The messages of the partition that are not to be decoded: offset → how the worker ended at it."""
        history = self._histories.get(partition)
        return {} if history is None else dict(history.culprits)

    def died(self, death: Death) -> None:
        """A worker died. Ends that are no message's doing, such as a flush that failed, are not for here."""
        for partition, offset in death.held.items():
            history = self._histories.get(partition)
            if history is None:
                self._histories[partition] = _History(died_at=offset, offset=offset)
                continue
            if history.died_at == offset and partition not in death.idle and not history.careful:
                log.warning("partition is to be read carefully", partition=partition, offset=offset, ended=death.how)
                history.careful = True
            history.died_at = history.offset = offset
            history.placed = None
        if death.decoding is not None and death.decoding[0] in death.held:
            self._suspect(death, *death.decoding)

    def placed(self, partition: int, offset: int) -> None:
        """The partition is in a worker's hands again, to be read from this offset."""
        history = self._histories.get(partition)
        if history is not None:
            history.placed, history.placed_at = self._clock.monotonic(), offset

    def delivered(self, partition: int, offset: int) -> None:
        """Everything before `offset` is done with."""
        history = self._histories.get(partition)
        if history is not None and offset > history.offset:
            history.deliver(offset)

    def take_recovered(self, idle: Set[int]) -> list[int]:
        """The partitions that need no care any more since this was last asked. Of `idle` there is nothing to read."""
        now = self._clock.monotonic()
        over = [number for number, history in self._histories.items() if history.is_over(now, number in idle)]
        return [number for number in over if self._histories.pop(number).careful]

    def forget(self, partitions: Iterable[int]) -> None:
        """These are not ours any more."""
        for partition in partitions:
            self._histories.pop(partition, None)

    def _suspect(self, death: Death, partition: int, offset: int) -> None:
        history = self._histories[partition]
        if death.by_itself or history.suspect == offset:
            log.error("message ends its worker", partition=partition, offset=offset, ended=death.how)
            history.culprits[offset] = death.how
            history.careful = True
        else:
            history.suspect = offset
