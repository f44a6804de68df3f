"""Holdings: which partitions a worker has in its hands, each with the number of its hand-over."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from recording_worker.formats.accounts import Account
from recording_worker.processes.control import Placement


@dataclass(frozen=True, slots=True)
class Holding:
    """A partition in our hands."""

    epoch: int
    account: Account
    """What was committed of it without leaving a block, and so is still to be told."""


class Holdings:
    """Written by the worker's loop, read by its flush thread.

    The group's membership is kept here as well, since the two change together: a partition that was lost is
    dropped before a later membership is taken over, so whoever looks at both never sees the
    later membership with the lost partition.

    That a flush is reported under the hand-over its messages came from is up to the loop: it lets no
    partition be handed over again while a flush in flight may hold messages of the time before.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._held: dict[int, Holding] = {}
        self._membership = b""

    @property
    def partitions(self) -> set[int]:
        with self._changed:
            return set(self._held)

    def take(self, placements: Iterable[Placement]) -> None:
        with self._changed:
            for at in placements:
                self._held[at.partition] = _holding(at)

    def drop(self, partitions: Iterable[int]) -> None:
        with self._changed:
            for partition in partitions:
                self._held.pop(partition, None)
            self._changed.notify_all()

    def join(self, membership: bytes) -> None:
        """The supervisor is in the group as this from now on."""
        with self._changed:
            self._membership = membership
            self._changed.notify_all()

    def look(self, partitions: Iterable[int]) -> tuple[bytes, dict[int, Holding]]:
        """The group membership, and which of these partitions are in our hands, at one moment."""
        with self._changed:
            return self._membership, {number: self._held[number] for number in partitions if number in self._held}

    def wait_for_change(self, membership: bytes, partitions: Iterable[int], timeout: float) -> None:
        """Wait until the membership is another than this, or none of these partitions is in our hands."""
        numbers = set(partitions)
        with self._changed:
            self._changed.wait_for(lambda: self._membership != membership or numbers.isdisjoint(self._held), timeout)

    def carry(self, placements: Iterable[Placement]) -> None:
        """These offsets are delivered, with these accounts still to be told."""
        with self._changed:
            for at in placements:
                if at.partition in self._held and self._held[at.partition].epoch == at.epoch:
                    self._held[at.partition] = _holding(at)

    def placements(self, partitions: Iterable[int]) -> tuple[Placement, ...]:
        """These partitions under their hand-overs; without those that are not in our hands any more."""
        with self._changed:
            return tuple(
                Placement(number, self._held[number].epoch, self._held[number].account.next)
                for number in partitions
                if number in self._held
            )


def _holding(at: Placement) -> Holding:
    return Holding(at.epoch, at.account or Account(at.offset, at.offset))
