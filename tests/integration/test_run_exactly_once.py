"""`recording-worker run` on Apache Kafka: a read_committed reader finds every message once, whatever happens."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from tests.faults.proxy import Api, Proxy, Side
from tests.integration.committed import committed_numbers, committed_records
from tests.integration.conftest import PARTITIONS
from tests.integration.service import Service, Traffic, recorded
from tests.servers.fixtures import NewTopic
from tests.servers.kafka import KafkaServer
from tests.waiting import wait_for

CLASSIC: dict[str, Any] = {
    "group_protocol": "classic",
    "kafka_consumer": {"session.timeout.ms": 6000, "heartbeat.interval.ms": 200},
}
CONSUMER: dict[str, Any] = {"group_protocol": "consumer", "kafka_consumer": {}}

both_protocols = pytest.mark.parametrize("protocol", [CLASSIC, CONSUMER], ids=["classic", "consumer"])


class Recording:
    """An input topic with numbered traffic, its outputs, and the hosts that record it."""

    def __init__(self, folder: Path, servers: str, group: str, topics: dict[str, str]) -> None:
        self.topics = topics
        self.traffic = Traffic(servers, PARTITIONS, topic=topics["topic"], group=group)
        self._folder = folder
        self._servers = servers
        self._group = group
        self._services: list[Service] = []

    def start(self, name: str = "host", **settings: Any) -> Service:
        given = {"group_id": self._group, "delivery": "exactly_once", **CLASSIC, **self.topics, **settings}
        servers = given.pop("bootstrap_servers", self._servers)
        service = Service(self._folder, servers, name, **given)
        self._services.append(service)
        return service

    def assert_each_once(self) -> None:
        """Call it once all is committed."""
        assert committed_numbers(self._servers, self.topics["metadata_topic"]) == dict.fromkeys(
            range(self.traffic.sent), 1
        )

    def close(self) -> None:
        for service in self._services:
            service.kill()
        self.traffic.close()


def create_topics(create: Callable[..., str]) -> dict[str, str]:
    outputs = ("metadata_topic", "console_logs_topic", "warnings_topic", "overflow_topic")
    return {
        "topic": create(PARTITIONS),
        **{setting: create() for setting in outputs},
        "dlq_topic": create(max_message_bytes=5000),
    }


@pytest.fixture
def recording(kafka: KafkaServer, new_topic: NewTopic, group: str, tmp_path: Path) -> Iterator[Recording]:
    found = Recording(tmp_path, kafka.bootstrap_servers, group, create_topics(new_topic))
    yield found
    found.close()


def test_committed_progress_records_lead_to_the_committed_offsets(
    kafka: KafkaServer, recording: Recording, new_topic: NewTopic, group: str
) -> None:
    progress = new_topic()
    service = recording.start(progress_topic=progress)
    service.wait_until_ready()
    began = int(time.time())
    for _ in range(3):
        recording.traffic.send(60)
        recording.traffic.wait_until_committed(service)
    assert service.stop() == 0
    reached: dict[int, int] = {}
    for record in committed_records(kafka.bootstrap_servers, progress):
        value = json.loads(record.value())
        assert (value["topic"], value["group"]) == (recording.topics["topic"], group)
        for number, at in value["partitions"].items():
            assert at["next_offset"] > reached.get(int(number), 0)
            assert began <= at["recorded_until"] <= time.time()
            reached[int(number)] = at["next_offset"]
    assert reached == recording.traffic.ends()


@both_protocols
def test_hosts_that_come_and_go_leave_each_message_once(recording: Recording, protocol: dict[str, Any]) -> None:
    traffic = recording.traffic
    first = recording.start("first", **protocol)
    first.wait_until_ready()
    traffic.send(300)
    second = recording.start("second", **protocol)

    def even() -> bool:
        traffic.send(12)
        return len(first.partitions()) == len(second.partitions()) == PARTITIONS // 2

    wait_for(even, "an even split", signs=lambda: (first.signs(), second.signs()))
    traffic.send(300)
    assert second.stop() == 0
    traffic.send(300)
    traffic.wait_until_committed()
    assert first.stop() == 0
    recording.assert_each_once()


@both_protocols
def test_a_restart_of_a_named_host_moves_nothing(
    kafka: KafkaServer, recording: Recording, group: str, protocol: dict[str, Any]
) -> None:
    _give_time(kafka, group, milliseconds=30_000)
    if protocol is CLASSIC:
        protocol = {**CLASSIC, "kafka_consumer": {"session.timeout.ms": 30_000, "heartbeat.interval.ms": 200}}
    first = recording.start("first", group_instance_id="first", **protocol)
    second = recording.start("second", group_instance_id="second", **protocol)
    wait_for(
        lambda: len(first.partitions()) == len(second.partitions()) == PARTITIONS // 2,
        "an even split",
        signs=lambda: (first.signs(), second.signs()),
    )
    held = first.partitions(), second.partitions()
    moves = _moves(second)
    recording.traffic.send(120)
    assert first.stop() == 0
    again = recording.start("first again", group_instance_id="first", **protocol)
    wait_for(lambda: again.partitions() == held[0], "its partitions", signs=again.signs)
    recording.traffic.send(120)
    recording.traffic.wait_until_committed()
    assert second.partitions() == held[1]
    assert _moves(second) == moves
    assert again.stop() == 0
    assert second.stop() == 0
    recording.assert_each_once()


def _moves(service: Service) -> list[dict[str, Any]]:
    return [line for event in ("partitions placed", "partitions revoked", "lost") for line in service.logged(event)]


def _give_time(kafka: KafkaServer, group: str, milliseconds: int) -> None:
    """The session timeout of a group of the protocol `consumer` is the broker's to say."""
    entry = ConfigEntry("consumer.session.timeout.ms", str(milliseconds), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.GROUP, group, incremental_configs=[entry])
    admin = kafka.admin()
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(10)


