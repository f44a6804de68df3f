"""`recording-worker run` and its DLQ on Apache Kafka: partitions halt; what is redriven is recorded."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.command import run
from tests.integration.committed import committed_numbers
from tests.integration.dlq_stage import DlqStage
from tests.integration.service import Service, Traffic
from tests.servers.fixtures import NewTopic
from tests.servers.kafka import KafkaServer
from tests.waiting import wait_for

PARTITIONS = 2
BAD = b"not json"


class Recording(DlqStage):
    """A DLQ, and the hosts whose DLQ it is."""

    def __init__(self, servers: str, new_topic: Callable[..., str], group: str, folder: Path) -> None:
        super().__init__(servers, new_topic, folder)
        self.traffic = Traffic(servers, PARTITIONS, topic=self.source, group=group)
        outputs = ("metadata_topic", "console_logs_topic", "warnings_topic", "overflow_topic")
        self.topics = {setting: new_topic(1) for setting in outputs}
        self._group = group
        self._folder = folder
        self._services: list[Service] = []

    def serve(self, name: str = "host", **settings: Any) -> Service:
        """A host that is ready."""
        service = self.launch(name, **settings)
        service.wait_until_ready()
        return service

    def launch(self, name: str = "host", **settings: Any) -> Service:
        """A host that may halt before anyone sees it ready."""
        service = Service(
            self._folder,
            self.servers,
            name,
            **{
                "topic": self.source,
                "dlq_topic": self.dlq,
                "group_id": self._group,
                "workers": 1,
                "delivery": "exactly_once",
                "max_batch_age": 1.0,
                "kafka_consumer": {"session.timeout.ms": 6000, "heartbeat.interval.ms": 200},
                **self.topics,
                **settings,
            },
        )
        self._services.append(service)
        return service

    def bad(self, number: int, partition: int = 0) -> None:
        """Send some messages that can't be read."""
        for _ in range(number):
            self._producer.produce(self.source, BAD, b"key", partition=partition, headers=[("token", b"t")])
        assert self._producer.flush(30) == 0

    def recorded(self) -> dict[int, int]:
        """Message number → how often it is recorded, for a read_committed reader."""
        return committed_numbers(self.servers, self.topics["metadata_topic"])

    def verify(self) -> dict[str, Any]:
        names = {
            "dlq_topic": self.dlq,
            "group_id": self._group,
            "metadata_topic": self.topics["metadata_topic"],
            "storage_dir": str(self._folder / "storage"),
        }
        flags = [text for name, value in names.items() for text in ("--" + name.replace("_", "-"), value)]
        report: dict[str, Any] = json.loads(run("verify", "--bootstrap-servers", self.servers, *flags, "--json").out)
        return report

    def close(self) -> None:
        for service in self._services:
            service.kill()
        self.traffic.close()


@pytest.fixture
def recording(kafka: KafkaServer, new_topic: NewTopic, group: str, tmp_path: Path) -> Iterator[Recording]:
    found = Recording(kafka.bootstrap_servers, new_topic, group, tmp_path)
    yield found
    found.close()


