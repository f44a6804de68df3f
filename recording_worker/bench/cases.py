"""What is measured: the stages of the work, codecs and levels, and messages of equal sizes."""

import hashlib
import zlib
from array import array
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from math import inf

from recording_worker._native import Compressor, DecodedBatch, Decoder, SessionBatch, SessionBlock, train_dictionary
from recording_worker.bench.turns import Case
from recording_worker.clock import SystemClock
from recording_worker.dependencies import KEY_STORE, DependencyWatch
from recording_worker.errors import WorkerError
from recording_worker.keys.store import KeyStore
from recording_worker.lookups.restrictions.refreshed import RefreshedRestrictions
from recording_worker.lookups.teams.any_token import AnyTokenTeams
from recording_worker.messages import Message, MessageColumns
from recording_worker.metrics import Metrics
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.build import build_pipeline, make_decoder
from recording_worker.recording.compression import compress_all
from recording_worker.recording.flush import FlushedBatch, Flusher
from recording_worker.recording.session_batch import FlushReason, SessionBatchManager, SessionLimits
from recording_worker.settings.choices import Codec
from recording_worker.settings.model import Settings
from recording_worker.storage.blackhole import BlackholeStorage

LEVELS = (-5, 1, 2, 3, 5, 7, 9)
YARDSTICK = "yardstick"
"""A loop that has nothing to do with recordings. It says how steady the machine is."""

_HEADERS = ("content-encoding", "session_id", "distinct_id")
_ALL = 1 << 30
"""The limit of a decoder that takes all messages in one call."""
_TEXT = b"".join(hashlib.sha256(bytes([number])).hexdigest().encode() * 40 for number in range(100))
_MIN_TRAINED_SESSIONS = 4
_DICTIONARY_BYTES = 1 << 20


class NoDelivery:
    """A delivery that does nothing."""

    def deliver(self, flushed: FlushedBatch) -> Collection[int]:
        return flushed.partitions


class Job:
    """The whole work of a worker on messages in memory: its pipeline, and flushes to a storage that keeps nothing."""

    def __init__(self, settings: Settings, messages: Sequence[Message], keys: KeyStore | None = None) -> None:
        """`keys`: where the keys of sessions are, if they are encrypted."""
        clock, metrics = SystemClock(), Metrics()
        self.flushed: list[FlushedBatch] = []
        self._polls = list(_polls(settings, messages))
        self.decoder = make_decoder(settings)
        self.manager = SessionBatchManager(settings.topic, clock, settings.budget.batch_bytes, inf, SessionLimits())
        self.flusher = Flusher(
            BlackholeStorage(),
            NoDelivery(),
            settings=settings,
            clock=clock,
            metrics=metrics,
            decoder=self.decoder,
            on_flushed=self.flushed.append,
            encrypts=keys is not None,
        )
        self._pipeline = build_pipeline(
            settings,
            decoder=self.decoder,
            teams=AnyTokenTeams(),
            restrictions=RefreshedRestrictions([]),
            manager=self.manager,
            flusher=self.flusher,
            clock=clock,
            metrics=metrics,
            offline=True,
            keys=keys,
            keys_watch=None if keys is None else DependencyWatch(KEY_STORE),
        )

    def polls(self) -> Iterator[int]:
        """Run all polls through the pipeline, without an end of its own. Give each poll's number of messages."""
        for poll in self._polls:
            rest = poll
            while len(rest):
                batch = MessageBatch("bench", rest)
                self._pipeline.run(batch)
                self.flusher.raise_if_failed()
                if self.manager.is_full or batch.large_waits:
                    self.flush()
                yield len(rest) - len(batch.rest)
                rest = batch.rest

    def flush(self) -> None:
        """Wait for the flush in flight, and begin one if the session batch holds anything."""
        self.flusher.wait()
        if not self.manager.is_empty:
            self.flusher.submit(self.manager.swap(), FlushReason.SIZE)

    def run(self) -> None:
        """Do all the work once."""
        for _ in self.polls():
            pass
        self.flush()
        self.flusher.wait()
        self.flushed.clear()

    def close(self) -> None:
        """End the flush thread."""
        self.flusher.close()


def _polls(settings: Settings, messages: Sequence[Message]) -> Iterator[MessageColumns]:
    """Divide the messages as polls of Kafka do. Line numbers become offsets."""
    polled: list[Message] = []
    size = 0
    for offset, message in enumerate(messages):
        polled.append(message._replace(partition=0, offset=offset))
        size += len(message.value or b"")
        if len(polled) >= settings.poll_messages or size >= settings.budget.fetch_bytes:
            yield MessageColumns.of(polled)
            polled, size = [], 0
    if polled:
        yield MessageColumns.of(polled)


@dataclass(frozen=True, slots=True)
class Decoded:
    """Messages decoded in one call."""

    batch: DecodedBatch
    dispositions: bytearray

    @property
    def ok(self) -> list[int]:
        return [row for row in range(self.batch.rows) if not self.dispositions[row]]


class Decoding:
    """Decodes all messages in one call, again and again."""

    def __init__(self, settings: Settings, messages: Sequence[Message], *, unpack: bool) -> None:
        self._columns = MessageColumns.of(messages)
        self._encodings, self._session_ids, self._distinct_ids = self._columns.headers.texts(_HEADERS)
        self._decoder = Decoder(
            max_decompressed_bytes=settings.max_decompressed_bytes,
            max_decoded_bytes=_ALL,
            large_bytes=_ALL,
            unpack_client_compression=unpack,
        )

    def run(self) -> Decoded:
        """Decode all messages. Each message's own timestamp counts as now."""
        rows = len(self._columns)
        dispositions = bytearray(rows)
        decoded = self._decoder.decode(
            self._columns.values,
            self._encodings,
            self._session_ids,
            self._distinct_ids,
            self._columns.timestamps_ms,
            None,
            dispositions,
            bytearray(rows),
        )
        return Decoded(decoded, dispositions)


