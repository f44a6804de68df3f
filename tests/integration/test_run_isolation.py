"""`recording-worker run` on a native core that certain messages crash or hang: they are left out, and no other is."""

import gzip
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from recording_worker.kafka.embedded import EmbeddedBroker
from tests import hooks
from tests.integration.committed import committed_numbers, committed_records
from tests.integration.conftest import OUTPUT_TOPICS, PARTITIONS, StartService
from tests.integration.service import GROUP, TOPIC, Service, Traffic, recorded
from tests.servers.kafka import KafkaServer
from tests.waiting import wait_for

DLQ = "session_recording_snapshot_item_dlq"


@pytest.fixture
def with_hooks(tmp_path: Path) -> dict[str, str]:
    return hooks.environment(tmp_path)


def dead_letters(bootstrap_servers: str) -> dict[int, dict[str, str]]:
    """Message number → the headers of its record in the DLQ. None may be there twice."""
    letters: dict[int, dict[str, str]] = {}
    for record in committed_records(bootstrap_servers, DLQ):
        data = json.loads(json.loads(gzip.decompress(record.value()))["data"])
        number = data["properties"]["$snapshot_items"][0]["data"]["number"]
        assert number not in letters
        letters[number] = {key: value.decode() for key, value in record.headers()}
    return letters


def restarts(service: Service) -> int:
    return len(service.logged("worker ended"))


def test_messages_that_crash_the_core_go_to_the_dlq_and_all_others_are_recorded(
    broker: EmbeddedBroker, start: StartService, traffic: Traffic, with_hooks: dict[str, str]
) -> None:
    traffic.send(50)
    traffic.send(1, text=hooks.CRASH)
    traffic.send(50)
    traffic.send(1, text=hooks.CRASH)
    traffic.send(50)
    poison = {50, 101}
    service = start(environment=with_hooks)
    traffic.wait_until_committed(service)
    letters = dead_letters(broker.bootstrap_servers)
    assert letters.keys() == poison
    for letter in letters.values():
        assert letter["dlq-reason"] == "worker_crashed"
        assert letter["dlq-step"] == "set_poison_messages_aside"
        assert letter["dlq-error"] == "a worker that read this message ended by SIGSEGV"
    assert recorded(service.storage).keys() == set(range(traffic.sent)) - poison
    assert service.counts("worker_restarts_total").keys() == {'{reason="killed"}'}
    assert restarts(service) <= 6, "two poison messages, and each may be met by another worker"
    assert {(line["partition"], line["offset"]) for line in service.logged("message ends its worker")} == {
        (int(letter["dlq-partition"]), int(letter["dlq-offset"])) for letter in letters.values()
    }
    wait_for(lambda: service.logged("isolation ended"), "isolation to end")
    ended = restarts(service)
    traffic.send(60)
    traffic.wait_until_committed()
    assert service.stop() == 0
    assert recorded(service.storage).keys() == set(range(traffic.sent)) - poison
    assert restarts(service) == ended


def test_a_message_that_hangs_the_core_goes_to_the_dlq(
    broker: EmbeddedBroker, start: StartService, traffic: Traffic, with_hooks: dict[str, str]
) -> None:
    traffic.send(20)
    traffic.send(1, text=hooks.HANG)
    traffic.send(20)
    service = start(environment=with_hooks, workers=1, progress_deadline=3.0)
    traffic.wait_until_committed(service)
    letters = dead_letters(broker.bootstrap_servers)
    assert letters.keys() == {20}
    assert letters[20]["dlq-reason"] == "worker_crashed"
    assert letters[20]["dlq-error"] == "a worker that read this message ended by SIGKILL, after it was stuck"
    assert service.counts("worker_restarts_total") == {'{reason="stuck"}': 3.0}
    assert "parse_session_recording_message.py" in service.log_file.read_text(), "the stacks"
    assert service.stop() == 0
    assert recorded(service.storage).keys() == set(range(traffic.sent)) - {20}


