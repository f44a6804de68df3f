"""OffsetStore: the newest offset of each partition we own, and which offset is committed."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from confluent_kafka import TopicPartition

from recording_worker.formats.accounts import Account, Committed, read_committed


class Position(NamedTuple):
    """An offset as a group commits it."""

    offset: int
    """The next offset to read."""
    account: Account | None = None
    """What became of messages before `offset` that no metadata record tells yet; None if all is told."""
    topic_id: str = ""
    """The id of the topic that it belongs to; empty if it is not known."""

    def is_of(self, topic_id: str) -> bool:
        """Return whether it may belong to the topic of this id. It belongs to any topic if an id is not known."""
        return not self.topic_id or not topic_id or self.topic_id == topic_id


def topic_partitions(topic: str, positions: Mapping[int, Position]) -> list[TopicPartition]:
    """Return positions, by partition, as the Kafka client takes them; see `formats.accounts` for the metadata."""
    return [
        TopicPartition(topic, number, at.offset, Committed(at.topic_id, at.account).to_text())
        for number, at in positions.items()
    ]


def position_of(at: TopicPartition) -> Position:
    """Return what the Kafka client says is committed."""
    committed = read_committed(at.metadata or "", at.offset)
    return Position(at.offset, committed.account, committed.topic_id)


class OffsetStore:
    """Offsets only move forward. A commit that fails leaves its offsets pending, to be sent again with newer ones.

    Offsets of a topic that was created again have nothing to do with the old topic's: `begin` says which one counts.
    """

    def __init__(self) -> None:
        self._newest: dict[int, Position] = {}
        self._committed: dict[int, Position | None] = {}

    def begin(self, partition: int, committed: Position | None, start: int, topic_id: str = "") -> None:
        """Own a partition of the topic of this id.

        `committed` is what the broker has, or None; `start` is where to begin if it has none. In that case `start` is
        pending: if it were resolved again after a crash, `latest` would mean another offset. A partition that is owned
        already keeps an offset that is ahead of the broker's, because its commit is under way.
        """
        self._committed[partition] = committed
        found = (committed or Position(start))._replace(topic_id=topic_id)
        known = self._newest.get(partition, found)
        self._newest[partition] = max(known, found, key=_offset) if known.is_of(topic_id) else found

    def advance(self, partition: int, position: Position) -> None:
        """Note that a worker delivered everything before this position, which must be committed."""
        if position.is_of(self._newest[partition].topic_id):
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
            if partition in self._committed and position.is_of(self._newest[partition].topic_id):
                before = self._committed[partition]
                self._committed[partition] = position if before is None else max(before, position, key=_offset)
                self.advance(partition, position)

    def committed_offset(self, partition: int) -> int | None:
        """Return what the broker has, as far as known."""
        position = self._committed.get(partition)
        return None if position is None else position.offset


def _offset(position: Position) -> int:
    return position.offset
