"""`recording-worker run` that can't start: one line that says why, the exit code of its kind, nothing left running."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recording_worker.errors import BootError, ConfigError
from recording_worker.kafka.clients import check_broker
from recording_worker.kafka.embedded import EmbeddedBroker
from recording_worker.kafka.group_member import member_config
from recording_worker.kafka.output_topics import ask_for_topics
from recording_worker.settings.model import Settings
from tests.integration.conftest import StartService
from tests.integration.service import TOPIC, Service, is_alive
from tests.servers.fixtures import NewTopic
from tests.servers.kafka import KafkaServer


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as embedded:
        embedded.create_topic(TOPIC, 1)
        yield embedded


def error_of(service: Service, code: int) -> str:
    assert service.process.wait(30) == code
    lines = service.log_file.read_text().splitlines()
    assert [line for line in lines if not line.startswith("{")] == []
    assert not [pid for pid in service.worker_pids().values() if is_alive(pid)]
    [line] = service.errors()
    return line


def test_no_broker() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        config = member_config(Settings(bootstrap_servers=address))
        with pytest.raises(BootError, match=rf"no Kafka broker reachable at {address}: .*Connection refused"):
            check_broker(config, TOPIC, timeout=1)


def test_a_broker_that_is_there(broker: EmbeddedBroker) -> None:
    check_broker(member_config(Settings(bootstrap_servers=broker.bootstrap_servers)), TOPIC, timeout=5)


def test_no_such_topic(start: StartService) -> None:
    line = error_of(start(topic="recordigns"), 3)
    assert line.startswith("topic recordigns can't be read: Broker: Unknown topic or partition (check --create-topics")


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    """Brokers that are away hide no missing file, and it decides the exit code: waiting does not help."""
    missing = tmp_path / "teams.toml"
    service = Service(tmp_path, "127.0.0.1:1", any_token=False, teams=str(missing), storage_dir="/proc/nowhere")
    assert service.process.wait(30) == ConfigError.exit_code
    first, second, third = service.errors()
    assert first == f"can't read {missing}: No such file or directory"
    assert "can't write to the storage folder /proc/nowhere" in second
    assert "no Kafka broker reachable at 127.0.0.1:1: " in third
    assert service.worker_pids() == {}


def test_output_topics_that_are_not_there_are_named(kafka: KafkaServer, new_topic: NewTopic, tmp_path: Path) -> None:
    there, not_there = new_topic(), {"metadata_topic": "blokcs", "dlq_topic": "dlp"}
    names = ("topic", "console_logs_topic", "warnings_topic", "overflow_topic")
    settings: dict[str, Any] = dict.fromkeys(names, there) | not_there
    service = Service(tmp_path, kafka.bootstrap_servers, **settings)
    assert service.process.wait(30) == 3
    assert service.errors() == [
        f"topic {topic} ({name}) can't be written to: Broker: Unknown topic or partition"
        " (check --create-topics creates it)"
        for name, topic in not_there.items()
    ]


def test_output_topics_that_brokers_make_need_not_be_there(tmp_path: Path) -> None:
    settings = {"auto.create.topics.enable": "true"}
    with KafkaServer(tmp_path / "kafka", settings=settings) as kafka:
        given = Settings(bootstrap_servers=kafka.bootstrap_servers)
        assert ask_for_topics(given, [given.metadata_topic], timeout=5) == {}
        assert given.metadata_topic in kafka.admin().list_topics(timeout=5).topics


def test_a_port_in_use(start: StartService) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = error_of(start(ops_port=port), 3)
    assert line.startswith(f"ops server: can't listen on 127.0.0.1:{port}: ")
    assert line.endswith("Address already in use")


def test_a_file_without_a_token(start: StartService, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("short\n")
    line = error_of(start(ops_token_file=str(tmp_path / "token")), 2)
    assert line.startswith(f"{tmp_path / 'token'} holds no token")


def test_a_worker_that_can_not_boot_halts_the_supervisor(start: StartService, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    line = error_of(start(storage_dir=str(tmp_path / "file" / "folder")), 2)
    assert "can't write to the storage folder" in line


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            {"kafka_consumer": {"enable.auto.commit": True}},
            "[kafka_consumer] enable.auto.commit can't be set: offsets are committed once their messages are stored",
        ),
        ({"kafka": {"group.id": "x"}}, "[kafka] group.id can't be set: set group_id instead"),
        ({"kafka": {"no.such": 1}}, 'Kafka client configuration: No such configuration property: "no.such"'),
        (
            {"kafka_producer": {"compression.type": "best"}},
            'Kafka client configuration: Invalid value "best" for configuration property "compression.codec"',
        ),
    ],
)
def test_kafka_properties_that_can_not_be(start: StartService, settings: dict[str, Any], text: str) -> None:
    assert text in error_of(start(**settings), ConfigError.exit_code)
