"""Models of librdkafka's clients, with the interface that the product uses them by."""

import random
from array import array
from collections.abc import Callable, Iterable
from functools import partial
from types import SimpleNamespace
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicPartition

from recording_worker._native import ByteColumn, HeaderColumn
from tests.simulation.broker import GENERATION, MAGIC, SESSION_SECONDS, Broker, Link, Member, error
from tests.simulation.scheduler import Future, Scheduler, Signal

_FETCHED = 6
"""Messages that a fetch brings at most."""


def timed_out(what: str) -> Exception:
    return error(KafkaError._TIMED_OUT, f"{what} timed out", retriable=True)


class Client:
    """What all clients have: a way to the brokers, and requests that a caller waits for."""

    def __init__(self, scheduler: Scheduler, broker: Broker, link: Link, rng: random.Random) -> None:
        self.scheduler = scheduler
        self.broker = broker
        self.link = link
        self.rng = rng

    def ask(self, what: str, effect: Callable[[], Any], timeout: float | None = None) -> Any:
        """Send a request and wait for its answer. After a time-out it is on its way still."""
        answer = self.link.request(effect)
        if not answer.wait(timeout):
            raise timed_out(what)
        return answer.result()


class GroupConsumer(Client):
    """A `Consumer` in the group. librdkafka's threads hear from the group at once; the application when it polls."""

    def __init__(self, *client: Any, config: dict[str, Any]) -> None:
        super().__init__(*client)
        self._on_commit = config["on_commit"]
        self._callbacks: dict[str, Callable[..., None]] = {}
        self._member = ""
        self._generation = -1
        self._assigned: set[int] = set()
        self._events: list[tuple[str, Any]] = []
        """What the next polls call."""
        self._heard = Signal(self.scheduler)
        self._in_callback = False
        self._closed = False

    def subscribe(self, _topics: list[str], **callbacks: Callable[..., None]) -> None:
        self._callbacks = callbacks
        self._join()

    def poll(self, timeout: float) -> None:
        if not self._events and timeout:
            self._heard.wait(timeout)
        while self._events:
            self._serve(*self._events.pop(0))

    def consumer_group_metadata(self) -> bytes:
        return MAGIC + GENERATION.pack(self._generation) + self._member.encode()

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        self._assigned |= {at.partition for at in partitions}

    def pause(self, _partitions: list[TopicPartition]) -> None: ...

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition("in", number) for number in sorted(self._assigned)]

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> list[TopicPartition] | None:
        answer = self.link.request(self._commit_of(offsets))
        if not asynchronous:
            answer.result()
            return offsets
        answer.add_done_callback(lambda done: self._hear("committed", (done.exception(), offsets)))
        return None

    def committed(self, asked: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        numbers = [at.partition for at in asked]
        found = self.ask("committed", lambda: self.broker.fetch_offsets(numbers), timeout)
        answers = []
        for number in numbers:
            offset, text = found.get(number, (-1001, ""))
            answers.append(TopicPartition("in", number, offset, text))
        return answers

    def offsets_for_times(self, asked: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        def look() -> list[TopicPartition]:
            topic = self.broker.topic_now()
            return [
                TopicPartition(
                    "in", at.partition, 0 if at.offset == OFFSET_BEGINNING else len(topic.logs[at.partition])
                )
                for at in asked
            ]

        answers: list[TopicPartition] = self.ask("offsets", look, timeout)
        return answers

    def list_topics(self, topic: str, timeout: float) -> Any:
        return self.ask("metadata", lambda: _metadata(self.broker, topic), timeout)

    def close(self) -> None:
        self._closed = True
        while self._events:
            self._serve(*self._events.pop(0))
        if self._assigned:
            self._serve("revoke", set(self._assigned))
        member, self._member, self._generation = self._member, "", -1
        if member:
            self.ask("leave", lambda: self.broker.leave(member))

    def _commit_of(self, offsets: list[TopicPartition]) -> Callable[[], None]:
        member, generation = self._member, self._generation
        positions = {at.partition: (at.offset, at.metadata or "") for at in offsets}
        return lambda: self.broker.commit(member, generation, positions)

    def _join(self) -> None:
        self.link.request(self._arrive_at_group)

    def _arrive_at_group(self) -> None:
        if self._closed:
            return
        member = self.broker.new_member_id()
        self._member = member
        self.broker.join(
            Member(
                member,
                self.link,
                learn=lambda generation, come, gone: self._learn(member, generation, come, gone),
                is_busy=lambda: self._in_callback or bool(self._events),
            )
        )
        self._watch_session(member)

    def _watch_session(self, member: str) -> None:
        """Have the group miss this member once it is silent for as long as a session."""
        broker, scheduler = self.broker, self.scheduler
        silent_since: list[float | None] = [None]

        def look() -> None:
            process = self.link.process
            given_up = member != self._member
            if given_up and not broker.is_member(member):
                return
            silent = given_up or bool(process.frozen) or not process.alive or not self.link.is_up
            if not silent:
                silent_since[0] = None
                if not broker.is_member(member):
                    self._lost()
                    return
            elif silent_since[0] is None:
                silent_since[0] = scheduler.now
            elif scheduler.now - silent_since[0] >= SESSION_SECONDS:
                broker.leave(member)
                if not process.alive:
                    return
            scheduler.call(self.rng.uniform(0.4, 0.6), look)

        scheduler.call(0.5, look)

    def _learn(self, member: str, generation: int, come: set[int], gone: set[int]) -> None:
        """Hear of a new generation, a moment later."""

        def hear() -> None:
            if member != self._member or self._closed:
                return
            self._generation = generation
            if gone:
                self._hear("revoke", gone)
            if come:
                self._hear("assign", come)

        # a member that joined has its answer before the next rebalance can end
        self.scheduler.call(self.rng.uniform(0.001, 0.04), hear)

    def _lost(self) -> None:
        """The group has gone on without this member."""
        self._member, self._generation = "", -1
        self._events = [event for event in self._events if event[0] == "committed"]
        self._hear("lost", None)

    def _hear(self, kind: str, about: Any) -> None:
        self._events.append((kind, about))
        self._heard.notify()

    def _serve(self, kind: str, about: Any) -> None:
        self._in_callback = True
        try:
            self._call(kind, about)
        finally:
            self._in_callback = False

    def _call(self, kind: str, about: Any) -> None:
        member = self._member
        match kind:
            case "committed":
                problem, offsets = about
                self._on_commit(None if problem is None else problem.args[0], offsets)
            case "assign":
                self._callbacks["on_assign"](self, self._named(about))
            case "revoke":
                self._callbacks["on_revoke"](self, self._named(about))
                self._assigned -= about
                self.link.request(lambda: self.broker.released(member, about))
            case "lost":
                if self._assigned:
                    self._callbacks["on_lost"](self, self._named(self._assigned))
                self._assigned = set()
                if not self._closed:
                    self._join()

    def _named(self, numbers: Iterable[int]) -> list[TopicPartition]:
        return [TopicPartition("in", number) for number in sorted(numbers)]


def _metadata(broker: Broker, topic: str) -> Any:
    found = broker.topic_now()
    return SimpleNamespace(
        controller_id=1,
        brokers={1: None},
        topics={topic: SimpleNamespace(partitions=dict.fromkeys(range(len(found.logs))))},
    )


class Admin(Client):
    """An `AdminClient`."""

    def list_topics(self, topic: str, timeout: float) -> Any:
        return self.ask("metadata", lambda: _metadata(self.broker, topic), timeout)

    def describe_topics(self, _topics: object, request_timeout: float) -> dict[str, "Future[Any]"]:
        answer = self.link.request(lambda: SimpleNamespace(topic_id=self.broker.topic_now().id))
        self.scheduler.call(request_timeout, lambda: answer.set_exception(timed_out("describe")))
        return {"in": answer}

    def list_offsets(self, wanted: Iterable[TopicPartition], request_timeout: float) -> dict[Any, "Future[Any]"]:
        answers = {}
        for at in wanted:
            answer = self.link.request(partial(self._end_of, at.partition))
            self.scheduler.call(request_timeout, partial(answer.set_exception, timed_out("list offsets")))
            answers[at] = answer
        return answers

    def _end_of(self, partition: int) -> Any:
        return SimpleNamespace(offset=len(self.broker.topic_now().logs[partition]))


class TransactionalProducer(Client):
    """A `Producer` with transactions. A call whose time is up is under way still, and the same call joins it."""

    def __init__(self, *client: Any, name: str) -> None:
        super().__init__(*client)
        self._name = name
        self._epoch = 0
        self._queue: list[tuple[str, bytes, Callable[..., None]]] = []
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
        _value: bytes | None,
        key: bytes,
        *,
        on_delivery: Callable[..., None],
        headers: object = None,
        timestamp: int = 0,
    ) -> None:
        del headers, timestamp
        self._queue.append((topic, key, on_delivery))

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
        for _topic, key, report in self._queue:
            self._reports.append((report, KafkaError(KafkaError._PURGE_QUEUE, "purged"), _Refused(_topic, key)))
        self._queue = []
        self._join("abort", self._with_epoch(lambda epoch: self.broker.end(self._name, epoch, commit=False)), timeout)

    def _send(self, timeout: float) -> None:
        self._refuse()
        self._raise_if_failed()
        if not self._queue and "records" not in self._calls:
            return
        records = [(topic, key) for topic, key, _ in self._queue]
        self._queue = []
        self._join_or_fail(
            "records", self._with_epoch(lambda epoch: self.broker.add_records(self._name, epoch, records)), timeout
        )

    def _refuse(self) -> None:
        """Find the records that their topic refuses. They end the transaction."""
        if self._has_gap and self._queue:
            self._has_gap = False
            code = KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER
        elif any(key.endswith(b"/large") for _, key, _ in self._queue):
            code = KafkaError.MSG_SIZE_TOO_LARGE
            self._has_gap = self.broker.leaves_gaps
        else:
            return
        problem = KafkaError(code, "refused", False, False, True)
        queue, self._queue = self._queue, []
        for topic, key, report in queue:
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


class _Refused:
    def __init__(self, topic: str, key: bytes) -> None:
        self._topic, self._key = topic, key

    def topic(self) -> str:
        return self._topic

    def key(self) -> bytes:
        return self._key

    def value(self) -> bytes:
        return b""


class PlainProducer(Client):
    """A `Producer` without transactions. Its records count once they are acknowledged."""

    def __init__(self, *client: Any, committed: Callable[[list[tuple[str, bytes]]], None]) -> None:
        super().__init__(*client)
        self._queue: list[tuple[str, bytes]] = []
        self._reports: list[tuple[Callable[..., None], _Refused]] = []
        self._committed = committed

    def produce(self, topic: str, _value: bytes, key: bytes, *, on_delivery: Callable[..., None], **_: object) -> None:
        if key.endswith(b"/large"):
            self._reports.append((on_delivery, _Refused(topic, key)))
        else:
            self._queue.append((topic, key))

    def poll(self, _timeout: float) -> None: ...

    def flush(self) -> None:
        records, self._queue = self._queue, []
        self.ask("produce", lambda: self._committed(records))
        reports, self._reports = self._reports, []
        for report, refused in reports:
            report(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE, "too large"), refused)


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
