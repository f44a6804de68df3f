"""The walk-through of deletion runs as docs/operate/deletion.md has it, with both key stores on a real Kafka.

Afterwards all that was stored, sent and logged is searched for what a visitor had typed.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka import Message as KafkaMessage

from tests.builders import NOW_MS, event, headers, value
from tests.integration.command import environment
from tests.sample import SAMPLE
from tests.servers.aws import KeysOfAws
from tests.servers.fixtures import NewTopic
from tests.servers.kafka import KafkaServer
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
from tests.waiting import wait_for

PAGE = Path(__file__).parents[2] / "docs" / "operate" / "deletion.md"
SESSION, TOKEN = "typed-into", "phc_walkthrough"
TYPED, PERSON = "secret-typed-4e1d", "person-of-4e1d"
"""What the visitor typed, and who it was: their distinct id, which is in the URL too."""
TOPICS = ("topic", "metadata_topic", "console_logs_topic", "warnings_topic", "dlq_topic", "overflow_topic")


def blocks_of_page() -> list[str]:
    """The ```sh blocks of the walk-through."""
    _before, _title, section = PAGE.read_text().partition("\n## Try it\n")
    return re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def commands(block: str) -> Iterator[str]:
    """The commands of a block. One with <<END goes on to its END."""
    lines = iter(block.splitlines())
    for line in lines:
        command = [line]
        while "<<END" in line and command[-1] != "END":
            command.append(next(lines))
        yield "\n".join(command).partition("   # ")[0]


class Walk:
    """Follows the page in a folder, on topics of its own."""

    def __init__(self, folder: Path, kafka: KafkaServer, new_topic: NewTopic, **servers: str) -> None:
        self.folder = folder
        self.kafka = kafka
        self.topics = {name: new_topic() for name in TOPICS}
        settings = {**self.topics, "group_id": self.topics["topic"], "ops_port": "0"}
        self._environment = environment(
            **{f"RECORDING_WORKER_{name.upper()}": text for name, text in settings.items()}, **servers
        )
        self._environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.service: subprocess.Popen[bytes] | None = None
        (folder / "tests" / "data").mkdir(parents=True)
        (folder / "tests" / "data" / SAMPLE.name).symlink_to(SAMPLE)
        self.said: list[str] = []

    def follow(self, block: str) -> list[subprocess.CompletedProcess[str]]:
        """Run the commands of a block. The service goes on running."""
        return [self.run(command) for command in commands(block) if not self._starts_service(command)]

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        command = command.replace("127.0.0.1:9092", self.kafka.bootstrap_servers)
        done = subprocess.run(
            ["bash", "-euc", command],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.said += [done.stdout, done.stderr]
        return done

    def _starts_service(self, command: str) -> bool:
        if not command.endswith("&"):
            return False
        with (self.folder / "run.log").open("wb") as log:
            self.service = subprocess.Popen(
                ["bash", "-euc", f"exec {command.removesuffix('&')}"],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return True

    def send(self) -> None:
        """Send two messages of a session, into which a visitor types."""
        producer = Producer({"bootstrap.servers": self.kafka.bootstrap_servers})
        events = [event(text=TYPED), event(type=4, href=f"https://example.com/{PERSON}")]
        for _ in range(2):
            producer.produce(
                self.topics["topic"],
                value(events, session_id=SESSION, distinct_id=PERSON),
                SESSION.encode(),
                headers=[*headers(session_id=SESSION, distinct_id=PERSON, token=TOKEN)],
                timestamp=NOW_MS,
            )
        assert producer.flush(30) == 0

    def wait_until_committed(self) -> None:
        """Wait until the service has committed all that was sent."""
        group = Consumer(
            {"bootstrap.servers": self.kafka.bootstrap_servers, "group.id": self.topics["topic"], "log_level": 0}
        )
        place = TopicPartition(self.topics["topic"], 0)

        def is_committed() -> bool:
            [committed] = group.committed([place], timeout=10)
            return committed.offset == group.get_watermark_offsets(place, timeout=10)[1]

        wait_for(is_committed, "all is committed", 60)
        group.close()

    def sessions(self) -> dict[str, int]:
        """Session id → its team."""
        lines = self.run("recording-worker sessions recordings --json").stdout.splitlines()
        return {each["session_id"]: each["team_id"] for each in map(json.loads, lines)}

    def stop(self) -> None:
        assert self.service is not None
        self.service.send_signal(signal.SIGTERM)
        assert self.service.wait(60) == 0

    def close(self) -> None:
        if self.service is not None and self.service.poll() is None:
            os.killpg(self.service.pid, signal.SIGKILL)
            self.service.wait()

    def records(self, name: str) -> Iterator[KafkaMessage]:
        """All records of a topic, aborted transactions included."""
        reader = Consumer(
            {
                "bootstrap.servers": self.kafka.bootstrap_servers,
                "group.id": "walk",
                "isolation.level": "read_uncommitted",
                "enable.partition.eof": True,
                "log_level": 0,
            }
        )
        reader.assign([TopicPartition(self.topics[name], 0, 0)])
        while True:
            [record] = reader.consume(1, 30)
            error = record.error()
            if error is not None:
                assert error.code() == KafkaError._PARTITION_EOF
                reader.close()
                return
            yield record

    def stored(self) -> Iterator[bytes]:
        """The content of all files, and of each zstd frame in them."""
        for path in (self.folder / "recordings").rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                yield content
                for frame in re.finditer(re.escape(b"\x28\xb5\x2f\xfd"), content):
                    try:
                        yield zstandard.ZstdDecompressor().decompressobj().decompress(content[frame.start() :])
                    except zstandard.ZstdError:
                        continue  # these four bytes stood there by chance


@pytest.fixture
def walk(
    kafka: KafkaServer,
    new_topic: NewTopic,
    redis_server: RedisServer,
    postgres: PostgresServer,
    keys_of_aws: KeysOfAws,
    tmp_path: Path,
) -> Iterator[Walk]:
    postgres.execute("DROP TABLE IF EXISTS session_recording_keys")
    walk = Walk(
        tmp_path, kafka, new_topic, REDIS=redis_server.url, POSTGRES=postgres.url, DYNAMODB=keys_of_aws.endpoint
    )
    try:
        yield walk
    finally:
        walk.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("key_store", ["postgres", "dynamodb"])
def test_the_walk_through_runs_and_leaves_nothing_typed_anywhere(
    walk: Walk, keys_of_aws: KeysOfAws, key_store: str
) -> None:
    first, in_postgres, in_dynamodb, record, delete = blocks_of_page()
    if key_store == "dynamodb":
        keys_of_aws.create_master_key("alias/session-replay-master-key")
    for block in (first, in_postgres if key_store == "postgres" else in_dynamodb):
        for done in walk.follow(block):
            assert done.returncode == 0, done
    for done in walk.follow(record):
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    walk.send()
    walk.wait_until_committed()
    sessions = walk.sessions()
    assert len(sessions) == 13

    delete = (
        delete.replace("TEAM", str(sessions[SESSION])).replace("SESSION", SESSION).replace("--by me", "--by me --yes")
    )
    listed, exported, deleted, refused, sent, verified = walk.follow(delete)
    assert SESSION in listed.stdout
    assert (exported.returncode, TYPED in exported.stdout) == (0, True)
    assert (deleted.returncode, "complete: nothing of 1 session can be read" in deleted.stdout) == (0, True), deleted
    assert (refused.returncode, refused.stdout) == (1, "")
    assert re.search(rf"session {SESSION} of team [0-9]+ was deleted on .* UTC by me", refused.stderr)
    assert (sent.returncode, verified.returncode) == (0, 0), (sent, verified)

    blocks = _blocks(walk)
    walk.send()
    walk.wait_until_committed()
    assert _blocks(walk) == blocks, "what comes later is dropped"
    walk.stop()
    _search(walk, exported, listed_topics=[name for name in walk.topics if walk.topics[name] in deleted.stdout])


def _blocks(walk: Walk) -> int:
    """How many blocks of the session the metadata topic names."""
    values = [json.loads(record.value() or b"") for record in walk.records("metadata_topic")]
    return sum(each["session_id"] == SESSION and bool(each["block_url"]) for each in values)


def _search(walk: Walk, exported: subprocess.CompletedProcess[str], listed_topics: list[str]) -> None:
    """Search all but the export, and the topics that the certificate lists."""
    typed, person = TYPED.encode(), PERSON.encode()
    stored = list(walk.stored())
    assert not [content for content in stored if typed in content or person in content]
    assert any(SESSION.encode() in content for content in stored), "the index is found"
    logs = (walk.folder / "run.log").read_text() + "".join(set(walk.said) - {exported.stdout})
    assert TYPED not in logs
    assert PERSON not in logs
    assert "topic" in listed_topics
    assert "metadata_topic" in listed_topics
    for name in walk.topics:
        records = [
            b"".join([record.key() or b"", record.value() or b"", repr(record.headers()).encode()])
            for record in walk.records(name)
        ]
        assert name == "topic" or not any(typed in record for record in records), name
        assert name in listed_topics or not any(person in record for record in records), name
