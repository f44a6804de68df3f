"""`verify`, `sweep` and `rewind` on a real Kafka."""

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from recording_worker.formats.timestamps import utc_text
from recording_worker.kafka.offsets import topic_partitions
from tests.batch_files import make_dictionary, store_dictionary
from tests.builders import NOW_MS
from tests.history import History, Part
from tests.integration.command import Result, run, start
from tests.servers.kafka import KafkaServer
from tests.servers.s3 import Bucket

HOUR_MS = 3_600_000


class Stage:
    """A history on a broker, with topics of its own. Batches are committed in transactions."""

    def __init__(self, kafka: KafkaServer, new_topic: Callable[..., str], group: str, folder: Path) -> None:
        self.topic, self.metadata, self.dlq = new_topic(2), new_topic(3), new_topic(1)
        self.group = group
        self.history = History(folder / "storage", self.topic, group)
        self.storage = folder / "storage"
        self._client = {"bootstrap.servers": kafka.bootstrap_servers}
        self._config = folder / "tools.toml"
        names = {
            "bootstrap_servers": kafka.bootstrap_servers,
            "topic": self.topic,
            "group_id": group,
            "metadata_topic": self.metadata,
            "dlq_topic": self.dlq,
        }
        self._names = names
        self.use(storage_dir=str(self.storage))
        self._producer = Producer({**self._client, "transactional.id": f"{group}-worker"})
        self._producer.init_transactions(30)

    def use(self, **storage: str) -> None:
        """Choose the storage in which the tools look for files."""
        self._config.write_text("".join(f'{name} = "{value}"\n' for name, value in (self._names | storage).items()))

    def fill(self, messages: int) -> None:
        """Send this many messages to each partition of the source topic."""
        producer = Producer(self._client)
        for number in range(messages):
            for partition in range(2):
                producer.produce(self.topic, b"x", partition=partition, timestamp=NOW_MS + number * 1000)
        assert producer.flush(30) == 0

    def batch(self, parts: dict[int, Part], *, commit: bool = True, created_ms: int = NOW_MS) -> None:
        """Write a batch's files, and send its records and offsets in one transaction."""
        history = self.history
        dead = len(history.dlq)
        records = history.batch(parts, created_ms)
        self._producer.begin_transaction()
        for at, record in enumerate(records):
            self.send(record.value, record.headers, at)
        for record in history.dlq[dead:]:
            self._producer.produce(self.dlq, record.value, headers=[*record.headers])
        with closing(Consumer({**self._client, "group.id": self.group})) as consumer:
            offsets = topic_partitions(
                self.topic, {number: at for number, at in history.committed.items() if number in parts}
            )
            self._producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), 30)
        if commit:
            self._producer.commit_transaction(30)
        else:
            self._producer.flush(30)
            self._producer.abort_transaction(30)

    def send(self, value: bytes | None, headers: Sequence[tuple[str, bytes | None]], partition: int) -> None:
        self._producer.produce(self.metadata, value, partition=partition % 3, headers=[*headers])

    def run(self, command: str, *arguments: str | Path) -> Result:
        return run(command, "--config", self._config, *arguments)

    def verify(self, *arguments: str) -> dict[str, Any]:
        done = self.run("verify", "--json", *arguments)
        report: dict[str, Any] = json.loads(done.out)
        assert done.code == bool(report["damages"])
        return report


@pytest.fixture
def stage(kafka: KafkaServer, new_topic: Callable[..., str], group: str, tmp_path: Path) -> Stage:
    return Stage(kafka, new_topic, group, tmp_path)


def cut(kafka: KafkaServer, topic: str, partition: int, start: int) -> None:
    """Remove the records of a log before `start`, as retention does."""
    admin = kafka.admin()  # kept until it has its answer
    [asked] = admin.delete_records([TopicPartition(topic, partition, start)]).values()
    asked.result(30)


def kinds(report: dict[str, Any]) -> list[str]:
    return sorted(damage["kind"] for damage in report["damages"])


