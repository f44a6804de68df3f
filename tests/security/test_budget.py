"""A thousand messages that are made to become more than they are: what they become, and the worker that reads them.

Each field of a message is long, many times there, nested deep, repeated or packed. What a message may take after
decompression is set to exactly what it takes.
"""

import base64
import gzip
import json
from array import array
from pathlib import Path
from random import Random
from typing import NamedTuple

import orjson
import pytest

from recording_worker._native import ByteColumn, DecodedBatch, Decoder, SessionBatch, TextColumn
from recording_worker.outcome import Reason
from recording_worker.settings.memory import MIB, least_memory
from tests.builders import NOW_MS, headers
from tests.inputs import event_text, pairs_text
from tests.security.test_console_messages import ingest
from tests.session_files import metadata_facts, records_of

MESSAGES = 1000
FACTOR = 2
"""The lines of a message may take this many times what it may take after decompression."""
STORED = 100
"""Console messages of a session that a batch stores."""
RECORD_BYTES = 4096
"""What a record, or an index entry, takes beyond the texts of its message: names, figures, and the session id."""
CHUNK_BYTES = 2 * MIB
"""The lines of several messages share a chunk of memory."""
CHARACTERS = ["w", "\x01", '"', "\\", "é", "\u2028", "\ud800", "😀"]