def test_a_message_that_crashes_the_flush_goes_to_the_dlq_and_all_others_are_recorded(
    broker: EmbeddedBroker, start: StartService, traffic: Traffic, with_hooks: dict[str, str]
) -> None:
    traffic.send(50)
    traffic.send(1, text=hooks.FLUSH_CRASH)
    traffic.send(50)
    service = start(environment=with_hooks)
    traffic.wait_until_committed(service)
    letters = dead_letters(broker.bootstrap_servers)
    assert letters.keys() == {50}
    assert letters[50]["dlq-reason"] == "worker_crashed"
    assert letters[50]["dlq-error"] == "a worker that read this message ended by SIGSEGV"
    assert service.counts("worker_restarts_total") == {'{reason="killed"}': 4.0}
    assert [line["offset"] for line in service.logged("message ends its worker")] == [int(letters[50]["dlq-offset"])]
    wait_for(lambda: service.logged("isolation ended"), "isolation to end")
    traffic.send(60)
    traffic.wait_until_committed()
    assert service.stop() == 0
    assert recorded(service.storage) == dict.fromkeys(set(range(traffic.sent)) - {50}, 1)
    assert restarts(service) == 4


def test_a_message_whose_flush_hangs_goes_to_the_dlq(
    broker: EmbeddedBroker, start: StartService, traffic: Traffic, with_hooks: dict[str, str]
) -> None:
    traffic.send(20)
    traffic.send(1, text=hooks.FLUSH_HANG)
    traffic.send(20)
    service = start(environment=with_hooks, workers=1, progress_deadline=3.0)
    traffic.wait_until_committed(service)
    letters = dead_letters(broker.bootstrap_servers)
    assert letters.keys() == {20}
    assert letters[20]["dlq-error"] == "a worker that read this message ended by SIGKILL, after it was stuck"
    assert service.counts("worker_restarts_total") == {'{reason="stuck"}': 5.0}
    assert service.stop() == 0
    assert recorded(service.storage) == dict.fromkeys(set(range(traffic.sent)) - {20}, 1)


RAISING_STEP = f"""
import os
if "PROMETHEUS_MULTIPROC_DIR" in os.environ:  # a worker
    from recording_worker.pipeline.steps.resolve_team import ResolveTeam
    run = ResolveTeam.run
    def raising(step, batch):
        lines = map(batch.decoded.lines, batch.ok_rows()) if len(batch) else []
        if any({hooks.CRASH!r} in str(text) for text in lines):
            raise ValueError("no such thing")
        run(step, batch)
    ResolveTeam.run = raising
"""
"""What Python runs at its start: a step that raises if a message holds this text."""


