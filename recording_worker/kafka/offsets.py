"""OffsetStore: the newest offset of each partition we own, and what of it is committed."""

from collections.abc import Iterable, Mapping


class OffsetStore:
    """Offsets only move forward. A commit that fails leaves its offsets pending, to be sent again with newer ones."""

    def __init__(self) -> None:
        self._newest: dict[int, int] = {}
        self._committed: dict[int, int | None] = {}

    def begin(self, partition: int, committed: int | None, start: int) -> int:
        """Own a partition; returns the offset to go on from.

        `committed` is what the broker has, or None; `start` is where to begin where it has none. Then `start`
        is pending: were it resolved again after a crash, `latest` would mean another place. A partition that is
        owned already keeps an offset that is ahead of the broker's (its commit is under way).
        """
        self._committed[partition] = committed
        self._newest[partition] = max(self._newest.get(partition, 0), start if committed is None else committed)
        return self._newest[partition]

    def advance(self, partition: int, offset: int) -> None:
        """A worker delivered everything before `offset`."""
        self._newest[partition] = max(self._newest[partition], offset)

    def forget(self, partitions: Iterable[int]) -> None:
        """Somebody else owns these now."""
        for partition in partitions:
            self._newest.pop(partition, None)
            self._committed.pop(partition, None)

    def pending(self) -> dict[int, int]:
        """Partition → offset to commit."""
        return {number: offset for number, offset in self._newest.items() if offset != self._committed[number]}

    def committed(self, offsets: Mapping[int, int]) -> None:
        """The broker has these. Partitions that are not owned any more are ignored."""
        for partition, offset in offsets.items():
            if partition in self._committed:
                self._committed[partition] = max(self._committed[partition] or 0, offset)

    def committed_offset(self, partition: int) -> int | None:
        """What the broker has, as far as known."""
        return self._committed.get(partition)
