"""A consumer that behaves as PostHog's does, and this worker, in one group: nothing is lost, nothing seen too soon."""

import json
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from benchmarks.contenders.node import prepare_kafka_client, prepare_node
from recording_worker.lookups.teams.any_token import AnyTokenTeams
from tests.integration.committed import committed_records
from tests.integration.conftest import PARTITIONS
from tests.integration.service import Service
from tests.integration.test_run_exactly_once import Recording, create_topics
from tests.reference import snappy
from tests.servers.fixtures import NewTopic
from tests.servers.kafka import KafkaServer
from tests.servers.redis import PASSWORD, RedisServer
from tests.waiting import wait_for

CONSUMER = Path(__file__).with_name("consumer.mjs")
SESSIONS = 100 * PARTITIONS
"""A multiple of the partitions, so that each session is in one."""


class Fleet:
    """A consumer like PostHog's and a host of this worker. Both come and go."""

    def __init__(
        self, folder: Path, kafka: KafkaServer, group: str, topics: dict[str, str], redis: RedisServer
    ) -> None:
        self._node, script = prepare_node()
        prepare_kafka_client()
        self._packages = script.parent
        self._servers, self._topics, self._redis = kafka.bootstrap_servers, topics, redis
        team = AnyTokenTeams().get("token-1")
        assert team is not None
        self._file = folder / "recorded.jsonl"
        self._file.touch()
        self._settings = {
            "servers": self._servers,
            "topic": topics["topic"],
            "group": group,
            "redis_port": redis.port,
            "redis_password": PASSWORD,
            "team": team.id,
            "file": str(self._file),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._recording = Recording(folder, kafka.bootstrap_servers, group, topics)
        self.traffic = self._recording.traffic
        self.traffic.sessions = SESSIONS

    def start_worker(self, max_batch_age: float) -> Service:
        settings = {"compatibility": "posthog", "sessions_redis": self._redis.patient_url}
        return self._recording.start(**settings, workers=1, max_batch_age=max_batch_age)

    def start_consumer(self) -> None:
        command = [self._node, str(CONSUMER), str(self._packages), json.dumps(self._settings)]
        self._process = subprocess.Popen(command)

    def end_consumer(self, number: int) -> None:
        assert self._process is not None
        assert self._process.poll() is None
        self._process.send_signal(number)
        self._process.wait(60)
        self._process = None

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._recording.close()

    def send_until(self, condition: Callable[[], object], what: str) -> None:
        def is_met() -> bool:
            self.traffic.send(2 * PARTITIONS)
            return bool(condition())

        wait_for(is_met, what)

    def theirs(self) -> tuple[set[str], set[int]]:
        """The sessions for which the consumer has made a key, and the numbers of the messages that it has recorded."""
        lines = [json.loads(line) for line in self._file.read_text().splitlines()]
        keys = {line["key"] for line in lines if "key" in line}
        return keys, {line["offset"] * PARTITIONS + line["partition"] for line in lines if "offset" in line}

    def ours(self) -> tuple[set[str], Counter[int]]:
        """The sessions that committed metadata is about, and message number → how often it is in their blocks."""
        records = committed_records(self._servers, self._topics["metadata_topic"])
        blocks = [json.loads(record.value()) for record in records]
        numbers: Counter[int] = Counter()
        for block in blocks:
            url = urlsplit(block["block_url"])
            first, last = map(int, url.query.removeprefix("range=bytes=").split("-"))
            lines = snappy.decompress(Path(unquote(url.path)).read_bytes()[first : last + 1]).splitlines()
            numbers.update(json.loads(line)[1]["data"]["number"] for line in lines)
        return {block["session_id"] for block in blocks}, numbers

    def begun(self) -> set[str]:
        """The sessions that the worker has let begin."""
        return self._marked("begun")

    def seen(self) -> set[str]:
        """The sessions that are marked as seen. Each of them has a key, or a part of it is stored and committed."""
        marked = self._marked("seen")
        assert marked <= self.theirs()[0] | self.ours()[0]
        return marked

    def _marked(self, what: str) -> set[str]:
        with self._redis.client() as client:
            return {key.rpartition(":")[2] for key in client.keys(f"@posthog/replay/session-{what}:*")}


@pytest.fixture
def fleet(
    kafka: KafkaServer, new_topic: NewTopic, group: str, tmp_path: Path, redis_server: RedisServer
) -> Iterator[Fleet]:
    with closing(Fleet(tmp_path, kafka, group, create_topics(new_topic), redis_server)) as made:
        yield made


def test_sessions_move_between_both_and_no_message_is_lost(fleet: Fleet) -> None:
    def both_have_some() -> bool:
        return 0 < len(worker.partitions()) < PARTITIONS

    def worker_has_all() -> bool:
        return len(worker.partitions()) == PARTITIONS

    fleet.start_consumer()
    fleet.send_until(lambda: fleet.theirs()[1], "the consumer to record something")
    worker = fleet.start_worker(max_batch_age=0.3)
    fleet.send_until(both_have_some, "the two to share the partitions")
    before = len(fleet.theirs()[1])
    fleet.send_until(lambda: fleet.ours()[1] and len(fleet.theirs()[1]) > before, "both to record something")
    assert fleet.seen()
    fleet.end_consumer(signal.SIGTERM)
    fleet.send_until(worker_has_all, "the worker to take the partitions of one that left")
    fleet.start_consumer()
    fleet.send_until(both_have_some, "the two to share the partitions again")
    fleet.end_consumer(signal.SIGKILL)
    fleet.send_until(worker_has_all, "the worker to take the partitions of one that died")
    assert fleet.seen()
    assert worker.stop() == 0

    # this one dies before it has stored anything of sessions that it has let begin
    fleet.traffic.sessions = 1_000 * SESSIONS
    worker = fleet.start_worker(max_batch_age=600.0)
    before = len(fleet.begun())
    fleet.send_until(lambda: len(fleet.begun()) > before, "the worker to let sessions begin")
    new = fleet.begun() - fleet.seen()
    assert new
    worker.kill()
    fleet.start_consumer()
    fleet.traffic.send(10 * PARTITIONS)
    fleet.traffic.wait_until_committed()
    fleet.end_consumer(signal.SIGTERM)

    (keys, theirs), (stored, ours) = fleet.theirs(), fleet.ours()
    assert new <= keys
    assert theirs | ours.keys() == set(range(fleet.traffic.sent))
    assert set(ours.values()) == {1}
    assert fleet.seen() == keys | stored
