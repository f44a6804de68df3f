"""What must hold, whatever happens: looked at whenever something becomes visible in Kafka, and at the end."""

from collections import Counter
from collections.abc import Container, Iterable

import orjson

from recording_worker.formats.accounts import Account, read_committed
from tests.simulation.broker import Offsets, Topic, Watcher

METADATA_TOPIC = "metadata"


class BrokenError(AssertionError):
    """Something does not hold that must."""


class Ledger(Watcher):
    """Knows which messages were sent, and what became of them."""

    def __init__(self, *, exactly_once: bool, stored: Container[str] = ()) -> None:
        """`stored`: the URLs of the files that are stored."""
        self._exactly_once = exactly_once
        self._stored = stored
        self.topics: dict[int, Topic] = {}
        """The topics that there were, by number."""
        self.written: Counter[bytes] = Counter()
        """Key of a message → records of it that readers see."""
        self._reached: dict[tuple[int, int], int] = {}
        """(topic, partition) → what is committed."""
        self._told: dict[tuple[int, int], int] = {}
        """(topic, partition) → where the last account ends that stands in a metadata record."""

    def records_committed(self, records: list[tuple[str, bytes]]) -> None:
        self.written.update(key for topic, key in records if topic != METADATA_TOPIC)
        for topic, key in records:
            if topic == METADATA_TOPIC:
                self._metadata_committed(*key.decode().split(" ", 1))
            elif self._exactly_once and self.written[key] > 1:
                raise BrokenError(f"message {key.decode()} is delivered twice")

    def _metadata_committed(self, url: str, account: str) -> None:
        if url not in self._stored:
            raise BrokenError(f"a record leads to {url}, which is not stored")
        if account and self._exactly_once:
            header = orjson.loads(account)
            number = _number(header["topic_id"])
            for partition, fields in header["partitions"].items():
                self._told[number, int(partition)] = self._check_account(number, int(partition), Account(**fields))

    def _check_account(self, number: int, partition: int, account: Account) -> int:
        """Return its end."""
        told = self._told.get((number, partition), 0)
        if account.start != told:
            raise BrokenError(f"the account of partition {partition} begins at {told}, and not with this: {account}")
        if account.redirected + account.dlq + account.recorded != account.next - account.start:
            raise BrokenError(f"the account of partition {partition} does not add up: {account}")
        return account.next

    def offsets_pending(self, producer: str, offsets: Iterable[int], others: dict[str, set[int]]) -> None:
        for other, held in others.items():
            if both := held.intersection(offsets):
                raise BrokenError(f"{producer} and {other} both deliver partitions {sorted(both)}")

    def offsets_committed(self, topic: Topic | None, offsets: Offsets) -> None:
        for partition, (offset, text) in offsets.items():
            committed = read_committed(text, offset)
            number = _number(committed.topic_id)
            of = self.topics[number]
            before = self._reached.get((number, partition), 0)
            # when a topic is created again, its offsets are gone: a host that has not seen it yet commits the first one
            is_current = topic is None or topic.number == number
            if offset < before and is_current:
                raise BrokenError(f"partition {partition} goes back from {before} to {offset}")
            self._reached[number, partition] = offset
            for key in of.logs[partition][before:offset]:
                if not self.written[key] and not key.endswith(b"/large"):
                    raise BrokenError(
                        f"{offset} of partition {partition} is committed, but {key.decode()} is not delivered"
                    )
            if self._exactly_once:
                account = committed.account
                told = self._told.get((number, partition), 0) if account is None else account.next
                if account is not None:
                    self._check_account(number, partition, account)
                if told != offset and (is_current or offset):
                    raise BrokenError(f"the account of partition {partition} ends at {told}, and {offset} is committed")

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


def _number(topic_id: str) -> int:
    return int(topic_id.rpartition("-")[2])
