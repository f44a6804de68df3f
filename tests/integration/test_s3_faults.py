"""Flushes to S3 while everything goes wrong: nothing partial is visible, nothing is lost, nothing is left open."""

import json
import os
import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import chain, repeat

import pytest
import zstandard

from recording_worker.errors import FlushError
from recording_worker.formats.batch_file import parse_block_url
from recording_worker.metrics import Metrics
from recording_worker.reading.batch_files import read_blocks
from recording_worker.recording.flush import FlushedBatch, Flusher
from recording_worker.recording.session_batch import FlushReason, SessionBatchRecorder, SessionLimits
from recording_worker.settings.model import Settings
from recording_worker.storage.locate import Locator
from recording_worker.storage.s3.backend import S3Storage
from recording_worker.storage.s3.errors import S3_ERRORS
from recording_worker.storage.s3.location import S3Location
from tests.builders import NOW_MS, TOPIC, FakeClock, event, session_message
from tests.servers.faulty_proxy import WRITES, Fault, FaultyProxy
from tests.servers.s3 import KEY, PART_BYTES, Bucket, S3Server, quick_retries, use_credentials
from tests.unit.test_session_batch import decoded, record_all

FLUSHES = 96
LANES = 8
"""Workers at a time."""
KILLS = 5
PERMANENT = (
    "access denied",
    "there is no such bucket",
    "the secret key is wrong",
    "the server does not know this access key",
)
"""What failures say that trying again does not help."""


@dataclass
class Messages:
    """The messages of one flush, and the lines they are."""

    batch: SessionBatchRecorder
    lines: bytes


def messages(rng: random.Random, number: int) -> Messages:
    """One to three sessions; every other batch is larger than a part."""
    batch = SessionBatchRecorder(TOPIC, SessionLimits(), started=0.0)
    sessions = rng.randint(1, 3)
    size = rng.randint(1, 3 * PART_BYTES) if number % 2 else rng.randint(1, 100)
    rows = decoded(
        *(
            session_message(at, f"session-{number}-{at}", [event(NOW_MS, 3, text=rng.randbytes(size).hex())])
            for at in range(sessions)
        )
    )
    assert rows.decoded is not None
    record_all(batch, rows)
    return Messages(batch, b"".join(map(rows.decoded.lines, range(sessions))))


@dataclass
class Delivered:
    """The batches whose offsets moved."""

    batches: list[FlushedBatch] = field(default_factory=list)

    def deliver(self, flushed: FlushedBatch) -> Collection[int]:
        self.batches.append(flushed)
        return flushed.partitions

    def urls(self, flushed: FlushedBatch) -> list[str]:
        values = [json.loads(record.value or b"") for part in flushed.partitions.values() for record in part.metadata]
        return [value["block_url"] for value in values]


class Run:
    """Workers that flush through the proxy, each flush until it is delivered: a worker that failed is started again."""

    def __init__(self, bucket: Bucket, proxy: FaultyProxy) -> None:
        self.bucket = bucket
        self.delivered = Delivered()
        self.expected: dict[str, bytes] = {}
        self.failures: list[str] = []
        self.metrics = Metrics()
        self.settings = bucket.settings(s3_endpoint=proxy.endpoint, s3_read_timeout=0.3, s3_connect_timeout=0.3)

    def storage(self, settings: Settings, bucket: str | None = None) -> S3Storage:
        location = S3Location(bucket or self.bucket.name, "in")
        return S3Storage(location, settings, self.metrics, part_bytes=PART_BYTES, policy=quick_retries(3.0))

    def lane(self, numbers: range, seed: int, misconfigured: list[S3Storage]) -> None:
        rng = random.Random(seed)
        storage = self.storage(self.settings)
        wrong_first = misconfigured[seed % len(misconfigured)]
        for number in numbers:
            content_seed = rng.random()
            for used in chain([wrong_first] if number == numbers[0] else [], repeat(storage)):
                made = messages(random.Random(content_seed), number)  # read again from the committed offsets
                flusher = Flusher(used, self.delivered, settings=self.settings, clock=FakeClock(), metrics=Metrics())
                flusher.submit(made.batch, FlushReason.SIZE)
                assert flusher.wait(60)
                flusher.close()
                try:
                    flusher.raise_if_failed()
                except FlushError as error:
                    self.failures.append(str(error))
                else:
                    self.expected[made.batch.batch_id] = made.lines
                    break
        storage.close()