def test_verify_counts_committed_batches_and_ignores_aborted_ones(stage: Stage) -> None:
    stage.batch({0: Part({0: "a", 1: "b", 2: "a"}), 1: Part({0: "c"}, dlq=[1])})
    before = dict(stage.history.carried), dict(stage.history.committed)
    stage.batch({0: Part({3: "a"}), 1: Part({2: "c"}, dlq=[3])}, commit=False)
    stage.history.carried, stage.history.committed = before
    stage.batch({0: Part({3: "a", 4: "b"}, dropped=1, next=6)})
    stage.batch({1: Part(dlq=[2, 3])})  # no block: its account waits with the offset
    report = stage.verify()
    assert report["damages"] == []
    assert report["notes"] == []
    named = ("files", "blocks", "messages", "recorded", "dropped", "dlq", "partitions")
    assert [report[name] for name in named] == [2, 5, 6, 6, 1, 3, 2]


def test_verify_names_the_offsets_of_a_batch_that_was_lost(stage: Stage) -> None:
    stage.batch({0: Part({0: "a", 1: "b"}), 1: Part({0: "c"})})
    stage.batch({0: Part({2: "a", 3: "b"})}, commit=False)
    stage.batch({0: Part({4: "a"})})
    report = stage.verify()
    assert kinds(report) == ["messages_missing"]
    [damage] = report["damages"]
    assert (damage["topic"], damage["group"], damage["partition"]) == (stage.topic, stage.group, 0)
    assert (damage["first_offset"], damage["last_offset"]) == (2, 3)


def test_verify_says_what_it_could_not_compare(stage: Stage) -> None:
    stage.batch({0: Part({0: "a"})})
    assert stage.verify("--dlq-topic", "not-there")["notes"] == ["there is no topic not-there (dlq_topic)"]


def test_verify_of_nothing_fails(stage: Stage) -> None:
    stage.batch({0: Part({0: "a"})})
    done = stage.run("verify", "--json", "--group-id", "somebody")
    assert (done.code, done.error) == (2, "there was nothing to verify: group somebody has committed nothing")
    report = json.loads(done.out)
    assert (report["blocks"], report["damages"]) == (1, []), "the blocks are checked all the same"
    nothing, of_others = report["notes"]
    assert nothing == "group somebody has committed nothing"
    assert of_others.startswith(f"group {stage.group}: its accounts were not compared with its committed offsets")

    done = stage.run("verify", "--metadata-topic", stage.topic)
    assert (done.code, done.error) == (2, f"there was nothing to verify: topic {stage.topic} holds no metadata")
    assert f"note: group {stage.group} has committed offsets of {stage.topic}, but no account" in done.out
    assert "nothing is wrong" not in done.out
    done = stage.run("verify", "--since", "2100-01-01")
    assert (done.code, done.error.endswith("holds no metadata since 2100-01-01 00:00:00.000 UTC")) == (2, True)

    stage._producer.begin_transaction()
    stage.send(b"{}", [], 0)
    stage._producer.commit_transaction(30)
    assert stage.run("verify", "--group-id", "somebody").code == 1, "what is wrong comes first"


def test_all_commands_say_in_the_same_words_that_no_broker_answers(tmp_path: Path) -> None:
    commands: list[list[str | Path]] = [
        ["run", "--any-token", "--ops-port", "0", "--storage-dir", tmp_path],
        ["verify", "--storage-dir", tmp_path],
        ["sweep", "--storage-dir", tmp_path],
        ["sweep", "--storage-dir", tmp_path, "--older-than", "1m", "--delete"],
        ["rewind", "--to", "1"],
        ["dlq", "list"],
        ["dlq", "redrive"],
    ]
    for process in [start(*command, "--bootstrap-servers", "127.0.0.1:1") for command in commands]:
        with process:
            _, err = process.communicate(timeout=60)
        words = r"recording-worker: error: no Kafka broker reachable at 127\.0\.0\.1:1: .*Connection refused.*"
        assert re.fullmatch(words, err.splitlines()[-1])
        assert process.returncode == 3