@pytest.mark.parametrize(
    ("limits", "limit", "what"),
    [
        ({"dlq_halt_consecutive": 30}, "consecutive", "30 messages in a row"),
        ({"dlq_halt_ratio": 0.4, "dlq_halt_window": 100}, "ratio", "41 of the last 100 messages"),
    ],
    ids=["consecutive", "ratio"],
)
def test_a_partition_halts_before_its_messages_are_all_on_the_dlq(
    recording: Recording, limits: dict[str, Any], limit: str, what: str
) -> None:
    traffic = recording.traffic
    service = recording.serve(**limits)
    traffic.send(200)
    traffic.wait_until_committed()
    good = traffic.committed()
    assert good == {0: 100, 1: 100}
    recording.bad(29)  # not too many yet: they go to the DLQ
    recording.traffic.send(2)  # one a partition
    recording.traffic.wait_until_committed()
    assert recording.listed()["states"]["open"] == 29

    before = traffic.committed()
    recording.bad(500)
    recording.traffic.send(40)  # behind them, 20 a partition
    wait_for(lambda: service.metric("partitions_stopped") == {"": 1.0}, "the halt", signs=service.signs)
    ends = traffic.ends()
    wait_for(lambda: traffic.committed()[1] == ends[1], "the other partition to go on")
    assert service.counts("dlq_halts_total") == {f'{{limit="{limit}"}}': 1.0}
    [halt] = service.logged("partition 0 halted at offset")
    assert f"{what} are for the DLQ (dlq_halt_{limit}); the last one for invalid_json" in halt["event"]
    assert halt["level"] == "error"
    assert service.get("readyz") == (
        503,
        "partitions halted, too many of their messages are for the DLQ: [0]\n",
    )
    assert halt["event"] in service.get("")[1]

    # what could be flushed between two polls may be on the DLQ, and is committed with it; nothing else of it
    committed = traffic.committed()[0]
    assert before[0] <= committed < before[0] + 41
    assert len(recording.read(recording.dlq)) == 29 + committed - before[0]
    traffic.send(2)
    wait_for(lambda: traffic.committed()[1] == traffic.ends()[1], "the other partition to go on")
    assert traffic.committed()[0] == committed, "it stays where it is"
    assert service.counts("worker_restarts_total") == {}, "nobody is started again for that"
    assert service.stop() == 0
    assert traffic.committed()[0] == committed

    again = recording.launch("again", **limits)
    wait_for(lambda: again.logged("partition 0 halted"), "the halt, since nothing was fixed", signs=again.signs)
    assert again.stop() == 0
    mended = recording.serve("mended")  # here: without limits
    traffic.wait_until_committed()
    assert mended.stop() == 0
    assert recording.recorded() == dict.fromkeys(range(traffic.sent), 1)
    assert len(recording.read(recording.dlq)) == 529
    assert recording.verify()["damages"] == []


def test_what_a_restriction_sends_to_the_dlq_halts_nothing_and_is_recorded_once_it_is_redriven(
    recording: Recording, tmp_path: Path
) -> None:
    traffic = recording.traffic
    rules = tmp_path / "restrictions.toml"
    rules.write_text('[[restriction]]\ntype = "redirect_to_dlq"\ntoken = "token-1"\nsession_ids = ["session-3"]\n')
    service = recording.serve(restrictions=str(rules), dlq_halt_consecutive=2, dlq_halt_ratio=0.01, dlq_halt_window=10)
    traffic.sessions = 4
    traffic.send(80)
    traffic.wait_until_committed()
    found = recording.listed("--limit", "100")
    assert found["counts"] == {"redirected_by_restriction": 20}
    assert {letter["session_id"] for letter in found["letters"]} == {"session-3"}
    assert "20 messages redriven" in recording.done("redrive")
    wait_for(lambda: recording.listed()["states"]["open"] == 20, "them to come back, since nothing was fixed")
    assert recording.listed()["states"]["redriven"] == 20

    def readings() -> float:
        """How often the rules were read again."""
        found = service.metric("store_reads_total").items()
        return sum(number for labels, number in found if 'outcome="read"' in labels and "restrictions" in labels)

    before = readings()
    rules.write_text("")
    wait_for(lambda: readings() > before, "the file to be read again")
    assert "20 messages redriven; 20 redriven before" in recording.done("redrive", "--session", "session-3")
    wait_for(lambda: len(recording.recorded()) == 80, "the messages to be recorded")
    traffic.send(2)  # past the markers of transactions
    traffic.wait_until_committed()
    assert recording.recorded() == dict.fromkeys(range(82), 1)
    assert recording.listed()["states"] == {"open": 0, "redriven": 40, "dropped": 0, "unknown": 0}
    report = recording.verify()
    assert report["damages"] == []
    assert (report["recorded"], report["dlq"]) == (82, 40)
    assert service.stop() == 0
