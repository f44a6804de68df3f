"""Kafka behind TLS: with SASL/SCRAM, and with client certificates, on Apache Kafka."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from recording_worker.errors import BootError
from recording_worker.kafka.clients import check_broker
from recording_worker.kafka.group_member import member_config
from recording_worker.settings.model import Settings
from tests.integration.service import Service, Traffic, recorded
from tests.servers.certificates import Authority
from tests.servers.fixtures import NewTopic
from tests.servers.kafka import CERTIFICATES, PASSWORDS, KafkaServer

USER, PASSWORD = "recordings", "hunter2;=\"'"
MESSAGES = 40
OUTPUTS = ("metadata_topic", "console_logs_topic", "warnings_topic", "dlq_topic", "overflow_topic")

Properties = dict[str, Any]


@pytest.fixture(scope="module")
def scram(kafka: KafkaServer, authority: Authority) -> Properties:
    """What a client sets that the broker lets in at PASSWORDS."""
    kafka.add_user(USER, PASSWORD)
    return {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": USER,
        "sasl.password": PASSWORD,
        "ssl.ca.location": str(authority.file),
    }


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Properties:
    """What a client sets that the broker lets in at CERTIFICATES."""
    file = str(authority.issue("client"))
    return {
        "security.protocol": "SSL",
        "ssl.certificate.location": file,
        "ssl.key.location": file,
        "ssl.ca.location": str(authority.file),
    }


@pytest.mark.parametrize(("listener", "properties"), [(PASSWORDS, "scram"), (CERTIFICATES, "certificate")])
def test_recordings_pass_through_tls(
    kafka: KafkaServer,
    new_topic: NewTopic,
    group: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    listener: str,
    properties: str,
) -> None:
    topics: dict[str, Any] = {"topic": new_topic(), **{name: new_topic() for name in OUTPUTS}}
    traffic = Traffic(kafka.bootstrap_servers, 1, topic=topics["topic"], group=group)
    service = Service(
        tmp_path,
        kafka.address(listener),
        **topics,
        group_id=group,
        workers=1,
        delivery="exactly_once",
        kafka=request.getfixturevalue(properties),
    )
    try:
        traffic.send(MESSAGES)
        traffic.wait_until_committed(service)
        shown = service.log_file.read_text() + service.get("")[1] + service.get("metrics")[1]
        assert service.stop() == 0
    finally:
        service.kill()
        traffic.close()
    assert recorded(service.storage) == dict.fromkeys(range(MESSAGES), 1)
    assert "hunter2" not in shown


def refusal(address: str, properties: Mapping[str, Any]) -> str:
    """What the start says that such a client is not let in."""
    settings = Settings(bootstrap_servers=address, kafka=dict(properties))
    with pytest.raises(BootError) as refused:
        check_broker(member_config(settings), "topic", timeout=1.5)
    return str(refused.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sasl.password": "hunter3"}, "Authentication failed"),
        ({"sasl.username": "nobody"}, "Authentication failed"),
        ({"sasl.mechanism": "PLAIN"}, "Unsupported SASL mechanism"),
        ({"security.protocol": "SASL_PLAINTEXT"}, "this port speaks TLS, and security.protocol is sasl_plaintext: set"),
        ({"security.protocol": "PLAINTEXT"}, "this port speaks TLS, and security.protocol is plaintext: set it to"),
    ],
)
def test_who_is_not_let_in_by_a_password(
    kafka: KafkaServer, scram: Properties, change: dict[str, str], reason: str
) -> None:
    said = refusal(kafka.address(PASSWORDS), scram | change)
    assert said.startswith(f"no Kafka broker reachable at {kafka.address(PASSWORDS)}: ")
    assert reason in said
    assert "hunter" not in said


def test_who_is_not_let_in_by_a_certificate(
    kafka: KafkaServer, certificate: Properties, authority: Authority, tmp_path: Path
) -> None:
    address = kafka.address(CERTIFICATES)
    stranger = Authority(tmp_path, "stranger")
    file = str(stranger.issue("client"))
    assert "SSL alert" in refusal(address, {"security.protocol": "SSL", "ssl.ca.location": str(authority.file)})
    assert "this port speaks TLS, and security.protocol is plaintext" in refusal(address, {})
    assert "SSL alert" in refusal(address, certificate | {"ssl.certificate.location": file, "ssl.key.location": file})


def test_a_broker_that_is_not_the_one_it_says(kafka: KafkaServer, scram: Properties, tmp_path: Path) -> None:
    """Its certificate is signed by someone else, or for another name."""
    address = kafka.address(PASSWORDS)
    stranger = Authority(tmp_path, "stranger")
    said = refusal(address, scram | {"ssl.ca.location": str(stranger.file)})
    assert "certificate verify failed" in said
    said = refusal(address.replace("127.0.0.1", "localhost"), scram)
    assert "certificate verify failed" in said


def test_a_port_that_does_not_speak_tls(kafka: KafkaServer, scram: Properties) -> None:
    for protocol in ("SASL_SSL", "SSL"):
        said = refusal(kafka.bootstrap_servers, scram | {"security.protocol": protocol})
        assert f"this port does not speak TLS, and security.protocol is {protocol.lower()}: name the" in said