def test_verify_names_each_damage_of_a_copy(stage: Stage, tmp_path: Path) -> None:
    for number in range(3):
        stage.batch({0: Part({number * 2: f"a{number}", number * 2 + 1: f"b{number}"})})
    copy = tmp_path / "copy"
    shutil.copytree(stage.storage, copy)
    at = f"{stage.storage.as_uri()}={copy}"
    assert stage.verify("--at", at)["damages"] == []

    gone, cut, changed = (copy / file.relative_to(stage.storage) for file in stage.history.files)
    gone.unlink()
    cut.write_bytes(cut.read_bytes()[:20])
    content = bytearray(changed.read_bytes())
    content[12] ^= 0xFF
    changed.write_bytes(content)
    doubled = stage.history.metadata[0]
    stage._producer.begin_transaction()
    stage.send(doubled.value, [], 1)
    stage._producer.commit_transaction(30)

    done = stage.run("verify", "--at", at)
    assert done.code == 1
    for file, kind, count in ((gone, "file_missing", 2), (cut, "block_cut", 2), (changed, "block_damaged", 1)):
        lines = [text for text in done.out.splitlines() if text.startswith(f"{kind}: ")]
        assert len(lines) == count
        assert all(file.name in text and "offsets " in text and "session " in text for text in lines)
    assert sum(text.startswith("metadata_doubled: ") for text in done.out.splitlines()) == 1
    assert done.out.splitlines()[-1].endswith(" damages")
    assert stage.verify()["damages"] != []  # the record is doubled, wherever the files are


def test_verify_notes_what_retention_has_removed(stage: Stage, kafka: KafkaServer) -> None:
    for number in range(3):
        stage.batch({0: Part({number: "a"}), 1: Part({number: "b"})})
    cut(kafka, stage.metadata, 0, 2)
    report = stage.verify()
    assert report["damages"] == []
    assert any("no longer begins at its beginning" in note for note in report["notes"])


def test_sweep_removes_only_orphans(stage: Stage) -> None:
    old = round(time.time() * 1000) - 48 * HOUR_MS
    stage.batch({0: Part({0: "a"})}, created_ms=old)
    [kept] = stage.history.files
    stage.batch({0: Part({1: "a"})}, commit=False, created_ms=old)
    stage.batch({0: Part({1: "a"})}, commit=False, created_ms=round(time.time() * 1000))
    _, orphan, young = stage.history.files
    temporary = kept.with_name(f".{kept.name}.0a1b2c3d.tmp")
    temporary.write_bytes(b"half")
    os.utime(temporary, (old / 1000, old / 1000))

    listed = json.loads(stage.run("sweep", "--json").out)
    assert [file["file"] for file in listed["orphans"]] == [str(orphan)]
    assert [file["file"] for file in listed["temporary"]] == [str(temporary)]
    assert (listed["referred"], listed["young"], listed["deleted"]) == (1, 1, False)
    assert orphan.exists()
    done = stage.run("sweep", "--delete")
    assert done.code == 0, done.err
    assert "1 orphans and 1 never finished" in done.out
    assert [path.exists() for path in (kept, orphan, young, temporary)] == [True, False, True, False]


