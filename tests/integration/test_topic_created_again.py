"""A topic that is deleted and created again is another one: all of it is read, and no tool confuses the two."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from recording_worker.errors import WorkerError
from recording_worker.kafka import topic_id
from recording_worker.kafka.topic_follower import TopicFollower
from recording_worker.settings.load import load_settings
from tests.integration.command import run
from tests.integration.committed import committed_numbers
from tests.integration.service import Service, Traffic
from tests.servers.fixtures import NewTopic
from tests.servers.kafka import KafkaServer
from tests.waiting import wait_for

OUTPUTS = ("metadata_topic", "console_logs_topic", "warnings_topic", "overflow_topic")


class Stage:
    """A service, and a topic of one partition that is deleted and created again. The new log is longer than the old."""

    def __init__(self, kafka: KafkaServer, new_topic: NewTopic, group: str, folder: Path, start_from: str) -> None:
        self._kafka = kafka
        self._folder = folder
        self._group = group
        self._sent = 0
        self.topic = new_topic()
        self.topics = {"topic": self.topic, "dlq_topic": new_topic(), **{name: new_topic() for name in OUTPUTS}}
        self._start_from = start_from
        self.service = self.start()

    def start(self) -> Service:
        settings: dict[str, Any] = {
            **self.topics,
            "group_id": self._group,
            "delivery": "exactly_once",
            "start_from": self._start_from,
            "workers": 1,
            "kafka": {"topic.metadata.refresh.interval.ms": 500},
            "kafka_consumer": {"session.timeout.ms": 6000, "heartbeat.interval.ms": 200},
        }
        self.service = Service(self._folder, self._kafka.bootstrap_servers, **settings)
        return self.service

    def create_again(self) -> None:
        """Brokers forget the group's offsets with the topic; here they are kept, as after a commit that came late."""
        client = Consumer({"bootstrap.servers": self._kafka.bootstrap_servers, "group.id": self._group, "log_level": 0})
        with closing(client):
            committed = client.committed([TopicPartition(self.topic, 0)], timeout=10)
            self._kafka.delete_topic(self.topic)
            self._kafka.create_topic(self.topic)
            if self.service.process.poll() is not None:
                client.commit(offsets=committed, asynchronous=False)

    def send(self, messages: int) -> None:
        """Send some more; wait until they are committed."""
        with closing(Traffic(self._kafka.bootstrap_servers, 1, topic=self.topic, group=self._group)) as traffic:
            traffic.sent = self._sent
            traffic.send(messages)
            self._sent = traffic.sent
            traffic.wait_until_committed(self.service)

    def assert_each_once(self) -> None:
        found = committed_numbers(self._kafka.bootstrap_servers, self.topics["metadata_topic"])
        assert found == dict.fromkeys(range(self._sent), 1)

    def damages(self) -> list[dict[str, Any]]:
        """What `verify` finds wrong."""
        topics = [f"--{name}-topic={self.topics[f'{name}_topic']}" for name in ("metadata", "dlq")]
        servers = f"--bootstrap-servers={self._kafka.bootstrap_servers}"
        storage = f"--storage-dir={self.service.storage}"
        done = run("verify", "--json", servers, f"--group-id={self._group}", storage, *topics)
        assert done.out, done.err
        return list(json.loads(done.out)["damages"])


@pytest.fixture(params=["earliest", "latest"])
def stage(
    request: pytest.FixtureRequest, kafka: KafkaServer, new_topic: NewTopic, group: str, tmp_path: Path
) -> Iterator[Stage]:
    made = Stage(kafka, new_topic, group, tmp_path, request.param)
    try:
        made.service.wait_until_ready()
        yield made
    finally:
        made.service.kill()


def test_a_topic_created_again_while_the_service_is_down_is_read_from_its_beginning(stage: Stage) -> None:
    stage.send(40)
    assert stage.service.stop() == 0
    stage.create_again()
    stage.start()
    stage.send(90)
    assert stage.service.stop() == 0
    stage.assert_each_once()
    assert stage.damages() == []


def test_a_topic_created_again_while_the_service_runs_is_read_from_its_beginning(stage: Stage) -> None:
    stage.send(40)
    stage.create_again()
    stage.send(90)
    assert stage.service.stop() == 0
    stage.assert_each_once()
    assert stage.damages() == []
    sessions = run("sessions", "--json", stage.service.storage)
    assert sum(json.loads(line)["messages"] for line in sessions.out.splitlines()) == 130
    exported = run("export", "--session", "session-7", stage.service.storage)
    assert [json.loads(line)[1]["data"]["number"] for line in exported.out.splitlines()] == [7, 47, 87, 127]


def test_who_follows_a_topic_reads_the_new_one_from_its_start(
    kafka: KafkaServer, new_topic: NewTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic_id, "_CHECK_SECONDS", 0.0)
    settings = load_settings({"bootstrap_servers": kafka.bootstrap_servers}, None, {})
    topic = new_topic()
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})

    def send(*values: bytes) -> None:
        for value in values:
            producer.produce(topic, value, partition=0)
        assert producer.flush(30) == 0

    def read(follower: TopicFollower) -> list[bytes | None]:
        found: list[bytes | None] = []

        def is_at_its_end() -> bool:
            found.extend(record.value for record in follower.read(0.1))
            return follower.has_reached_end

        wait_for(is_at_its_end, "the topic is read")
        return found

    send(b"a", b"b")
    with closing(TopicFollower(settings, topic, {})) as follower:
        assert read(follower) == [b"a", b"b"]
        send(b"c")
    with closing(TopicFollower(settings, topic, follower.positions)) as follower:
        assert read(follower) == [b"c"], "it goes on where it was"
        kafka.delete_topic(topic)
        kafka.create_topic(topic)
        with pytest.raises(WorkerError, match=f"topic {topic} was deleted and created again"):
            wait_for(lambda: follower.read(0.1) is None, "it notices")
    send(b"1", b"2", b"3", b"4", b"5")
    with closing(TopicFollower(settings, topic, follower.positions)) as follower:
        assert read(follower) == [b"1", b"2", b"3", b"4", b"5"]
