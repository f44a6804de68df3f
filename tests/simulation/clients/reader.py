"""The core's consumer, `KafkaConsumer`, which a worker reads with."""

from array import array
from functools import partial
from typing import Any

from confluent_kafka import KafkaError

from recording_worker._native import ByteColumn, HeaderColumn
from tests.simulation.clients.client import Client
from tests.simulation.scheduler import Future

_FETCHED = 6
"""Messages that a fetch brings at most."""


class Reader(Client):
    """The core's consumer. It reads ahead, and goes on at its offset whatever topic is there now."""

    def __init__(self, *client: Any) -> None:
        super().__init__(*client)
        self._positions: dict[int, int] = {}
        """Partition → the next offset to give."""
        self._ahead: dict[int, list[bytes]] = {}
        """Partition → what was fetched from there on."""
        self._highs: dict[int, int] = {}
        self._faults: list[tuple[int, int, str]] = []
        self._fetch: Future[Any] | None = None
        self._epoch = 0
        """Counts up with each assignment: an older fetch brings nothing."""

    def assign(self, offsets: dict[int, int]) -> None:
        self._epoch += 1
        self._fetch = None
        self._positions.update(offsets)
        self._ahead.update({number: [] for number in offsets})

    def unassign(self, partitions: list[int]) -> None:
        self._epoch += 1
        self._fetch = None
        for number in partitions:
            self._positions.pop(number, None)
            self._ahead.pop(number, None)
            self._highs.pop(number, None)

    def poll(self, limit: int, _bytes: int, timeout: float) -> tuple[Any, list[tuple[int, int, str]]]:
        found = self._take(limit)
        if not found:
            self._wait(timeout)
            found = self._take(limit)
        faults, self._faults = self._faults, []
        return _columns(found, self.scheduler.now_ms()), faults

    def positions(self, partitions: list[int]) -> list[int]:
        return [self._positions[number] for number in partitions]

    def watermarks(self, partition: int, timeout: float | None = None) -> tuple[int, int]:
        if timeout is not None:
            log = self.ask("watermarks", lambda: self.broker.topic_now().logs[partition], None)
            return 0, len(log)
        if partition not in self._highs:
            raise OSError
        return 0, self._highs[partition]

    def query_watermarks(self, *_: object) -> None: ...

    def take_events(self) -> list[tuple[int, int, str]]:
        return []

    def close(self) -> None: ...

    def _wait(self, timeout: float) -> None:
        """Fetch, and wait for the messages."""
        deadline = self.scheduler.now + timeout
        while True:
            if self._fetch is None and self._positions:
                self._fetch = self.link.request(partial(self._look, self._epoch))
            left = deadline - self.scheduler.now
            if self._fetch is None or not self._fetch.wait(left):
                if self._fetch is None:
                    self.scheduler.sleep(left)
                return
            found, self._fetch = self._fetch.result(), None
            if found and self._keep(*found):
                return
            if self.scheduler.now >= deadline or not self.broker.fetchers.wait(deadline - self.scheduler.now):
                return

    def _look(self, epoch: int) -> tuple[int, dict[int, tuple[int, int, list[bytes]]]]:
        """Return what the broker has: partition → where it begins, the log's end, messages."""
        found: dict[int, tuple[int, int, list[bytes]]] = {}
        if self.broker.topic is None or epoch != self._epoch:
            return epoch, found
        for number, position in self._positions.items():
            at = position + len(self._ahead[number])
            log = self.broker.topic.logs[number]
            found[number] = at, len(log), log[at : at + _FETCHED]
        return epoch, found

    def _keep(self, epoch: int, found: dict[int, tuple[int, int, list[bytes]]]) -> bool:
        if epoch != self._epoch:
            return False
        news = False
        for number, (at, end, messages) in found.items():
            if at > end:
                self._faults.append((KafkaError._AUTO_OFFSET_RESET, number, "out of range"))
                news = True
            self._highs[number] = end
            self._ahead[number] += messages
            news = news or bool(messages)
        return news

    def _take(self, limit: int) -> list[tuple[int, int, bytes]]:
        taken: list[tuple[int, int, bytes]] = []
        for number, ahead in self._ahead.items():
            some = ahead[: limit - len(taken)]
            del ahead[: len(some)]
            position = self._positions[number]
            taken += [(number, position + place, key) for place, key in enumerate(some)]
            self._positions[number] += len(some)
        return taken


def _columns(found: list[tuple[int, int, bytes]], now_ms: int) -> Any:
    keys = [key for _, _, key in found]
    return (
        array("q", [number for number, _, _ in found]),
        array("q", [offset for _, offset, _ in found]),
        array("q", [now_ms] * len(found)),
        ByteColumn(keys),
        ByteColumn(keys),
        HeaderColumn([[]] * len(found)),
    )