def test_a_message_that_a_step_raises_at_goes_to_the_dlq(
    broker: EmbeddedBroker, start: StartService, traffic: Traffic, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(RAISING_STEP)
    traffic.send(50)
    traffic.send(1, text=hooks.CRASH)
    traffic.send(50)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    service = start(environment={"PYTHONPATH": path})
    traffic.wait_until_committed(service)
    letters = dead_letters(broker.bootstrap_servers)
    assert letters.keys() == {50}
    assert letters[50]["dlq-reason"] == "worker_crashed"
    assert letters[50]["dlq-error"] == "a worker that read this message ended by an exception in a step or a flush"
    assert recorded(service.storage).keys() == set(range(traffic.sent)) - {50}
    assert service.counts("worker_restarts_total") == {'{reason="failed"}': 4.0}, "twice to find it, twice to be sure"
    assert service.logged("worker failed")[0]["exception"][0]["exc_value"], "where it was raised"
    assert service.stop() == 0


def test_workers_that_are_killed_time_after_time_leave_no_message_out(
    broker: EmbeddedBroker, start: StartService, traffic: Traffic
) -> None:
    traffic.send(600)
    service = start(workers=1, max_batch_age=600.0)

    def read() -> float:
        return sum(service.metric("messages_processed_total").values())

    def all_are_read() -> bool:
        known = service.status()["partitions"]
        return [(at["worker"], at["position"], at["end"]) for at in known] == [(0, 100, 100)] * PARTITIONS

    def kill_once_read(goal: float) -> None:
        deaths = len(service.logged("worker ended"))
        wait_for(lambda: read() >= goal, "messages to be read")
        os.kill(service.worker_pids()[0], signal.SIGKILL)
        wait_for(lambda: len(service.logged("worker ended")) > deaths, "the death to be noticed")

    for _ in range(4):
        kill_once_read(read() + 1)
    wait_for(all_are_read, "all to be read, one by one", 90)
    assert service.metric("partitions_careful") == {"": 6.0}
    assert service.stop() == 0
    assert traffic.committed() == traffic.ends()
    # a worker that is killed between a file and its commit leaves what the next one records again
    assert recorded(service.storage).keys() == set(range(600))
    assert dead_letters(broker.bootstrap_servers) == {}


SLOW_RECORDS = """
import os
if "PROMETHEUS_MULTIPROC_DIR" in os.environ:  # a worker
    from recording_worker.kafka import transactions
    produce_all = transactions.produce_all
    def slow(producer, records, failures):
        records = list(records)
        produce_all(producer, records, failures)
        while any(b'"session-20"' in record.value for record in records) and not failures:
            produce_all(producer, records[:1], failures)
            producer.flush()
    transactions.produce_all = slow
"""
"""What Python runs at its start: a worker that never has done with the records of a certain session."""


@pytest.fixture
def real_broker(tmp_path: Path) -> Iterator[KafkaServer]:
    with KafkaServer(tmp_path / "kafka") as server:
        server.create_topic(TOPIC, PARTITIONS)
        for topic in OUTPUT_TOPICS:
            server.create_topic(topic)
        yield server


def test_exactly_once_each_message_is_recorded_or_in_the_dlq(
    real_broker: KafkaServer, tmp_path: Path, with_hooks: dict[str, str]
) -> None:
    servers = real_broker.bootstrap_servers
    traffic = Traffic(servers, PARTITIONS)
    service = Service(
        tmp_path, servers, environment=with_hooks, delivery="exactly_once", workers=2, progress_deadline=4.0
    )
    try:
        service.wait_until_ready()
        traffic.send(100)
        traffic.send(1, text=hooks.CRASH)
        traffic.send(100)
        traffic.send(1, text=hooks.HANG)
        traffic.send(100)
        poison = {100, 201}
        traffic.wait_until_committed(service)
        letters = dead_letters(servers)
        assert {number: letter["dlq-reason"] for number, letter in letters.items()} == dict.fromkeys(
            poison, "worker_crashed"
        )
        assert restarts(service) <= 6
        assert service.stop() == 0
        assert committed_numbers(servers) == dict.fromkeys(set(range(traffic.sent)) - poison, 1)
    finally:
        service.kill()
        traffic.close()


def test_a_message_whose_transaction_takes_too_long_goes_to_the_dlq(real_broker: KafkaServer, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(SLOW_RECORDS)
    servers = real_broker.bootstrap_servers
    traffic = Traffic(servers, PARTITIONS)
    traffic.send(40)
    service = Service(
        tmp_path,
        servers,
        environment={"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])},
        delivery="exactly_once",
        workers=1,
        kafka_producer={"transaction.timeout.ms": 2000},
    )
    try:
        traffic.wait_until_committed(service)
        letters = dead_letters(servers)
        assert letters.keys() == {20}
        how = "a worker that read this message ended by a flush whose transaction took too long"
        assert letters[20]["dlq-error"] == how
        assert service.counts("worker_restarts_total") == {'{reason="failed"}': 5.0}
        assert service.stop() == 0
        assert committed_numbers(servers) == dict.fromkeys(set(range(traffic.sent)) - {20}, 1)
    finally:
        service.kill()
        traffic.close()


def test_a_worker_that_another_process_fences_again_and_again_blames_no_message(
    real_broker: KafkaServer, tmp_path: Path
) -> None:
    servers = real_broker.bootstrap_servers
    traffic = Traffic(servers, PARTITIONS)
    traffic.send(40)
    service = Service(tmp_path, servers, delivery="exactly_once", workers=1, group_instance_id="host")
    try:
        while restarts(service) < 4:
            other = Producer({"bootstrap.servers": servers, "transactional.id": f"{GROUP}/host/0", "log_level": 0})
            other.init_transactions(10)
            traffic.send(1)  # a worker that has committed all would not notice
        assert not service.logged("partition is isolated")
        traffic.wait_until_committed(service)
        assert {line["how"] for line in service.logged("worker ended")} == {"exit code 1"}
        assert not service.logged("partition is isolated")
        assert service.stop() == 0
        assert committed_numbers(servers) == dict.fromkeys(range(traffic.sent), 1)
    finally:
        service.kill()
        traffic.close()
