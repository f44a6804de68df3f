"""`recording-worker run` when the group, the log or the broker lets it down."""

import os
import re
import signal
import time
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition

from recording_worker.kafka.embedded import EmbeddedBroker
from tests.integration.conftest import PARTITIONS, StartService
from tests.integration.service import GROUP, TOPIC, Traffic, recorded
from tests.waiting import wait_for

PRODUCE, OFFSET_COMMIT, INIT_PRODUCER_ID = 0, 8, 22
ILLEGAL_GENERATION, REBALANCE_IN_PROGRESS, TOPIC_AUTHORIZATION_FAILED = 22, 27, 29


def test_lost_partitions_are_discarded_and_read_again(start: StartService, traffic: Traffic) -> None:
    service = start(max_batch_age=600.0)
    service.wait_until_ready()
    traffic.send(120)
    wait_for(lambda: sum(service.metric("messages_processed_total").values()) == 120, "all to be read")
    service.signal(signal.SIGSTOP)
    time.sleep(4)  # past the session timeout: the group takes the host for dead
    service.signal(signal.SIGCONT)
    wait_for(lambda: service.logged("partitions lost"), "the loss to be noticed")
    wait_for(lambda: sum(service.metric("messages_processed_total").values()) == 240, "all to be read again")
    assert service.metric("sessions_revoked") == {"": 0.0}, "back to 0 once recording goes on"
    assert sum(line["sessions"] for line in service.logged("discarded what was held for them")) == 120
    assert service.stop() == 0
    assert recorded(service.storage) == dict.fromkeys(range(120), 1)
    assert traffic.committed() == traffic.ends()


def test_a_hole_in_the_log_stops_its_partition_and_no_other(
    broker: EmbeddedBroker, start: StartService, traffic: Traffic
) -> None:
    traffic.send(PARTITIONS)
    client = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": GROUP, "log_level": 0})
    client.commit(offsets=[TopicPartition(TOPIC, 0, 1)], asynchronous=False)
    client.close()
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
    for _ in range(60):  # more than the embedded broker keeps of a partition
        producer.produce(TOPIC, partition=0, value=os.urandom(100_000))
        producer.flush()

    service = start()
    service.wait_until_ready()
    wait_for(lambda: service.logged("partition 0 stopped"), "the hole to be reported")
    [report] = service.logged("partition 0 stopped")
    assert re.match(r"partition 0 stopped: offset 1 comes next, but the log holds offsets \d+ to 60", report["event"])
    assert report["event"].endswith("; on_offset_gap says where to go on without what is gone")
    wait_for(lambda: service.metric("partitions_stopped") == {"": 1.0}, "the metric")
    wait_for(lambda: traffic.committed() == traffic.ends() | {0: 1}, "the other partitions to go on")
    assert "partition 0 stopped" in service.get("")[1]
    assert service.stop() == 0
    assert recorded(service.storage) == dict.fromkeys(range(1, PARTITIONS), 1)
    assert traffic.committed()[0] == 1


def test_refused_commits_are_kept_and_sent_again(broker: EmbeddedBroker, start: StartService, traffic: Traffic) -> None:
    service = start()
    service.wait_until_ready()
    broker.push_request_errors(OFFSET_COMMIT, [REBALANCE_IN_PROGRESS] * 3)
    traffic.send(60)
    traffic.wait_until_committed()
    assert service.stop() == 0
    assert recorded(service.storage) == dict.fromkeys(range(60), 1)


def test_a_commit_of_an_old_generation_costs_doubles_but_loses_nothing(
    broker: EmbeddedBroker, start: StartService, traffic: Traffic
) -> None:
    service = start()
    service.wait_until_ready()
    broker.push_request_errors(OFFSET_COMMIT, [ILLEGAL_GENERATION])
    traffic.send(60)
    traffic.wait_until_committed()
    assert service.logged("partitions lost"), "librdkafka rejoins the group"
    assert service.stop() == 0
    assert recorded(service.storage).keys() == set(range(60))