@pytest.mark.parametrize(
    ("api", "side"),
    [(Api.PRODUCE, Side.RESPONSE), (Api.TXN_OFFSET_COMMIT, Side.RESPONSE), (Api.END_TXN, Side.REQUEST)],
    ids=["produced", "offsets sent", "before its end"],
)
def test_a_worker_killed_inside_a_transaction(tmp_path: Path, api: Api, side: Side) -> None:
    proxy = Proxy()
    try:
        with KafkaServer(tmp_path / "kafka", advertised={"PROXY": f"127.0.0.1:{proxy.port}"}) as server:
            proxy.connect_to(server.ports["PROXY"])
            names = iter(range(100))

            def create(partitions: int = 1, **config: int) -> str:
                name = f"topic-{next(names)}"
                server.create_topic(name, partitions, **config)
                return name

            recording = Recording(tmp_path, server.bootstrap_servers, "recorders", create_topics(create))
            try:
                service = recording.start(bootstrap_servers=f"127.0.0.1:{proxy.port}", workers=1)
                service.wait_until_ready()
                trap = proxy.trap(api, side=side)
                recording.traffic.send(120)
                caught = trap.wait()
                assert recorded(service.storage).total() > 0, "files come first"
                os.kill(service.worker_pids()[0], signal.SIGKILL)
                caught.cut(0.0)
                recording.traffic.send(120)
                recording.traffic.wait_until_committed(service)
                assert service.counts("worker_restarts_total") == {'{reason="killed"}': 1.0}
                assert service.stop() == 0
                recording.assert_each_once()
                assert recorded(service.storage).total() > recording.traffic.sent, (
                    "the killed worker's file is an orphan"
                )
            finally:
                recording.close()
    finally:
        proxy.close()


def test_sigterm_in_a_flush_that_waits_for_the_broker(kafka: KafkaServer, recording: Recording) -> None:
    service = recording.start(max_batch_age=2.0)
    service.wait_until_ready()
    recording.traffic.send(120)
    wait_for(lambda: sum(service.metric("messages_processed_total").values()) == 120, "all to be read")
    with kafka.paused():
        wait_for(lambda: sum(service.metric("session_batch_bytes").values()) == 0, "the flush to begin")
        service.signal(signal.SIGTERM)
        wait_for(lambda: service.logged("stopping"), "the signal to be taken")
        time.sleep(0.5)  # the broker stays away for a while, and there is nothing to see of that
    assert service.process.wait(30) == 0
    assert recording.traffic.committed() == recording.traffic.ends()
    recording.assert_each_once()


def test_what_is_too_large_for_the_dlq_is_left_out_and_its_batch_counts_once(
    kafka: KafkaServer, recording: Recording
) -> None:
    service = recording.start(workers=1, max_batch_age=2.0)
    service.wait_until_ready()
    recording.traffic.send(60)
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 0})
    for size in (100, 20_000, 200):
        producer.produce(recording.topics["topic"], os.urandom(size), key=b"bad", partition=0)
    assert producer.flush(10) == 0
    recording.traffic.send(60)
    recording.traffic.wait_until_committed()
    [left_out] = service.logged("record left out")
    assert (left_out["topic"], left_out["bytes"]) == (recording.topics["dlq_topic"], 20_000)
    assert service.counts("records_too_large_total") == {f'{{topic="{recording.topics["dlq_topic"]}"}}': 1.0}
    assert service.stop() == 0
    recording.assert_each_once()
    letters = committed_records(kafka.bootstrap_servers, recording.topics["dlq_topic"])
    assert sorted(len(letter.value()) for letter in letters) == [100, 200]
