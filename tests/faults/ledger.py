"""Ledger: what a read_committed reader finds of each number, counted; made without the worker's own reading code."""

import json
import re
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import zstandard
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage

from tests.faults.deletions import Deletions
from tests.faults.history import Read, Transaction
from tests.faults.load import Sent
from tests.faults.messages import NUMBER_HEADER, NUMBER_IN_LINE, Fate
from tests.servers.kafka import lasting_client

_URL_RANGE = re.compile(r"range=bytes=(\d+)-(\d+)")


class CommittedReader:
    """Reads topics as a read_committed consumer does, from their beginning on, and remembers how far it is."""

    def __init__(self, bootstrap_servers: str, topics: list[str]) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._consumer, self._peeker = self._new_clients()
        found = self._partitions(topics, seconds=30)
        self._at = {(topic, partition): 0 for topic in topics for partition in found[topic]}
        self._consumer.assign([TopicPartition(*place, 0) for place in self._at])

    def _partitions(self, topics: list[str], seconds: float) -> dict[str, list[int]]:
        """The partitions of the topics. A broker of a cluster may learn last of a topic that was just created."""
        deadline = time.monotonic() + seconds
        while True:
            found = self._consumer.list_topics(timeout=seconds).topics
            if {*topics} <= {*found} or time.monotonic() > deadline:
                return {topic: [*found[topic].partitions] for topic in topics}
            time.sleep(0.1)

    def _new_clients(self) -> tuple[Consumer, Consumer]:
        config = {
            **lasting_client(self._bootstrap_servers),
            "group.id": "fault-suite-ledger",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
        }
        committed = Consumer({**config, "isolation.level": "read_committed"})
        return committed, Consumer({**config, "isolation.level": "read_uncommitted"})

    def read_to_end(self, seconds: float) -> Iterator[KafkaMessage]:
        """All records that have come since, up to what is in the log now.

        Raises TimeoutError if nothing of it can be read for that long, for example because of an open transaction. A
        client can stop reading after its broker was away, so others have tried then, each for as long.
        """
        deadline = time.monotonic() + seconds
        renewals = 3
        ends = self._ends(deadline)
        while behind := [place for place, end in ends.items() if self._at[place] < end]:
            if time.monotonic() > deadline:
                if not renewals:
                    raise TimeoutError(f"nothing to read for {seconds} s: {self._positions(behind, ends)}")
                self._renew_clients()
                renewals -= 1
                deadline = time.monotonic() + seconds
            for record in self._consumer.consume(500, 0.1):
                error, topic, partition, offset = record.error(), record.topic(), record.partition(), record.offset()
                assert topic is not None
                assert partition is not None
                assert offset is not None
                if error is None:
                    deadline = time.monotonic() + seconds
                    self._at[topic, partition] = offset + 1
                    yield record
                elif error.code() == KafkaError._PARTITION_EOF:
                    self._at[topic, partition] = offset  # past the markers of transactions, too
                elif not error.retriable():
                    raise AssertionError(f"reading {topic}: {error.str()}")

    def _ends(self, deadline: float) -> dict[tuple[str, int], int]:
        """Ask for the ends of the logs, until they are known or it is too late. Raises KafkaException."""
        while True:
            try:
                return {
                    place: self._peeker.get_watermark_offsets(TopicPartition(*place), timeout=30)[1]
                    for place in self._at
                }
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
            self._renew_clients()

    def _renew_clients(self) -> None:
        self.close()
        self._consumer, self._peeker = self._new_clients()
        self._consumer.assign([TopicPartition(*place, offset) for place, offset in self._at.items()])

    def close(self) -> None:
        self._consumer.close()
        self._peeker.close()

    def _positions(self, places: list[tuple[str, int]], ends: dict[tuple[str, int], int]) -> str:
        """Tell a reader that does not move from a transaction that does not end: up to where a log is stable."""
        stable = {
            place: self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=30)[1] for place in places
        }
        return ", ".join(
            f"{topic}/{partition} at {self._at[topic, partition]} of {ends[topic, partition]},"
            f" stable up to {stable[topic, partition]}"
            for topic, partition in places
        )


