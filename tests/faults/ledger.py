"""Ledger: what a read_committed reader finds of each number, counted; made without the worker's own reading code."""

import json
import re
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import zstandard
from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka import Message as KafkaMessage

from tests.faults.history import Read
from tests.faults.load import Sent
from tests.faults.messages import NUMBER_HEADER, NUMBER_IN_LINE, Fate
from tests.servers.kafka import lasting_client

_URL_RANGE = re.compile(r"range=bytes=(\d+)-(\d+)")


class CommittedReader:
    """Reads topics as a read_committed consumer does, from their beginning on, and remembers how far it is."""

    def __init__(self, bootstrap_servers: str, topics: list[str]) -> None:
        config = {
            **lasting_client(bootstrap_servers),
            "group.id": "fault-suite-ledger",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
        }
        self._consumer = Consumer({**config, "isolation.level": "read_committed"})
        self._peeker = Consumer({**config, "isolation.level": "read_uncommitted"})
        found = self._consumer.list_topics(timeout=30).topics
        self._at = {(topic, partition): 0 for topic in topics for partition in found[topic].partitions}
        self._consumer.assign([TopicPartition(*place, 0) for place in self._at])

    def read_to_end(self, seconds: float) -> Iterator[KafkaMessage]:
        """All records that have come since, up to what is in the log now.

        Raises TimeoutError if nothing of it can be read for that long, for example because of an open transaction.
        """
        ends = {place: self._peeker.get_watermark_offsets(TopicPartition(*place), timeout=30)[1] for place in self._at}
        deadline = time.monotonic() + seconds
        while behind := [place for place, end in ends.items() if self._at[place] < end]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing to read for {seconds} s: {self._positions(behind, ends)}")
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
        on_read: Callable[[Read], None] = lambda _found: None,
    ) -> None:
        """`on_read` is called with each message that is found."""
        self._on_read = on_read
        self._ends = {dlq_topic: Fate.DLQ, overflow_topic: Fate.REDIRECTED}
        self._reader = CommittedReader(bootstrap_servers, [metadata_topic, dlq_topic, overflow_topic])
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
            if fate is Fate.RECORDED:
                self._read_block(json.loads(record.value() or b""), findings)
            else:
                self._read_copy(record, fate, findings)
        findings.lost += [
            f"{one}: nowhere" for one in sent if one.fate is not Fate.DROPPED and one.number not in self._seen
        ]
        return findings

    def close(self) -> None:
        self._reader.close()

    def _read_block(self, metadata: dict[str, object], findings: Findings) -> None:
        url = str(metadata["block_url"])
        lines_before = 0
        try:
            text = _fetch(url)
        except (OSError, zstandard.ZstdError) as error:
            findings.other.append(f"block {url}: {error}")
            return
        for line in text.splitlines():
            lines_before += 1
            if number := NUMBER_IN_LINE.search(line):
                one = self._found(int(number[1]), Fate.RECORDED, url, findings)
                if one is not None and (one.lines, one.partition) != (lines_before, metadata["partition"]):
                    findings.other.append(f"{one}: {lines_before} lines, partition {metadata['partition']}, in {url}")
                lines_before = 0
        if lines_before:
            findings.other.append(f"block {url}: {lines_before} lines of no message")

    def _read_copy(self, record: KafkaMessage, fate: Fate, findings: Findings) -> None:
        found: Any = record.headers()
        headers: dict[str, bytes] = dict(found)
        where = f"{record.topic()}/{record.partition()}@{record.offset()}"
        one = self._found(int(headers[NUMBER_HEADER]), fate, where, findings)
        if one is None:
            return
        if zlib.crc32(record.value() or b"") != one.checksum:
            findings.other.append(f"{one}: another value in {where}")
        source = (int(headers["dlq-partition"]), int(headers["dlq-offset"])) if fate is Fate.DLQ else None
        if source not in (None, (one.partition, one.offset)):
            findings.other.append(f"{one}: is of {source} by {where}")

    def _found(self, number: int, fate: Fate, where: str, findings: Findings) -> Sent | None:
        self._on_read(Read(number, fate, where))
        one = self._sent.get(number)
        if one is None:
            findings.other.append(f"number {number}, which was not sent, in {where}")
        elif number in self._seen:
            findings.doubled.append(f"{one}: in {self._seen[number]} and in {where}")
        elif one.fate is not fate:
            findings.other.append(f"{one}: in {where}")
        self._seen.setdefault(number, where)
        return one


def _fetch(url: str) -> bytes:
    """The lines of a block, by its URL."""
    parts = urlsplit(url)
    span = _URL_RANGE.fullmatch(parts.query)
    assert span, url
    first, last = map(int, span.groups())
    with Path(unquote(parts.path)).open("rb") as file:
        file.seek(first)
        frame = file.read(last - first + 1)
    return zstandard.ZstdDecompressor().decompress(frame)