class Watcher(threading.Thread):
    """Reads every object as soon as it is visible: it must be whole."""

    def __init__(self, bucket: Bucket) -> None:
        super().__init__(name="watcher")
        self.bucket = bucket
        self.places = Locator(bucket.settings(s3_retry_for=60))  # the server is killed now and then
        self.whole: set[str] = set()
        self.problem: Exception | None = None
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(0.02):
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - raised by `end`
                self.problem = error
                return

    def look(self) -> None:
        try:
            keys = self.bucket.all_keys()
        except S3_ERRORS:  # killed
            return
        for key in set(keys) - self.whole:
            (found,) = read_blocks([self.places.open(f"{self.bucket.url}/{key}")])
            assert isinstance(found, list), found
            assert all(block.read() for block in found)
            self.whole.add(key)

    def end(self) -> None:
        self._ended.set()
        self.join()
        if self.problem is not None:
            raise self.problem
        self.look()
        assert len(self.whole) == len(self.bucket.all_keys())


def misconfigured(run: Run, patch: pytest.MonkeyPatch) -> list[S3Storage]:
    """Storages of workers that were set up wrongly. Their requests don't go through the proxy."""
    direct = run.bucket.settings()
    storages = [run.storage(direct, "there-is-no-such-bucket")]
    if run.bucket.server.checks_credentials:
        for key, secret in ((KEY, "wrong"), ("wrong", "wrong")):
            use_credentials(patch, key, secret)
            storages.append(run.storage(direct))
        use_credentials(patch)
    return storages


def kill_now_and_then(run: Run, server: S3Server, rng: random.Random, ended: threading.Event) -> None:
    """Kill the server and start it again, several times until all is flushed."""
    for turn in range(1, KILLS + 1):
        while len(run.delivered.batches) < turn * FLUSHES // (KILLS + 1):
            if ended.wait(0.01):
                return
        server.kill()
        time.sleep(rng.uniform(0.05, 0.5))
        server.start()


def lines_of(places: Locator, run: Run, flushed: FlushedBatch) -> bytes:
    """What the committed metadata of a batch leads to, block by block."""
    lines = b""
    for url in run.delivered.urls(flushed):
        place = parse_block_url(url)
        block = places.open(place.file).read(place.start, place.length)
        lines += zstandard.ZstdDecompressor().decompress(block)
    return lines


def test_faults_lose_nothing_and_leave_nothing(s3: S3Server, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = int(os.environ.get("FAULTS_SEED") or secrets.randbits(32))
    print(f"FAULTS_SEED={seed}")
    rng = random.Random(seed)
    proxy = FaultyProxy(s3.port, seed, writes=0.2, others=0.33)
    run = Run(bucket, proxy)
    wrong = misconfigured(run, monkeypatch)
    watcher = Watcher(bucket)
    watcher.start()
    each = FLUSHES // LANES
    with ThreadPoolExecutor(LANES + 1) as pool:
        ended = threading.Event()
        killer = pool.submit(kill_now_and_then, run, s3, rng, ended)
        lanes = [pool.submit(run.lane, range(n * each, (n + 1) * each), seed + n, wrong) for n in range(LANES)]
        wait(lanes)
        ended.set()
        for future in [*lanes, killer]:
            future.result()
    watcher.end()
    proxy.close()
    permanent = Counter(text for failure in run.failures for text in PERMANENT if text in failure)
    transient = [failure for failure in run.failures if not any(text in failure for text in PERMANENT)]
    print(f"{proxy.done.total()} requests went wrong; {dict(permanent)} and {len(transient)} other flushes failed")
    print("\n".join(transient))

    assert len(run.delivered.batches) == len(run.expected) == FLUSHES
    places = Locator(bucket.settings())
    for flushed in run.delivered.batches:
        assert lines_of(places, run, flushed) == run.expected[flushed.batch_id]
    assert bucket.open_uploads() == []
    assert proxy.done.keys() >= {(operation, fault) for operation in WRITES for fault in Fault}
    assert {"abort", "list uploads"} <= {operation for operation, _ in proxy.done}

    denied = sum(count for (_, fault), count in proxy.done.items() if fault is Fault.DENIED)
    assert 0 < permanent.pop("access denied") <= denied, "a request that is denied fails its flush, and once"
    assert permanent.total() == LANES, "each worker began with a storage that was set up wrongly"
    assert len(permanent) == len(wrong)
    assert len(transient) < FLUSHES // 4, "what may pass is tried again"
    assert not any("another object" in failure for failure in transient), "its own object was taken for another"
    for fault in ("InternalError", "SlowDown"):
        assert run.metrics.storage_retries.labels(fault)._value.get() > 0
    for operation in Metrics.storage_request_seconds.labels[0].values:
        assert run.metrics.storage_request_failures.labels(operation)._value.get() > 0
        assert run.metrics.storage_request_seconds.labels(operation)._sum.get() > 0
    assert run.metrics.storage_sent_bytes._value.get() > 0
