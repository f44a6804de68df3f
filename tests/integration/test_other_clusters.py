"""Console logs and ingestion warnings on clusters of their own."""

import gzip
import time
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from recording_worker.kafka.embedded import EmbeddedBroker
from tests import builders
from tests.integration.conftest import StartService
from tests.integration.service import TOPIC, Traffic, read_topic

LOGS, WARNINGS, METADATA = "log_entries", "clickhouse_ingestion_warnings", "clickhouse_session_replay_events"
SESSIONS = 12


@pytest.fixture
def other() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as embedded:
        for topic in (LOGS, WARNINGS):
            embedded.create_topic(topic, 1)
        yield embedded


def send(broker: EmbeddedBroker) -> None:
    """Send a message of each session. It logs twice, and has an event that is too far from now."""
    now = int(time.time() * 1000)
    logs: list[dict[str, Any]] = [
        {"plugin": "rrweb/console@1", "payload": {"level": "warn", "payload": [text]}} for text in ("careful", "hot")
    ]
    events = [*(builders.event(now, 6, **log) for log in logs), builders.event(1)]
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
    for number in range(SESSIONS):
        session_id = f"session-{number}"
        producer.produce(
            TOPIC,
            value=gzip.compress(builders.value(events, session_id=session_id)),
            headers=[*builders.headers(session_id=session_id)],
            timestamp=now,
            partition=number % 6,
        )
    assert producer.flush(30) == 0


def ids_in(broker: EmbeddedBroker, topic: str) -> list[str]:
    """The record ids of a topic's records."""
    client = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": "readers", "log_level": 0})
    client.assign([TopicPartition(topic, 0, 0)])
    records = client.consume(len(read_topic(broker.bootstrap_servers, topic)), 10)
    client.close()
    headers: list[dict[str, Any]] = [dict(record.headers() or []) for record in records]
    return [each["record-id"].decode() for each in headers]


@pytest.mark.parametrize("moved", [(LOGS,), (WARNINGS,), (LOGS, WARNINGS)], ids=["logs", "warnings", "both"])
def test_they_go_to_the_other_cluster_with_ids_and_nothing_else_does(
    broker: EmbeddedBroker, other: EmbeddedBroker, start: StartService, traffic: Traffic, moved: tuple[str, ...]
) -> None:
    settings = {LOGS: "console_logs_bootstrap_servers", WARNINGS: "warnings_bootstrap_servers"}
    service = start(
        **{settings[topic]: other.bootstrap_servers for topic in moved},
        kafka_outputs={"client.id": "elsewhere"},
        warning_debounce_seconds=0.001,
    )
    service.wait_until_ready()
    send(broker)
    traffic.wait_until_committed(service)
    assert service.stop() == 0
    clusters = {topic: other if topic in moved else broker for topic in (LOGS, WARNINGS)}
    found: dict[str, list[Any]] = {
        topic: read_topic(cluster.bootstrap_servers, topic) for topic, cluster in clusters.items()
    }
    assert sorted(entry["log_source_id"] for entry in found[LOGS]) == sorted(
        f"session-{number}" for number in range(SESSIONS) for _ in range(2)
    )
    assert 0 < len(found[WARNINGS]) <= SESSIONS
    batches = {record["batch_id"] for record in read_topic(broker.bootstrap_servers, METADATA)}
    for topic in moved:
        assert read_topic(broker.bootstrap_servers, topic) == []
        ids = [each.split("/") for each in ids_in(other, topic)]
        assert {batch for batch, _, _ in ids} <= batches
        assert {name for _, name, _ in ids} == {topic}
        for batch in {batch for batch, _, _ in ids}:
            assert [int(number) for of, _, number in ids if of == batch] == [*range(sum(at[0] == batch for at in ids))]


def test_another_cluster_that_is_away_is_named_at_the_start(start: StartService) -> None:
    service = start(warnings_bootstrap_servers="127.0.0.1:1")
    assert service.process.wait(60) == 3
    assert "no Kafka broker reachable at 127.0.0.1:1: " in service.log_file.read_text()


def test_a_property_that_is_not_the_users_is_refused(start: StartService) -> None:
    service = start(kafka_outputs={"acks": "1"})
    assert service.process.wait(60) == 2
    assert "[kafka_outputs] acks can't be set: " in service.log_file.read_text()
