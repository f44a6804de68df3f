"""What must hold, whatever happens: looked at whenever something becomes visible in Kafka, and at the end."""

from collections import Counter
from collections.abc import Iterable

from recording_worker.formats.accounts import read_committed
from tests.simulation.broker import Offsets, Topic, Watcher


class BrokenError(AssertionError):
    """Something does not hold that must."""


class Ledger(Watcher):
    """Knows which messages were sent, and what became of them."""

    def __init__(self, *, exactly_once: bool) -> None:
        self._exactly_once = exactly_once
        self.topics: dict[int, Topic] = {}
        """The topics that there were, by number."""
        self.written: Counter[bytes] = Counter()
        """Key of a message → records of it that readers see."""
        self._reached: dict[tuple[int, int], int] = {}
        """(topic, partition) → what is committed."""

    def records_committed(self, records: list[tuple[str, bytes]]) -> None:
        self.written.update(key for _, key in records)
        for _, key in records:
            if self._exactly_once and self.written[key] > 1:
                raise BrokenError(f"message {key.decode()} is delivered twice")

    def offsets_pending(self, producer: str, offsets: Iterable[int], others: dict[str, set[int]]) -> None:
        for other, held in others.items():
            if both := held.intersection(offsets):
                raise BrokenError(f"{producer} and {other} both deliver partitions {sorted(both)}")

    def offsets_committed(self, topic: Topic | None, offsets: Offsets) -> None:
        for partition, (offset, text) in offsets.items():
            committed = read_committed(text, offset)
            number = int(committed.topic_id.rpartition("-")[2])
            of = self.topics[number]
            before = self._reached.get((number, partition), 0)
            if offset < before and (topic is None or topic.number == number):
                raise BrokenError(f"partition {partition} goes back from {before} to {offset}")
            self._reached[number, partition] = offset
            for key in of.logs[partition][before:offset]:
                if not self.written[key] and not key.endswith(b"/large"):
                    raise BrokenError(
                        f"{offset} of partition {partition} is committed, but {key.decode()} is not delivered"
                    )
            account = committed.account
            if offset and self._exactly_once:
                if account is None or account.start != 0:
                    raise BrokenError(f"the account of partition {partition} at {offset} has a hole: {account}")
                if account.redirected + account.dlq + account.recorded != offset:
                    raise BrokenError(f"the account of partition {partition} at {offset} does not add up: {account}")

    def missing(self, topic: Topic) -> list[bytes]:
        """Return the messages of a topic that are not delivered yet."""
        return [
            key for log in topic.logs for key in reversed(log) if not self.written[key] and not key.endswith(b"/large")
        ]

    def is_done(self, topic: Topic | None) -> bool:
        """Return whether all messages of a topic are delivered, and their offsets are committed."""
        return topic is not None and all(
            self._reached.get((topic.number, number), 0) == len(log) for number, log in enumerate(topic.logs)
        )
