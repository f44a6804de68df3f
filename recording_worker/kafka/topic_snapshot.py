"""TopicSnapshot: what a topic holds at one moment, for a read_committed reader."""

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from typing import Self

from recording_worker.kafka.admin import Admin, LogBounds
from recording_worker.kafka.topic_reader import OffsetRange, read_topic
from recording_worker.messages import Record
from recording_worker.progress import ProgressBar
from recording_worker.settings.model import Settings

_SETTLE_SECONDS = 5.0
"""How long to wait for transactions that are under way."""
_LOOK_EVERY = 0.1


class TopicSnapshot:
    """The bounds of a topic's partitions, and which offsets a reader wants. Everything raises BootError.

    All that was committed before the snapshot was taken is in it.
    """

    def __init__(
        self,
        settings: Settings,
        admin: Admin,
        topic: str,
        bounds: Mapping[int, LogBounds],
        ranges: Mapping[int, OffsetRange],
    ) -> None:
        """`take` makes one. `ranges`: partition → the offsets to read."""
        self.topic = topic
        self._settings = settings
        self._admin = admin
        self._bounds = bounds
        self._ranges = ranges

    @classmethod
    def take(cls, settings: Settings, admin: Admin, topic: str) -> Self:
        """Look at a topic now; a topic that does not exist has no partitions.

        Transactions under way get some seconds to end. One that a crash has left open hides what comes after it.
        """
        partitions = admin.partitions(topic)
        bounds = _settled(lambda: admin.log_bounds(topic, partitions)) if partitions else {}
        ranges = {number: OffsetRange(bound.start, bound.stable_end) for number, bound in bounds.items()}
        return cls(settings, admin, topic, bounds, ranges)

    @property
    def partitions(self) -> list[int]:
        """The topic's partitions."""
        return sorted(self._bounds)

    @property
    def open_transactions(self) -> dict[int, int]:
        """Partition → the offset of its first open transaction; records after it are not in the snapshot."""
        return {number: bound.stable_end for number, bound in self._bounds.items() if bound.stable_end < bound.end}

    def unread_notes(self) -> list[str]:
        """A note for the operator on each partition with an open transaction."""
        return [
            f"partition {number} of {self.topic} has an open transaction at offset {offset}:"
            " what comes after was not read"
            for number, offset in self.open_transactions.items()
        ]

    @property
    def size(self) -> int:
        """How many offsets there are to read."""
        return sum(end - start for start, end in self._ranges.values())

    def narrowed(self, ranges: Mapping[int, OffsetRange]) -> Self:
        """The same snapshot, reduced to these ranges."""
        within = {number: self._ranges[number].intersection(wanted) for number, wanted in ranges.items()}
        return type(self)(self._settings, self._admin, self.topic, self._bounds, within)

    def since(self, time_ms: int) -> Self:
        """The same snapshot, reduced to the records of this time or later, milliseconds since 1970."""
        found = self._admin.offsets_at(self.topic, list(self._ranges), time_ms)
        return self.narrowed(
            {
                number: OffsetRange(self._ranges[number].end if offset is None else offset, self._ranges[number].end)
                for number, offset in found.items()
            }
        )

    def complete_since_ms(self, now_ms: int) -> int:
        """The time from which on all committed records are still there; 0 if none was removed.

        Milliseconds since 1970. A partition that is empty now may have held records until `now_ms`.
        """
        times = [0]
        for number, bound in self._bounds.items():
            if bound.start > 0:
                first = OffsetRange(bound.start, bound.stable_end)
                with closing(read_topic(self._settings, self.topic, {number: first}, _ignore)) as records:
                    record = next(records, None)
                times.append(now_ms if record is None else record.timestamp_ms + 1)
        return max(times)

    def records(self, title: str, progress: ProgressBar) -> Generator[Record]:
        """Yield the records to read; the order holds within each partition."""
        with (
            progress(title, self.size) as report,
            closing(read_topic(self._settings, self.topic, self._ranges, report)) as records,
        ):
            yield from records


def _settled(look: Callable[[], dict[int, LogBounds]]) -> dict[int, LogBounds]:
    """The bounds once all that was before their first ends is settled, or after _SETTLE_SECONDS."""
    first = now = look()
    deadline = time.monotonic() + _SETTLE_SECONDS
    while any(now[number].stable_end < first[number].end for number in first) and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY)
        now = look()
    return {number: now[number]._replace(end=first[number].end) for number in first}


def _ignore(_offsets: float, _records: int) -> None:
    """Report nothing."""
