"""RedriveRun on the embedded broker, whose transactions count as committed: real ones are in tests/integration."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest
from confluent_kafka import KafkaError, Producer

from recording_worker.clock import SystemClock
from recording_worker.errors import ConfigError, WorkerError
from recording_worker.formats.dlq_headers import Source, dlq_headers
from recording_worker.kafka.admin import Admin
from recording_worker.kafka.embedded import EmbeddedBroker
from recording_worker.kafka.topic_snapshot import TopicSnapshot
from recording_worker.messages import Headers, Record
from recording_worker.operations.dlq.audit import Action, State
from recording_worker.operations.dlq.audited_producer import Target, Task
from recording_worker.operations.dlq.dead_letter import Place, Selection
from recording_worker.operations.dlq.redrive import RedriveRequest, RedriveRun
from recording_worker.operations.dlq.topics import DlqTopics
from recording_worker.progress import no_progress
from recording_worker.settings.model import Settings
from tests.builders import NOW_MS

PRODUCE = 0
"""Kafka's API key."""
MIB = 1024 * 1024


class Run:
    """What one run did, transaction by transaction."""

    def __init__(self, stage: "Stage", request: RedriveRequest, end_at: int | None = None) -> None:
        self.transactions: list[list[Task]] = []
        self._end_at = end_at
        topics = DlqTopics(stage.settings, no_progress, SystemClock().now_ms())
        self._run = RedriveRun(stage.settings, topics, request, self._done)
        self.result = self._run.result

    def rehearse(self) -> "Run":
        self.transactions.append([])
        self._run.rehearse()
        return self

    def run(self) -> "Run":
        self._run.run("me@here", SystemClock(), self)
        return self

    @property
    def tasks(self) -> list[Task]:
        return [task for tasks in self.transactions for task in tasks]

    @property
    def sizes(self) -> list[int]:
        return [len(tasks) for tasks in self.transactions]

    @contextmanager
    def deferred(self) -> Iterator[None]:
        self.transactions.append([])
        yield
        if len(self.transactions) == self._end_at:
            raise SystemExit(1)

    def check(self) -> None:
        """No signal waits."""

    def _done(self, task: Task) -> None:
        self.transactions[-1].append(task)


class Stage:
    """A source topic and a DLQ of two partitions each, and an audit topic."""

    def __init__(self, broker: EmbeddedBroker, name: str) -> None:
        self.source, self.dlq, self.audit = f"{name}-source", f"{name}-dlq", f"{name}-audit"
        for topic, partitions in ((self.source, 2), (self.dlq, 2), (self.audit, 1)):
            broker.create_topic(topic, partitions)
        self.settings = Settings(
            bootstrap_servers=broker.bootstrap_servers, dlq_topic=self.dlq, dlq_audit_topic=self.audit
        )
        self._producer = Producer(
            {"bootstrap.servers": broker.bootstrap_servers, "log_level": 0, "message.max.bytes": 2 * MIB}
        )

    def letter(
        self,
        offset: int,
        partition: int = 0,
        *,
        value: bytes = b"x",
        key: bytes = b"key",
        topic: str | None = None,
        headers: Headers | None = None,
    ) -> None:
        """Send one letter to the DLQ's partition 0, of the message at this place of the source."""
        source = Source(topic or self.source, partition, offset, NOW_MS)
        why = dlq_headers(source, reason="r", step="s", error="e") if headers is None else headers
        self._producer.produce(self.dlq, value, key, partition=0, headers=[*why])
        assert self._producer.flush(30) == 0

    def letters(self, offsets: Sequence[int], value: bytes = b"x") -> None:
        for offset in offsets:
            self.letter(offset, value=value)

    def redrive(self, **request: Any) -> Run:
        return self.run(Action.REDRIVE, **request)

    def run(self, action: Action, selection: Selection | None = None, **request: Any) -> Run:
        return Run(self, RedriveRequest(action, selection or Selection(), **request)).run()

    def read(self, topic: str) -> list[Record]:
        snapshot = TopicSnapshot.take(self.settings, Admin(self.settings), topic)
        return list(snapshot.records("", no_progress))


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as embedded:
        yield embedded


