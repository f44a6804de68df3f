"""A `Producer`, with transactions and without."""

import json
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from recording_worker.formats.accounts import ACCOUNT_HEADER
from recording_worker.messages import Headers
from tests.simulation.checks import METADATA_TOPIC
from tests.simulation.clients.client import Client, timed_out
from tests.simulation.network import error
from tests.simulation.scheduler import Future


class TransactionalProducer(Client):
    """A `Producer` with transactions. A call whose time is up is under way still, and the same call joins it."""

    def __init__(self, *client: Any, name: str) -> None:
        super().__init__(*client)
        self._name = name
        self._epoch = 0
        self._queue: list[tuple[str, bytes, bytes, Callable[..., None]]] = []
        """(topic, key, what the ledger knows it by, who gets the report)"""
        self._calls: dict[str, Future[Any]] = {}
        self._reports: list[tuple[Callable[..., None], KafkaError, Any]] = []
        self._failed: Exception | None = None
        """Why the transaction must be aborted."""
        self._has_gap = False
        """Whether a record of the last transaction was refused: the sequence numbers have a hole."""

    def init_transactions(self, timeout: float) -> None:
        self._epoch = self._join("init", lambda: self.broker.init(self._name), timeout)

    def begin_transaction(self) -> None:
        self._failed = None

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes,
        *,
        on_delivery: Callable[..., None],
        headers: Headers | None = None,
        timestamp: int = 0,
    ) -> None:
        del timestamp
        self._queue.append((topic, key, _label(topic, key, value, headers), on_delivery))

    def flush(self) -> None:
        while True:
            try:
                self._send(5.0)
            except KafkaException as problem:
                if problem is not self._failed:
                    continue
            break
        self.poll(0)

    def poll(self, _timeout: float) -> None:
        if self._queue and self.rng.random() < 0.5:
            self._refuse()
        reports, self._reports = self._reports, []
        for report, problem, message in reports:
            report(problem, message)

    def send_offsets_to_transaction(self, offsets: list[TopicPartition], membership: bytes, timeout: float) -> None:
        self._raise_if_failed()
        positions = {at.partition: (at.offset, at.metadata or "") for at in offsets}
        add = self._with_epoch(lambda epoch: self.broker.add_offsets(self._name, epoch, membership, positions))
        self._join_or_fail("offsets", add, timeout)

    def commit_transaction(self, timeout: float) -> None:
        self._send(timeout)
        self._join_or_fail(
            "commit", self._with_epoch(lambda epoch: self.broker.end(self._name, epoch, commit=True)), timeout
        )

    def abort_transaction(self, timeout: float) -> None:
        for topic, key, _, report in self._queue:
            self._reports.append((report, KafkaError(KafkaError._PURGE_QUEUE, "purged"), _Refused(topic, key)))
        self._queue = []
        self._join("abort", self._with_epoch(lambda epoch: self.broker.end(self._name, epoch, commit=False)), timeout)

    def _send(self, timeout: float) -> None:
        self._refuse()
        self._raise_if_failed()
        if not self._queue and "records" not in self._calls:
            return
        records = [(topic, label) for topic, _, label, _ in self._queue]
        self._queue = []
        self._join_or_fail(
            "records", self._with_epoch(lambda epoch: self.broker.add_records(self._name, epoch, records)), timeout
        )

    def _refuse(self) -> None:
        """Find the records that their topic refuses. They end the transaction."""
        if self._has_gap and self._queue:
            self._has_gap = False
            code = KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER
        elif any(key.endswith(b"/large") for _, key, _, _ in self._queue):
            code = KafkaError.MSG_SIZE_TOO_LARGE
            self._has_gap = self.broker.leaves_gaps
        else:
            return
        problem = KafkaError(code, "refused", False, False, True)
        queue, self._queue = self._queue, []
        for topic, key, _, report in queue:
            at_fault = code != KafkaError.MSG_SIZE_TOO_LARGE or key.endswith(b"/large")
            purged = KafkaError(KafkaError._PURGE_QUEUE, "purged")
            self._reports.append((report, problem if at_fault else purged, _Refused(topic, key)))
        self._failed = error(code, "refused", abort=True)

    def _raise_if_failed(self) -> None:
        if self._failed is not None:
            raise self._failed

    def _with_epoch(self, effect: Callable[[int], None]) -> Callable[[], None]:
        epoch = self._epoch
        return lambda: effect(epoch)

    def _join_or_fail(self, what: str, effect: Callable[[], Any], timeout: float) -> None:
        """As `_join`. An error that is not fatal fails the transaction."""
        try:
            self._join(what, effect, timeout)
        except KafkaException as problem:
            if not problem.args[0].retriable():
                self._failed = problem
            raise

    def _join(self, what: str, effect: Callable[[], Any], timeout: float) -> Any:
        """Wait for a call: the one that is under way, or a new one."""
        call = self._calls.get(what)
        if call is None:
            call = self._calls[what] = self.link.request(effect)
        if not call.wait(timeout):
            raise timed_out(what)
        del self._calls[what]
        return call.result()


class PlainProducer(Client):
    """A `Producer` without transactions. Its records count once they are acknowledged."""

    def __init__(self, *client: Any, committed: Callable[[list[tuple[str, bytes]]], None]) -> None:
        super().__init__(*client)
        self._queue: list[tuple[str, bytes]] = []
        self._reports: list[tuple[Callable[..., None], _Refused]] = []
        self._committed = committed

    def produce(
        self,
        topic: str,
        value: bytes,
        key: bytes,
        *,
        on_delivery: Callable[..., None],
        headers: Headers | None = None,
        **_: object,
    ) -> None:
        if key.endswith(b"/large"):
            self._reports.append((on_delivery, _Refused(topic, key)))
        else:
            self._queue.append((topic, _label(topic, key, value, headers)))

    def poll(self, _timeout: float) -> None: ...

    def flush(self) -> None:
        records, self._queue = self._queue, []
        self.ask("produce", lambda: self._committed(records))
        reports, self._reports = self._reports, []
        for report, refused in reports:
            report(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE, "too large"), refused)


def _label(topic: str, key: bytes, value: bytes | None, headers: Headers | None) -> bytes:
    """Return what the ledger knows a record by: its key. Of metadata it is the file's URL, and the account if any."""
    if topic != METADATA_TOPIC or value is None:
        return key
    url: str = json.loads(value)["block_url"]
    account = dict(headers or []).get(ACCOUNT_HEADER) or b""
    return url.partition("?")[0].encode() + b" " + account


class _Refused:
    def __init__(self, topic: str, key: bytes) -> None:
        self._topic, self._key = topic, key

    def topic(self) -> str:
        return self._topic

    def key(self) -> bytes:
        return self._key

    def value(self) -> bytes:
        return b""