def test_a_flush_that_fails_stops_its_worker_uncommitted_and_is_done_again(
    broker: EmbeddedBroker, start: StartService, traffic: Traffic
) -> None:
    service = start(workers=1, max_batch_age=2.0)
    service.wait_until_ready()
    traffic.send(60)
    wait_for(lambda: sum(service.metric("messages_processed_total").values()) == 60, "all to be read")
    broker.push_request_errors(PRODUCE, [TOPIC_AUTHORIZATION_FAILED])
    wait_for(lambda: service.logged("worker failed"), "the flush to fail")
    assert set(traffic.committed().values()) == {0}
    assert "Topic authorization failed" in service.logged("worker failed")[0]["error"]
    traffic.wait_until_committed()
    assert service.counts("worker_restarts_total") == {'{reason="failed"}': 1.0}
    assert service.stop() == 0
    assert recorded(service.storage).keys() == set(range(traffic.sent))


def test_restarts_leave_counters_as_they_are_and_no_files_behind(
    start: StartService, traffic: Traffic, tmp_path: Path
) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    service = start(workers=1, environment={"TMPDIR": str(folder)})
    files, read = [], []
    for number in range(1, 4):
        traffic.send(60)
        traffic.wait_until_committed()
        read.append(sum(service.metric("partition_messages_total").values()))
        os.kill(service.worker_pids()[0], signal.SIGKILL)
        wait_for(lambda: len(service.logged("worker started")) > number, "another worker")  # noqa: B023 - called at once
        service.wait_until_ready()
        files.append(sorted(path.name for path in folder.rglob("*.db")))
    assert read == [60, 120, 180]
    assert files[0] == files[1] == files[2]
    assert "counter_worker-0.db" in files[0]
    assert service.stop() == 0


def test_storage_that_is_gone_for_a_while(start: StartService, traffic: Traffic) -> None:
    service = start(workers=1)
    service.wait_until_ready()
    away = service.storage.with_name("away")
    service.storage.rename(away)
    service.storage.touch()
    traffic.send(60)
    wait_for(lambda: len(service.logged("worker can't start now")) >= 2, "it to be tried again")
    status, reasons = service.get("readyz")
    assert (status, reasons.splitlines()[0]) == (503, "workers not up: [0]"), "the storage itself may follow"
    service.storage.unlink()
    away.rename(service.storage)
    traffic.wait_until_committed()
    assert service.stop() == 0
    assert recorded(service.storage) == dict.fromkeys(range(60), 1)


def test_a_broker_that_is_away_for_a_while(broker: EmbeddedBroker, start: StartService, traffic: Traffic) -> None:
    service = start()
    service.wait_until_ready()
    traffic.send(60)
    broker.set_down()
    time.sleep(3)
    broker.set_up()
    traffic.send(60)
    traffic.wait_until_committed()
    assert service.stop() == 0
    assert recorded(service.storage).keys() == set(range(120))


def test_a_broker_that_is_gone_does_not_hold_up_the_exit(
    broker: EmbeddedBroker, start: StartService, traffic: Traffic
) -> None:
    service = start(drain_deadline=2.0, max_batch_age=600.0)
    service.wait_until_ready()
    traffic.send(60)
    wait_for(lambda: sum(service.metric("messages_processed_total").values()) == 60, "all to be read")
    broker.set_down()
    assert service.stop() == 1
    assert service.logged("stopped, but not cleanly")


def test_brokers_without_transactions_get_at_least_once(
    broker: EmbeddedBroker, start: StartService, traffic: Traffic
) -> None:
    broker.forbid(INIT_PRODUCER_ID)
    service = start(delivery="exactly_once")
    service.wait_until_ready()
    assert service.logged("these brokers have no transactions: delivery is at_least_once")
    traffic.send(60)
    traffic.wait_until_committed()
    assert service.stop() == 0
    assert recorded(service.storage) == dict.fromkeys(range(60), 1)