NUMBERS = count()


@pytest.fixture
def stage(broker: EmbeddedBroker) -> Stage:
    return Stage(broker, f"stage-{next(NUMBERS)}")


def test_headers_that_are_null_or_empty_stay_so(stage: Stage) -> None:
    own = [("token", b"t"), ("content-encoding", None), ("empty", b""), ("empty", None)]
    stage.letter(0, headers=[*own, *dlq_headers(Source(stage.source, 0, 0, NOW_MS), reason="r", step="s", error="e")])
    stage.redrive()
    assert [record.headers for record in stage.read(stage.source)] == [own]


def test_a_transaction_has_few_letters(stage: Stage) -> None:
    stage.letters(range(401))
    run = stage.redrive()
    assert run.sizes == [200, 200, 1]
    assert [task.letter.source.offset for task in run.tasks if task.letter.source] == [*range(401)]
    offsets = [number + number // 200 for number in range(401)]  # the end of a transaction takes an offset
    assert [task.target for task in run.tasks] == [Target(stage.source, 0, offset) for offset in offsets]
    assert run.result.done == 401


def test_a_transaction_has_few_bytes(stage: Stage) -> None:
    stage.letters(range(3), value=bytes(MIB * 14 // 10))  # of the 5 MiB that the broker keeps
    stage.letters([3])
    assert stage.redrive().sizes == [3, 1]


@pytest.mark.parametrize(("rate", "sizes"), [(40.0, [4, 4, 1]), (5.0, [1] * 9), (10_000.0, [9])])
def test_a_rate_is_kept_evenly(stage: Stage, rate: float, sizes: list[int]) -> None:
    stage.letters(range(9))
    began = time.monotonic()
    assert stage.redrive(rate=rate).sizes == sizes
    assert time.monotonic() - began >= sum(sizes[:-1]) / rate


@pytest.mark.parametrize("limit", [1, 3, 200, 201])
def test_a_limit_is_kept(stage: Stage, limit: int) -> None:
    stage.letters(range(205))
    first = stage.redrive(limit=limit)
    assert (first.result.done, len(first.tasks)) == (limit, limit)
    second = stage.redrive()
    assert (second.result.done, second.result.before) == (205 - limit, {State.REDRIVEN: limit})
    assert len(stage.read(stage.source)) == 205


def test_of_several_letters_of_a_message_one_is_sent(stage: Stage) -> None:
    stage.letters([7, 7, 8, 7])
    result = stage.redrive().result
    assert (result.done, result.copies) == (2, 2)
    result = stage.run(Action.DROP).result
    assert (result.done, result.copies, result.before) == (0, 0, {State.REDRIVEN: 4})


def test_a_message_goes_back_to_its_partition_or_by_its_key(stage: Stage, broker: EmbeddedBroker) -> None:
    stage.letter(1, 1)
    stage.letter(1, 9, key=b"a")  # the topic had more partitions then
    broker.create_topic(elsewhere := f"{stage.source}-else", 2)
    tasks = stage.redrive(limit=2).tasks
    assert tasks[0].target == Target(stage.source, 1, 0)
    assert tasks[1].target is not None
    by_key = tasks[1].target.partition
    stage.letter(2, 1 - (by_key or 0), key=b"a")
    [task] = stage.redrive(to_topic=elsewhere).tasks
    assert task.target is not None
    assert (task.target.topic, task.target.partition) == (elsewhere, by_key), "of another topic: by its key"


def test_what_can_not_be_sent_back_is_left_with_the_reason(stage: Stage) -> None:
    stage.letter(0, topic="nowhere")
    stage.letter(1, headers=[])
    stage.letter(2)
    result = stage.redrive().result
    assert result.done == 1
    assert result.left == {
        "there is no topic nowhere (--to-topic sends them elsewhere)": 1,
        "they don't say where they came from (--to-topic sends them somewhere)": 1,
    }
    assert stage.redrive(to_topic=stage.source).result.done == 2
    assert stage.read(stage.source)[-1].headers == []


def test_a_drop_sends_nothing_and_is_recorded(stage: Stage) -> None:
    stage.letters([5])
    [task] = stage.run(Action.DROP).tasks
    assert task.target is None
    assert stage.read(stage.source) == []
    [record] = stage.read(stage.audit)
    said = json.loads(record.value or b"")
    assert (said["action"], said["by"], said["to_topic"]) == ("drop", "me@here", None)
    assert (said["dlq_topic"], said["dlq_offset"], said["source_offset"]) == (stage.dlq, 0, 5)
    assert abs(said["at_ms"] - time.time() * 1000) < 60_000
    assert (record.key or b"").decode() == said["identity"] == task.letter.identity
    assert stage.redrive().result.before == {State.DROPPED: 1}


def test_places_that_hold_no_letter_are_named(stage: Stage) -> None:
    stage.letters([0, 1, 2])
    places = frozenset({Place(0, 1), Place(0, 2), Place(0, 9), Place(1, 0)})
    result = stage.redrive(selection=Selection(places=places)).result
    assert (result.done, result.missing) == (2, [Place(0, 9), Place(1, 0)])
    with pytest.raises(ConfigError, match="has no partition 2, 7: it has 2"):
        stage.redrive(selection=Selection(places=frozenset({Place(7, 0), Place(2, 0), Place(0, 0)})))


def test_a_rehearsal_changes_nothing(stage: Stage) -> None:
    stage.letters([3, 3, 4, 5])
    run = Run(stage, RedriveRequest(Action.REDRIVE, Selection(), limit=2)).rehearse()
    assert [task.target for task in run.tasks] == [Target(stage.source, 0), Target(stage.source, 0)]
    assert (run.result.done, run.result.copies) == (2, 1)
    assert stage.read(stage.source) == stage.read(stage.audit) == []


def test_a_run_ends_between_two_transactions(stage: Stage) -> None:
    stage.letters(range(4))
    ended = Run(stage, RedriveRequest(Action.REDRIVE, Selection(), rate=20.0), end_at=1)
    with pytest.raises(SystemExit):
        ended.run()
    assert (ended.sizes, ended.result.done) == ([2], 2)
    assert len(stage.read(stage.source)) == 2
    assert stage.redrive().result.before == {State.REDRIVEN: 2}


def test_a_letter_too_large_for_its_topic_is_left(stage: Stage, broker: EmbeddedBroker) -> None:
    stage.letters(range(3))
    refused = [KafkaError.MSG_SIZE_TOO_LARGE] * 2  # all at once, then the first of them alone
    broker.push_request_errors(PRODUCE, refused)
    result = stage.redrive().result
    assert (result.done, result.left) == (2, {f"topic {stage.source} takes none so large": 1})
    assert [task.letter.place.offset for task in stage.redrive().tasks] == [0]


def test_an_aborted_transaction_is_tried_three_times_in_all(stage: Stage, broker: EmbeddedBroker) -> None:
    stage.letters([0])
    broker.push_request_errors(PRODUCE, [KafkaError.INVALID_RECORD])
    assert stage.redrive().result.done == 1
    stage.letters([1])
    broker.push_request_errors(PRODUCE, [KafkaError.INVALID_RECORD] * 3)
    with pytest.raises(WorkerError, match="Kafka transaction failed: "):
        stage.redrive()
    assert stage.redrive().result.done == 1


@pytest.mark.parametrize("command", [Run.run, Run.rehearse])
def test_a_dlq_topic_that_does_not_exist(stage: Stage, command: Callable[[Run], Run]) -> None:
    stage.settings = stage.settings.model_copy(update={"dlq_topic": "nowhere"})
    with pytest.raises(ConfigError, match=r"there is no topic nowhere \(dlq_topic\)"):
        command(Run(stage, RedriveRequest(Action.REDRIVE, Selection())))


def test_a_foreign_record_on_the_audit_topic_is_an_error(stage: Stage) -> None:
    stage._producer.produce(stage.audit, b"{}")
    assert stage._producer.flush(30) == 0
    with pytest.raises(ConfigError, match=f"the record {stage.audit}/0 at 0 was not written by a dlq command"):
        stage.redrive()