def record(decoded: Decoded) -> SessionBatch:
    """Gather all rows by session, as one team's."""
    batch, rows = SessionBatch(), decoded.batch.rows
    batch.record(
        decoded.batch,
        array("q", bytes(8 * rows)),
        array("q", range(rows)),
        bytearray(decoded.dispositions[:rows]),
        bytearray(rows),
        array("i", bytes(4 * rows)),
        array("q", [1]),
        b"\1",
        bytes(rows),
    )
    return batch


def blocks_of(decoded: Decoded) -> dict[str, list[SessionBlock]]:
    """Return session id → its messages, each as a block of its own: on a busy topic most blocks hold one message."""
    found: dict[str, list[SessionBlock]] = {}
    for row in decoded.ok:
        block = SessionBlock()
        block.record(decoded.batch, row, row)
        if block.size:
            found.setdefault(decoded.batch.session_id(row), []).append(block)
    return found


def stored_bytes(compressor: Compressor, blocks: Sequence[SessionBlock]) -> int:
    """Compress the blocks, and return their bytes."""
    return sum(len(part) for part in compress_all(compressor, list(blocks)))


class Measured:
    """All cases for these messages, and what is known of them without measuring."""

    def __init__(self, settings: Settings, messages: Sequence[Message], sized: dict[int, list[Message]]) -> None:
        """Raises WorkerError if no message can be recorded."""
        packed = Decoding(settings, messages, unpack=False)
        unpacked = Decoding(settings, messages, unpack=True)
        plain, full = packed.run(), unpacked.run()
        if not full.ok:
            raise WorkerError("none of the messages can be recorded, so there is nothing to measure")
        self.bytes = full.batch.uncompressed_bytes
        self.messages = full.batch.rows
        self.recorded = len(full.ok)
        settings_of = {
            "zstd": settings.model_copy(update={"codec": Codec.ZSTD}),
            "snappy": settings.model_copy(update={"codec": Codec.SNAPPY}),
        }
        self._jobs: list[Job] = []
        self.cases = [Case(YARDSTICK, lambda: zlib.compress(_TEXT, 6), len(_TEXT))]
        self._add("decode", packed.run)
        self._add("decode and unpack", unpacked.run)
        self._add("record", lambda: record(full))
        for codec, decoded in (("zstd", full), ("snappy", plain)):
            blocks = [block for file in record(decoded).take() for block in file.session_blocks()]
            compressor = Compressor(codec, settings.zstd_level)
            self._add(f"compress {codec}", lambda blocks=blocks, with_=compressor: stored_bytes(with_, blocks))
            self._jobs.append(Job(settings_of[codec], messages))
            self._add(f"whole {codec}", self._jobs[-1].run)
        for size, cut_messages in sized.items():
            decoding = Decoding(settings, cut_messages, unpack=False)
            decoded_bytes = decoding.run().batch.uncompressed_bytes
            self._add(f"size {size}", lambda decoding=decoding: record(decoding.run()), decoded_bytes)
        self.stored: dict[str, float] = {}
        """Name of a codec's case → stored bytes, as a share of the lines' bytes."""
        self.no_dictionary = ""
        """Why there are no cases with a dictionary; empty if there are."""
        self._add_codecs(settings, blocks_of(full))

    def close(self) -> None:
        """End what the cases have started."""
        for job in self._jobs:
            job.close()

    def _add(self, name: str, run: object, size: int | None = None) -> None:
        assert callable(run)
        self.cases.append(Case(name, run, self.bytes if size is None else size))

    def _add_codecs(self, settings: Settings, sessions: dict[str, list[SessionBlock]]) -> None:
        """Measure codecs on half of the sessions. The dictionary is trained on the other half."""
        ordered = sorted(sessions, key=lambda session: hashlib.sha256(session.encode()).digest())
        half = len(ordered) // 2
        trained = [block.lines() for session in ordered[:half] for block in sessions[session]]
        measured = [block for session in ordered[half:] for block in sessions[session]]
        lines = sum(block.size for block in measured)
        dictionary = self._dictionary(settings, trained, half)
        choices = [("snappy", Compressor("snappy"))]
        choices += [(f"zstd {level}", Compressor("zstd", level)) for level in LEVELS]
        if dictionary is not None:
            choices += [(f"zstd {level} dictionary", Compressor("zstd", level, dictionary)) for level in LEVELS]
        for name, compressor in choices:
            self.stored[name] = stored_bytes(compressor, measured) / lines
            self._add(name, lambda with_=compressor: stored_bytes(with_, measured), lines)

    def _dictionary(self, settings: Settings, samples: list[bytes], sessions: int) -> bytes | None:
        size = min(_DICTIONARY_BYTES, sum(map(len, samples)) // 8)
        if sessions < _MIN_TRAINED_SESSIONS:
            self.no_dictionary = f"too few sessions to train a dictionary from: {sessions}"
            return None
        try:
            return train_dictionary(samples, size, settings.zstd_level)
        except ValueError as error:
            self.no_dictionary = f"no dictionary can be trained from these messages: {error}"
            return None
