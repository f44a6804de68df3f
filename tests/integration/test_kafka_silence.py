"""A Kafka that is gone or silent is seen on the page, in the metrics, in the log and by `/readyz`."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.service import Service
from tests.integration.test_run_exactly_once import CLASSIC, Recording, create_topics
from tests.servers.fixtures import NewTopic
from tests.servers.kafka import KafkaServer
from tests.waiting import wait_for

KAFKA = '{dependency="kafka"}'
PATIENT = {**CLASSIC, "kafka_consumer": {"session.timeout.ms": 45_000, "heartbeat.interval.ms": 200}}


@contextmanager
def killed(kafka: KafkaServer) -> Iterator[None]:
    kafka.kill()
    try:
        yield
    finally:
        kafka.start()


@pytest.mark.parametrize("away", [KafkaServer.paused, killed], ids=["silent", "gone"])
def test_it_is_seen_that_kafka_does_not_answer(
    kafka: KafkaServer,
    new_topic: NewTopic,
    group: str,
    tmp_path: Path,
    away: Callable[[KafkaServer], AbstractContextManager[None]],
) -> None:
    recording = Recording(tmp_path, kafka.bootstrap_servers, group, create_topics(new_topic))
    try:
        service = recording.start(**PATIENT, not_ready_after=3.0)
        service.wait_until_ready()
        recording.traffic.send(120)
        recording.traffic.wait_until_committed()
        wait_for(lambda: answered(service) > 0, "Kafka to have answered")
        assert 0 < service.metric("dependency_round_trip_seconds")[KAFKA] < 60
        assert kafka_of(service)["text"].startswith("answers in ")
        with away(kafka):
            wait_for(lambda: kafka_of(service)["text"].startswith("failing for "), "the page to say it")
            wait_for(lambda: service.logged("Kafka fails"), "the log to say it")
            wait_for(lambda: service.get("readyz")[0] == 503, "the service not to be ready")
            assert service.get("readyz")[1].startswith("Kafka: failing for ")
            assert service.get("healthz")[0] == 200
            last = answered(service)
            wait_for(lambda: time.time() - last > 5, "time to pass")
            assert answered(service) == last
        service.wait_until_ready()
        assert answered(service) > last
        assert service.logged("Kafka works again")[0]["failed_seconds"] > 3
        recording.traffic.send(120)
        recording.traffic.wait_until_committed(service)
        assert service.stop() == 0
        recording.assert_each_once()
    finally:
        recording.close()


def kafka_of(service: Service) -> Any:
    """What the status page shows about Kafka."""
    [kafka] = [each for each in service.status()["dependencies"] if each["name"] == "kafka"]
    return kafka


def answered(service: Service) -> float:
    return service.metric("dependency_answered_timestamp_seconds").get(KAFKA, 0)
