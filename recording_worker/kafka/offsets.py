"""OffsetStore: the newest offset of each partition we own, and which offset is committed."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from confluent_kafka import TopicPartition

from recording_worker.formats.accounts import Account, carried_account


class Position(NamedTuple):
    """An offset as a group commits it."""

    offset: int
    """The next offset to read."""
    account: Account | None = None
    """What became of messages before `offset` that no metadata record tells yet; None if all is told."""


def topic_partitions(topic: str, positions: Mapping[int, Position]) -> list[TopicPartition]:
    """Return positions, by partition, as the Kafka client takes them; an account is the metadata of its offset."""
    return [
        TopicPartition(topic, number, at.offset, at.account.to_text() if at.account else "")
        for number, at in positions.items()
    ]


def position_of(at: TopicPartition) -> Position:
    """Return what the Kafka client says is committed."""
    return Position(at.offset, carried_account(at.metadata or "", at.offset))


class OffsetStore:
    """Offsets only move forward. A commit that fails leaves its offsets pending, to be sent again with newer ones."""

    def __init__(self) -> None:
        self._newest: dict[int, Position] = {}
        self._committed: dict[int, Position | None] = {}

    def begin(self, partition: int, committed: Position | None, start: int) -> None:
        """Own a partition.

        `committed` is what the broker has, or None; `start` is where to begin if it has none. In that case `start` is
        pending: if it were resolved again after a crash, `latest` would mean another offset. A partition that is owned
        already keeps an offset that is ahead of the broker's, because its commit is under way.
        """
        self._committed[partition] = committed
        found = committed or Position(start)
        self._newest[partition] = max(self._newest.get(partition, found), found, key=_offset)

    def advance(self, partition: int, position: Position) -> None:
        """Note that a worker delivered everything before this position, which must be committed."""
        self._newest[partition] = max(self._newest[partition], position, key=_offset)

    def forget(self, partitions: Iterable[int]) -> None:
        """Forget partitions that another host owns now."""
        for partition in partitions:
            self._newest.pop(partition, None)
            self._committed.pop(partition, None)

    def newest(self, partition: int) -> Position:
        """Return where an owned partition goes on from."""
        return self._newest[partition]

    def is_committed(self, partition: int) -> bool:
        """Return whether the broker has the newest offset of an owned partition."""
        return self._newest[partition].offset == self.committed_offset(partition)

    def pending(self) -> dict[int, Position]:
        """Return partition → what to commit."""
        return {number: at for number, at in self._newest.items() if not self.is_committed(number)}

    def committed(self, positions: Mapping[int, Position]) -> None:
        """Note that the broker has these. Partitions that are not owned any more are ignored."""
        for partition, position in positions.items():
            if partition in self._committed:
                before = self._committed[partition]
                self._committed[partition] = position if before is None else max(before, position, key=_offset)
                self.advance(partition, position)

    def committed_offset(self, partition: int) -> int | None:
        """Return what the broker has, as far as known."""
        position = self._committed.get(partition)
        return None if position is None else position.offset


def _offset(position: Position) -> int:
    return position.offset