class Hostile:
    """Draws messages."""

    def __init__(self, seed: int) -> None:
        self._chance = Random(seed)

    def message(self, size: int) -> bytes:
        """A message of about `size` bytes, not compressed."""
        kinds = [self._tiny, self._console, self._url, self._deep, self._packed, self._long, self._no_event, self._logs]
        chosen = self._chance.sample(kinds, self._chance.randint(1, 3))
        items, left = [event_text()], size
        while left > 0:
            item = self._chance.choice(chosen)()
            repeats = min(self._chance.choice([1, 1, 10, 1000]), 1 + left // len(item))
            items += [item] * repeats
            left -= len(item) * repeats
        members = [
            ("$session_id", self._text(256)),
            ("$window_id", self._text(256)),
            ("$snapshot_source", self._text(4000)),
            ("$lib", self._text(4000)),
            ("$snapshot_items", f"[{','.join(items)}]"),
        ]
        if self._chance.random() < 0.2:  # the last one of a key counts
            members = members[:4] * self._chance.randint(1, 20) + members
        data = pairs_text(("event", '"$snapshot_items"'), ("properties", pairs_text(*members)))
        value = pairs_text(("distinct_id", self._text(1024)), ("data", json.dumps(data))).encode()
        return value.replace(b"INVALID", b"\xff" * 7)

    def _text(self, most: int) -> str:
        """The JSON text of a string of up to a number of characters, mostly of exactly that."""
        count = self._chance.choice([most, most, most, 1, most // 7])
        return json.dumps(self._chance.choice(CHARACTERS) * count)

    def _tiny(self) -> str:
        return '{"timestamp":1795e9}'

    def _no_event(self) -> str:
        return self._chance.choice(["{}", "1", "[]", '{"timestamp":-1}'])

    def _console(self) -> str:
        texts = [self._text(self._chance.choice([1, 5, 3500])) for _ in range(self._chance.choice([1, 2, 20]))]
        payload = f'{{"level":{self._text(10)},"payload":[{",".join(texts)}]}}'
        return event_text(f'{{"plugin":"rrweb/console@1","payload":{payload}}}', type="6")

    def _logs(self) -> str:
        """Many console messages, each another one: equal ones of a message are stored once."""
        numbers = self._chance.sample(range(10**6), 150)
        payloads = (f'{{"plugin":"rrweb/console@1","payload":{{"payload":["{number:x}"]}}}}' for number in numbers)
        return ",".join(event_text(payload, type="6") for payload in payloads)

    def _url(self) -> str:
        address = json.dumps(f"https://{self._chance.random()}/")[:-1]
        return event_text(f'{{"href":{address}{self._text(5000)[1:]}}}', type="4")

    def _deep(self) -> str:
        depth = self._chance.choice([10, 1000, 4000])
        return event_text("[" * depth + "]" * depth)

    def _packed(self) -> str:
        """An event as the client packs it. What it unpacks to may be much larger."""
        plain = json.dumps("\0" * self._chance.choice([10, 10_000, 1_000_000]))
        return event_text(json.dumps(gzip.compress(plain.encode()).decode("latin-1")), type="2", cv='"2024-10"')

    def _long(self) -> str:
        return event_text(self._chance.choice([self._text(5000), f"[{'1,' * 3000}1]", '"' + "INVALID" * 300 + '"']))


class Became(NamedTuple):
    """What became of a message, in bytes."""

    lines: int
    index_entry: int
    metadata: int
    console_logs: int
    held: int
    """What the decoder holds for the lines."""
    counted: int
    """What the session batch counts it as, and flushes by."""
    counted_index: int
    stored_logs: int
    """How many console messages."""


def decode(decoder: Decoder, value: bytes) -> tuple[DecodedBatch, Reason, bytearray, bytearray]:
    none, dispositions, reasons = TextColumn([None]), bytearray(1), bytearray(1)
    found = decoder.decode(ByteColumn([value]), none, none, none, array("q", [NOW_MS]), NOW_MS, dispositions, reasons)
    return found, Reason(reasons[0]), dispositions, reasons


def become(value: bytes) -> Became | Reason:
    """What becomes of a message that may take what it takes; or why it is not recorded."""
    decoder = Decoder(max_decompressed_bytes=len(value), unpack_client_compression=True)
    found, reason, dispositions, reasons = decode(decoder, value)
    if reason is not Reason.NONE:
        return reason
    batch = SessionBatch(max_console_logs_per_session=STORED)
    one = array("q", [0])
    batch.record(found, one, one, dispositions, reasons, array("i", [0]), array("q", [1]), b"\1", b"\0")
    figures = batch.total()
    [file] = batch.take()
    lines = sum(len(block.lines()) for block in file.session_blocks())
    file.store([1])
    [metadata] = file.metadata(**metadata_facts(file, "30d")).values()
    logs = [record for packed in file.console_logs(0, "batch-1") for record in records_of(packed)]
    return Became(
        lines=lines,
        index_entry=len(file.index_entries({0: "recordings/0"})),
        metadata=sum(len(key) + len(text) for key, text in records_of(metadata)),
        console_logs=sum(len(key) + len(text) for key, text in logs),
        held=decoder.held_bytes,
        counted=figures.bytes,
        counted_index=figures.index_bytes,
        stored_logs=len(logs),
    )


@pytest.fixture(scope="module")
def messages() -> list[bytes]:
    hostile = Hostile(7)
    return [hostile.message(size) for size in [300, 3_000, 30_000, 60_000] * (MESSAGES // 4)]


@pytest.fixture(scope="module")
def all_became(messages: list[bytes]) -> list[tuple[bytes, Became | Reason]]:
    return [(value, become(value)) for value in messages]


def test_lines_take_at_most_twice_what_a_message_may_take(all_became: list[tuple[bytes, Became | Reason]]) -> None:
    sizes = [(became.lines, len(value)) for value, became in all_became if isinstance(became, Became)]
    assert all(lines <= FACTOR * may_take for lines, may_take in sizes)
    assert max(lines / may_take for lines, may_take in sizes) > 1.5, "some come near to it"
    reasons = {became for _, became in all_became if isinstance(became, Reason)}
    assert reasons == {Reason.PAYLOAD_TOO_LARGE}, "the others would become too much"
    assert len(sizes) > MESSAGES / 2


def test_records_and_the_index_repeat_little_but_what_the_message_holds(
    all_became: list[tuple[bytes, Became | Reason]],
) -> None:
    """The first URL, the distinct id and the source are written twice, and the session id in every record."""
    for value, became in all_became:
        if isinstance(became, Became):
            records = became.index_entry + became.metadata + became.console_logs
            assert records <= FACTOR * len(value) + RECORD_BYTES * (2 + became.stored_logs)
            assert became.stored_logs <= STORED
    assert STORED in {became.stored_logs for _, became in all_became if isinstance(became, Became)}


def test_a_batch_counts_all_that_a_message_becomes(all_became: list[tuple[bytes, Became | Reason]]) -> None:
    """By these figures it is flushed, and by the figure of the index a file is closed."""
    for _, became in all_became:
        if isinstance(became, Became):
            assert became.index_entry <= became.counted_index
            assert became.lines + became.index_entry + became.metadata + became.console_logs <= became.counted


def test_the_decoder_holds_one_chunk_or_the_lines(all_became: list[tuple[bytes, Became | Reason]]) -> None:
    for value, became in all_became:
        if isinstance(became, Became):
            assert became.held <= max(CHUNK_BYTES, FACTOR * len(value))


def test_a_worker_stays_within_its_memory(tmp_path: Path, messages: list[bytes]) -> None:
    """Nearly the least memory that these messages may have."""
    hostile, memory, most = Hostile(8), 144, 8
    assert least_memory(most * MIB) > (memory - 16) * MIB
    giants = [hostile.message(size) for size in [most * MIB // 2, most * MIB - 100_000] * 8]
    mixed = [at for number, at in enumerate(giants) for at in (*messages[number::16], giants[number])]
    limits = ("--memory", f"{memory}MiB", "--max-decompressed-bytes", f"{most}MiB")
    peak = ingest(tmp_path, list(map(line_of, mixed)), *limits, poll_messages=500)
    assert peak < memory
    summary = json.loads((tmp_path / "out" / "summary.json").read_bytes())
    assert summary["messages"] == len(mixed)


def line_of(value: bytes) -> bytes:
    """A line of a message file."""
    line = {
        "timestamp_ms": NOW_MS,
        "partition_key": "key",
        "headers": [(key, text.decode()) for key, text in headers(session_id=None, distinct_id=None)],
        "value_b64": base64.b64encode(gzip.compress(value, 1)).decode(),
    }
    return orjson.dumps(line) + b"\n"
