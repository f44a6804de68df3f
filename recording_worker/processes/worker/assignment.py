"""Assignment: the partitions that a worker holds, each with its epoch."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from recording_worker.formats.accounts import Account
from recording_worker.processes.control import Placement


@dataclass(frozen=True, slots=True)
class Assigned:
    """A partition that the worker holds."""

    epoch: int
    account: Account
    """What became of messages that no metadata record tells yet; empty if all is told."""
    topic_id: str = ""
    """The id of the topic that it is read from; empty if it is not known."""


class Assignment:
    """Written by the worker's loop, read by its flush thread.

    The membership of the group is kept here too, because the two change together. A lost partition is dropped before
    the newer membership is set, so a reader of both never sees the newer membership with the lost partition.

    A flush must be reported under the epoch of its messages. The loop takes care of that: it accepts no partition
    again while a flush in flight may hold messages from its earlier epoch.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._held: dict[int, Assigned] = {}
        self._membership = b""

    @property
    def partitions(self) -> set[int]:
        with self._changed:
            return set(self._held)

    @property
    def topic_id(self) -> str:
        """The id of the topic that is read; empty if it is not known, or nothing is held."""
        with self._changed:
            return next((held.topic_id for held in self._held.values()), "")

    def take(self, placements: Iterable[Placement]) -> None:
        with self._changed:
            for at in placements:
                self._held[at.partition] = _assigned(at)

    def drop(self, partitions: Iterable[int]) -> None:
        with self._changed:
            for partition in partitions:
                self._held.pop(partition, None)
            self._changed.notify_all()

    def join(self, membership: bytes) -> None:
        """Set the membership under which offsets are committed from now on."""
        with self._changed:
            self._membership = membership
            self._changed.notify_all()

    def look(self, partitions: Iterable[int]) -> tuple[bytes, dict[int, Assigned]]:
        """Return the membership, and which of these partitions are held, as of one moment."""
        with self._changed:
            return self._membership, {number: self._held[number] for number in partitions if number in self._held}

    def wait_for_change(self, membership: bytes, partitions: Iterable[int], timeout: float) -> None:
        """Wait until the membership differs from this one, or none of these partitions is held."""
        numbers = set(partitions)
        with self._changed:
            self._changed.wait_for(lambda: self._membership != membership or numbers.isdisjoint(self._held), timeout)

    def carry(self, placements: Iterable[Placement]) -> None:
        """Note that everything before these offsets is delivered, and which accounts wait for the next batch."""
        with self._changed:
            for at in placements:
                if at.partition in self._held and self._held[at.partition].epoch == at.epoch:
                    self._held[at.partition] = _assigned(at)

    def topic_ids(self, partitions: Iterable[int]) -> dict[int, str]:
        """Return the topic id of each of these partitions that is held; empty if it is not known."""
        _, held = self.look(partitions)
        return {number: at.topic_id for number, at in held.items()}

    def placements(self, partitions: Iterable[int]) -> tuple[Placement, ...]:
        """Return these partitions with their epochs; without those that are not held any more."""
        with self._changed:
            return tuple(
                Placement(number, held.epoch, held.account.next, None, held.topic_id)
                for number in partitions
                if (held := self._held.get(number)) is not None
            )


def _assigned(at: Placement) -> Assigned:
    return Assigned(at.epoch, at.account or Account(at.offset, at.offset), at.topic_id)