def test_sweep_and_verify_on_s3(stage: Stage, bucket: Bucket) -> None:
    old = round(time.time() * 1000) - 48 * HOUR_MS
    stage.batch({0: Part({0: "a"})}, created_ms=old)
    stage.batch({0: Part({1: "a"})}, commit=False, created_ms=old)
    keys = [f"in/{path.relative_to(stage.storage)}" for path in stage.history.files]
    for key, path in zip(keys, stage.history.files, strict=True):
        bucket.client.put_object(Bucket=bucket.name, Key=key, Body=path.read_bytes())
    bucket.client.create_multipart_upload(Bucket=bucket.name, Key=f"{keys[0][:-4]}0000")
    posthogs = f"{keys[0].rpartition('/')[0]}/1700000000000-01890a5dac96774b"
    bucket.client.create_multipart_upload(Bucket=bucket.name, Key=posthogs)
    stage.use(storage=f"{bucket.url}/in", s3_endpoint=bucket.server.endpoint)

    listed = json.loads(stage.run("sweep", "--json").out)
    assert [file["file"] for file in listed["orphans"]] == [f"{bucket.url}/{keys[1]}"]
    assert (listed["referred"], len(listed["temporary"]) + listed["young"]) == (1, 1)  # moto's uploads began in 2010
    deadline = time.monotonic() + 30
    while "1 never finished" not in stage.run("sweep", "--older-than", "1s").out:
        assert time.monotonic() < deadline
    done = stage.run("sweep", "--older-than", "1s", "--delete")
    assert done.code == 0, done.err
    assert "1 orphans and 1 never finished" in done.out
    assert (bucket.all_keys(), bucket.open_uploads()) == (keys[:1], [posthogs]), "it may be an upload of PostHog's"

    at = f"{stage.storage.as_uri()}={bucket.url}/in"
    shutil.rmtree(stage.storage)
    report = stage.verify("--at", at)
    assert (report["blocks"], report["messages"]) == (1, 1)
    bucket.client.delete_object(Bucket=bucket.name, Key=keys[0])
    assert "file_missing" in kinds(stage.verify("--at", at))


def test_a_dictionary_is_needed_by_verify_and_left_alone_by_sweep(stage: Stage) -> None:
    old = round(time.time() * 1000) - 48 * HOUR_MS
    dictionary = stage.history.dictionary = make_dictionary()
    stored = store_dictionary(stage.storage, dictionary)
    stage.batch({0: Part({0: "a"})}, created_ms=old)
    stage.batch({0: Part({1: "a"})}, commit=False, created_ms=old)
    assert stage.run("sweep", "--older-than", "1s", "--delete").code == 0
    assert [path for path in stage.storage.rglob("*") if path.is_file()] == [stage.history.files[0], stored]
    at = f"{stage.storage.as_uri()}={stage.storage}"
    report = stage.verify("--at", at)
    assert (report["blocks"], report["messages"]) == (1, 1)
    assert "dictionary_missing" not in kinds(report)
    stored.unlink()
    [missing] = [damage for damage in stage.verify("--at", at)["damages"] if damage["kind"] == "dictionary_missing"]
    assert f"its blocks need dictionary {dictionary.id}: it is not there ({stored}: " in missing["text"]


def test_sweep_does_not_judge_files_that_other_metadata_may_refer_to(stage: Stage, kafka: KafkaServer) -> None:
    old = round(time.time() * 1000) - 48 * HOUR_MS
    stage.batch({0: Part({0: "a"})}, created_ms=old)
    other = History(stage.storage, "another-topic")
    other.batch({0: Part({0: "a"})}, created_ms=old)
    (broken := other.files[0].with_name(stage.history.files[0].name[:-4] + "0000")).write_bytes(b"no index")
    found = json.loads(stage.run("sweep", "--json").out)
    reasons = {file["file"]: file["reason"] for file in found["not_judged"]}
    assert found["orphans"] == []
    assert reasons == {
        str(other.files[0]): "recorded from elsewhere: another-topic",
        str(broken): "its index can't be read",
    }

    cut(kafka, stage.metadata, 0, 1)
    found = json.loads(stage.run("sweep", "--json").out)
    assert {file["reason"] for file in found["not_judged"]} == {"older than what the metadata topic still holds"}
    assert len(found["not_judged"]) == 3