@dataclass(slots=True)
class Findings:
    """What is wrong; empty if nothing is."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    """Records that say something else than what was sent."""

    def __bool__(self) -> bool:
        return bool(self.lost or self.doubled or self.other)

    def lines(self) -> list[str]:
        named = {"lost": self.lost, "doubled": self.doubled, "wrong": self.other}
        return [f"{name}: {text}" for name, texts in named.items() for text in texts]


class Ledger:
    """Compares each number with where it must end: once in a block, in the DLQ or in the overflow, or nowhere."""

    def __init__(
        self,
        bootstrap_servers: str,
        metadata_topic: str,
        dlq_topic: str,
        overflow_topic: str,
        progress_topic: str | None = None,
        on_read: Callable[[Read], None] = lambda _found: None,
        on_transaction: Callable[[Transaction], None] = lambda _found: None,
        content_of: Callable[[str], Path] = lambda url: Path(unquote(urlsplit(url).path)),
        opened: Callable[[Mapping[str, Any], bytes], bytes] = lambda _metadata, stored: stored,
        deletions: Deletions | None = None,
    ) -> None:
        """`on_read` is called with each message that is found, `on_transaction` with each record of a flush.

        `content_of`: where the file of a block's URL is. `opened`: takes the metadata of a block, and what is stored of
        it, and returns it compressed and in the clear; raises ValueError if it can't. `deletions`: of sessions, while
        they are recorded.
        """
        self._on_read = on_read
        self._on_transaction = on_transaction
        self._progress_topic = progress_topic
        self._content_of = content_of
        self._opened = opened
        self._deletions = Deletions() if deletions is None else deletions
        self._ends = {dlq_topic: Fate.DLQ, overflow_topic: Fate.REDIRECTED}
        topics = [metadata_topic, dlq_topic, overflow_topic, progress_topic]
        self._reader = CommittedReader(bootstrap_servers, [*filter(None, topics)])
        self._sent: dict[int, Sent] = {}
        self._seen: dict[int, str] = {}
        """Number → where it was first found."""

    def check(self, sent: list[Sent], seconds: float) -> Findings:
        """Read on to the end, and find what is wrong with the numbers sent since the last check.

        All that was sent has been committed. `seconds`: how long open transactions may still hold up the reading.
        """
        findings = Findings()
        self._sent.update((one.number, one) for one in sent)
        for record in self._reader.read_to_end(seconds):
            fate = self._ends.get(record.topic() or "", Fate.RECORDED)
            if record.topic() == self._progress_topic:
                self._on_transaction(_transaction(json.loads(record.value() or b"")))
            elif fate is Fate.RECORDED:
                self._read_block(json.loads(record.value() or b""), findings)
            else:
                self._read_copy(record, fate, findings)
        findings.lost += [f"{one}: nowhere" for one in sent if not self._may_miss(one) and one.number not in self._seen]
        findings.other += self._deletions.wrong()
        return findings

    def close(self) -> None:
        self._reader.close()

    def _may_miss(self, one: Sent) -> bool:
        return one.fate is Fate.DROPPED or self._deletions.may_miss(one)

    def _read_block(self, metadata: dict[str, Any], findings: Findings) -> None:
        if metadata.get("is_deleted"):
            self._deletions.hides((metadata["team_id"], metadata["session_id"]))
            return
        url = str(metadata["block_url"])
        lines_before = 0
        try:
            stored = _fetch(url, self._content_of(url))
            text = zstandard.ZstdDecompressor().decompress(self._opened(metadata, stored))
        except (OSError, ValueError, zstandard.ZstdError) as error:
            findings.other.append(f"block {url}: {error}")
            return
        for line in text.splitlines():
            lines_before += 1
            if number := NUMBER_IN_LINE.search(line):
                read = Read(int(number[1]), Fate.RECORDED, url, str(metadata["batch_id"]))
                one = self._found(read, findings)
                if one is not None and (one.lines, one.partition) != (lines_before, metadata["partition"]):
                    findings.other.append(f"{one}: {lines_before} lines, partition {metadata['partition']}, in {url}")
                lines_before = 0
        if lines_before:
            findings.other.append(f"block {url}: {lines_before} lines of no message")

    def _read_copy(self, record: KafkaMessage, fate: Fate, findings: Findings) -> None:
        found: Any = record.headers()
        headers: dict[str, bytes] = dict(found)
        where = f"{record.topic()}/{record.partition()}@{record.offset()}"
        one = self._found(Read(int(headers[NUMBER_HEADER]), fate, where), findings)
        if one is None:
            return
        if zlib.crc32(record.value() or b"") != one.checksum:
            findings.other.append(f"{one}: another value in {where}")
        source = (int(headers["dlq-partition"]), int(headers["dlq-offset"])) if fate is Fate.DLQ else None
        if source not in (None, (one.partition, one.offset)):
            findings.other.append(f"{one}: is of {source} by {where}")

    def _found(self, read: Read, findings: Findings) -> Sent | None:
        self._on_read(read)
        one = self._sent.get(read.number)
        if one is None:
            findings.other.append(f"number {read.number}, which was not sent, in {read.where}")
        elif read.number in self._seen:
            findings.doubled.append(f"{one}: in {self._seen[read.number]} and in {read.where}")
        elif one.fate != read.fate:
            findings.other.append(f"{one}: in {read.where}")
        elif one.fate is Fate.RECORDED and self._deletions.must_miss(one):
            findings.other.append(f"{one}: its session was deleted before, and it is in {read.where}")
        self._seen.setdefault(read.number, read.where)
        return one


def _transaction(progress: dict[str, Any]) -> Transaction:
    """What a record of the progress topic says."""
    offsets = {int(number): its["next_offset"] for number, its in progress["partitions"].items()}
    return Transaction(progress["batch_id"], offsets)


def _fetch(url: str, file: Path) -> bytes:
    """What is stored of a block, by its URL and the file that this is in."""
    span = _URL_RANGE.fullmatch(urlsplit(url).query)
    assert span, url
    first, last = map(int, span.groups())
    with file.open("rb") as opened:
        opened.seek(first)
        return opened.read(last - first + 1)
