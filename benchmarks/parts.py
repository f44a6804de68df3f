"""What the parts of the whole job cost by themselves: `python -m benchmarks.parts`, see docs/change/benchmarks.md.

One thread takes a load from a real Kafka, and does what a worker has to do with each message, and nothing else: no
pipeline, no records, no offsets, no metrics. The sum of its parts is the floor of the whole job with these libraries.
"""

import json
import statistics
import sys
import tempfile
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from benchmarks.contenders.process import ContenderError
from benchmarks.end_to_end.kafka import PinnedKafka, fill
from benchmarks.end_to_end.loads import SIZES, Load, Shape, make_load, read_originals
from benchmarks.end_to_end.machine import describe, split_cores
from benchmarks.tables import parts_table
from recording_worker._native import Compressor, Decoder, FileBlocks, SessionBatch
from recording_worker.errors import WorkerError
from recording_worker.kafka.consumer import PartitionConsumer
from recording_worker.messages import MessageColumns
from recording_worker.metrics import Metrics
from recording_worker.pipeline.build import make_decoder
from recording_worker.recording.compression import compress_all
from recording_worker.settings.choices import Codec
from recording_worker.settings.model import Settings
from recording_worker.storage.local.backend import LocalStorage
from tests.sample import SAMPLE
from tests.servers.child import ServerError

TAKE, DECODE, RECORD, COMPRESS, WRITE = PARTS = ("take", "decode", "record", "compress", "write")
_HEADERS = ("content-encoding", "session_id", "distinct_id")
_PARTITIONS = 4
_TOPIC = "load"


class BareLoop:
    """Reads a topic once. `seconds`: part → CPU seconds. To take includes all that librdkafka's threads do."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.messages = 0
        self.stored_bytes = 0
        self._settings = settings
        self._decoder: Decoder = make_decoder(settings)
        self._compressor = Compressor(settings.codec.value, settings.zstd_level)
        self._storage = LocalStorage(folder)
        self._batch = SessionBatch()
        self._files = 0

    def run(self, consumer: PartitionConsumer, messages: int) -> None:
        """Take this many messages. Raises WorkerError."""
        begun = time.process_time()
        consumer.assign(dict.fromkeys(range(_PARTITIONS), 0))
        while self.messages < messages:
            poll = consumer.consume(self._settings.poll_messages, self._settings.poll_timeout)
            self.messages += len(poll)
            while len(poll):
                poll = poll[self._decode(poll) :]
                if self._batch.total().bytes >= self._settings.budget.batch_bytes:
                    self._flush()
        self._flush()
        consumer.close()
        self.seconds[TAKE] = time.process_time() - begun - sum(self.seconds.values())

    def _decode(self, poll: MessageColumns) -> int:
        """Decode and record the first messages of a poll. Return how many."""
        rows = len(poll)
        dispositions, reasons = bytearray(rows), bytearray(rows)
        with self._timed(DECODE):
            encodings, session_ids, distinct_ids = poll.headers.texts(_HEADERS)
            decoded = self._decoder.decode(
                poll.values, encodings, session_ids, distinct_ids, poll.timestamps_ms, None, dispositions, reasons
            )
        done = decoded.rows
        if any(reasons[:done]):
            raise ContenderError("the load has messages that can't be recorded")
        with self._timed(RECORD):
            self._batch.record(
                decoded,
                poll.partitions[:done],
                poll.offsets[:done],
                dispositions[:done],
                reasons[:done],
                array("i", bytes(4 * done)),
                array("q", [1]),
                b"\1",
                bytes(done),
            )
        return done

    def _flush(self) -> None:
        for file in self._batch.take():
            self._files += 1
            before = self.seconds[COMPRESS]
            with self._timed(WRITE):
                self._storage.write(f"blocks/{self._files}", self._parts(file), {})
            self.seconds[WRITE] -= self.seconds[COMPRESS] - before

    def _parts(self, file: FileBlocks) -> Iterator[memoryview]:
        parts = compress_all(self._compressor, file.session_blocks())
        while True:
            with self._timed(COMPRESS):
                part = next(parts, None)
            if part is None:
                return
            self.stored_bytes += len(part)
            yield memoryview(part)

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        begun = time.thread_time()
        yield
        self.seconds[part] += time.thread_time() - begun


def measure(load: Load, codecs: list[Codec], runs: int) -> dict[str, Any]:
    """Return for each codec what the parts cost, CPU s per GB, medians of these runs. Raises ContenderError."""
    found: dict[str, list[BareLoop]] = {codec.value: [] for codec in codecs}
    cores = split_cores()
    with (
        tempfile.TemporaryDirectory(prefix="parts-") as temporary,
        PinnedKafka(Path(temporary) / "kafka", cores.broker) as kafka,
    ):
        kafka.create_topic(_TOPIC, _PARTITIONS)
        fill(kafka.bootstrap_servers, _TOPIC, _PARTITIONS, load)
        for run in range(runs):
            for codec in codecs:
                settings = Settings(
                    bootstrap_servers=kafka.bootstrap_servers, topic=_TOPIC, codec=codec, max_timestamp_diff_days=1e5
                )
                with tempfile.TemporaryDirectory(prefix="parts-") as folder:
                    loop = BareLoop(settings, Path(folder))
                    loop.run(PartitionConsumer(settings, Metrics()), load.messages)
                found[codec.value].append(loop)
                spent = sum(loop.seconds.values())
                print(f"parts: run {run + 1} of {runs}: {codec.value}, {spent:.1f} CPU seconds", file=sys.stderr)
    return {
        name: {
            **{part: statistics.median(loop.seconds[part] for loop in loops) / load.bytes * 1e9 for part in PARTS},
            "stored_bytes": loops[0].stored_bytes,
        }
        for name, loops in found.items()
    }


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE…]")
@click.option("--shape", type=click.Choice([str(shape) for shape in Shape]), default="web", show_default=True)
@click.option("--size", type=click.IntRange(min=1), help="Megabytes of message values, uncompressed.")
@click.option("--runs", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print a report instead of a table.")
def main(files: tuple[Path, ...], shape: str, size: int | None, runs: int, seed: int, as_json: bool) -> None:
    """Measure what the parts of the whole job cost by themselves, on a load of benchmarks.end_to_end.

    A FILE holds messages as JSON lines, plain or .zst. Without a FILE the load is made of the sample in tests/data.
    """
    try:
        load_bytes = size * 10**6 if size else SIZES[Shape(shape)]
        load = make_load(read_originals(list(files) or [SAMPLE]), Shape(shape), load_bytes, seed=seed)
        codecs = measure(load, [Codec.SNAPPY, Codec.ZSTD], runs)
    except (ContenderError, ServerError, WorkerError) as error:
        raise click.ClickException(str(error)) from error
    settings = {"files": [file.name for file in files] or [SAMPLE.name], "runs": runs}
    report = {"machine": describe(), "settings": settings, "load": load.describe(), "codecs": codecs}
    click.echo(json.dumps(report, indent=2) if as_json else parts_table(report))


if __name__ == "__main__":
    main()