def test_sweep_refuses_to_remove_files_that_may_be_needed(
    stage: Stage, new_topic: Callable[..., str], kafka: KafkaServer
) -> None:
    old = round(time.time() * 1000) - 48 * HOUR_MS
    stage.batch({0: Part({0: "a"})}, commit=False, created_ms=old)
    [orphan] = stage.history.files
    assert "refers to none of the files" in stage.run("sweep", "--delete").error
    compacted = new_topic(cleanup_policy="compact")
    assert "is compacted" in stage.run("sweep", "--delete", "--metadata-topic", compacted).error
    with member(kafka, stage):
        assert "members, whose flushes may be under way" in stage.run("sweep", "--delete", "--older-than", "1m").error
    stage._producer.begin_transaction()
    stage.send(b"{}", [], 0)
    stage._producer.flush(30)
    assert "a transaction is open" in stage.run("sweep", "--delete").error
    stage._producer.abort_transaction(30)
    stage._producer.begin_transaction()
    stage.send(b"{}", [], 0)
    stage._producer.commit_transaction(30)
    refused = f"nothing is removed: 1 records of topic {stage.metadata} can't be read, and may refer to files"
    assert stage.run("sweep", "--delete").error == refused
    assert f"note: 1 records of topic {stage.metadata} can't be read" in stage.run("sweep").out
    assert stage.run("sweep", "--older-than", "soon").code == 2
    assert orphan.exists()


@contextmanager
def member(kafka: KafkaServer, stage: Stage) -> Iterator[None]:
    """Let the group have a member."""
    servers = kafka.bootstrap_servers
    consumer = Consumer({"bootstrap.servers": servers, "group.id": stage.group, "enable.auto.commit": False})
    consumer.subscribe([stage.topic])
    deadline = time.monotonic() + 30
    while not consumer.assignment():
        assert time.monotonic() < deadline
        consumer.poll(0.1)
    yield
    consumer.close()


def committed(kafka: KafkaServer, stage: Stage) -> list[tuple[int, str]]:
    with closing(Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": stage.group})) as consumer:
        found = consumer.committed([TopicPartition(stage.topic, number) for number in range(2)], timeout=30)
        return [(at.offset, at.metadata or "") for at in found]


def test_rewind_sets_a_stopped_group_back(stage: Stage, kafka: KafkaServer) -> None:
    stage.fill(10)
    stage.batch({0: Part(dict.fromkeys(range(8), "a")), 1: Part({0: "b", 1: "b"})})
    stage.batch({0: Part(dlq=[8, 9])})
    before = committed(kafka, stage)
    assert [offset for offset, _ in before] == [10, 2]
    with member(kafka, stage):
        assert "has members; stop them first" in stage.run("rewind", "--to", "1").error
    done = stage.run("rewind", "--to", utc_text(NOW_MS + 5000), "--dry-run")
    assert done.code == 0, done.err
    assert "would be read again" in done.out
    assert committed(kafka, stage) == before

    done = stage.run("rewind", "--to", utc_text(NOW_MS + 5000))
    assert done.code == 0, done.err
    assert "1 of 2 partitions rewound: 5 offsets will be read again" in done.out
    assert committed(kafka, stage) == [(5, ""), (2, "")]
    assert kinds(stage.verify()) == ["offsets_behind"]
    done = stage.run("rewind", "--to", "0", "--partition", "1")
    assert (done.code, done.err) == (0, "")
    assert "1 of 1 partitions rewound: 2 offsets will be read again" in done.out, done.out
    assert committed(kafka, stage) == [(5, ""), (0, "")]


def test_rewind_neither_splits_an_account_nor_goes_before_the_log(stage: Stage, kafka: KafkaServer) -> None:
    stage.fill(10)
    stage.batch({0: Part({0: "a", 1: "a"}), 1: Part(dict.fromkeys(range(10), "b"))})
    stage.batch({0: Part(dlq=[2, 3, 4, 5])})
    cut(kafka, stage.topic, 1, 4)
    assert stage.run("rewind", "--to", "3").code == 0
    assert committed(kafka, stage) == [(2, ""), (4, "")]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--to", "5", "--partition", "7"], "has no partition 7: it has 2"),
        (["--to", "yesterday"], "--to yesterday: must be a time such as"),
        (["--to", "5", "--group-id", "nobody"], "group nobody has committed nothing"),
        (["--to", "5", "--topic", "nowhere"], "there is no topic nowhere"),
    ],
)
def test_rewind_reports_what_is_impossible(stage: Stage, arguments: list[str], error: str) -> None:
    stage.batch({0: Part({0: "a"})})
    done = stage.run("rewind", *arguments)
    assert done.code == 2
    assert error in done.error
