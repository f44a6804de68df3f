"""A host of the service: the real supervisor and the real workers, put together on models of what is around them."""

from array import array
from contextlib import ExitStack
from typing import Any

from recording_worker._native import DecodedBatch
from recording_worker.clock import Clock
from recording_worker.errors import WorkerError
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.build import Pipeline, make_decoder
from recording_worker.pipeline.step import Step
from recording_worker.pipeline.steps.flush_batch import FlushBatch, FlushThread
from recording_worker.pipeline.steps.handle_results import HandleResults
from recording_worker.pipeline.steps.obtain_batch import ObtainBatch
from recording_worker.pipeline.steps.parse_headers import ParseHeaders
from recording_worker.pipeline.steps.parse_session_recording_message import ParseSessionRecordingMessage
from recording_worker.pipeline.steps.set_poison_messages_aside import SetPoisonMessagesAside
from recording_worker.processes.control import Channel, WorkerChannel
from recording_worker.processes.supervisor.main import Supervisor
from recording_worker.processes.supervisor.systemd import SystemdNotifier
from recording_worker.processes.worker import main as worker_main
from recording_worker.recording.session_batch import SessionBatchManager
from recording_worker.settings.model import Settings
from tests import builders
from tests.simulation.checks import METADATA_TOPIC
from tests.simulation.network import HostLink
from tests.simulation.scheduler import Process, Scheduler


class Silent:
    """Stands in for metrics, and for what measures time. They have no part in the protocol."""

    def __getattr__(self, name: str) -> "Silent":
        setattr(self, name, self)
        return self

    def __call__(self, *_: object, **__: object) -> "Silent":
        return self

    def __radd__(self, other: float) -> float:
        return other

    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


SETTINGS = Settings(
    bootstrap_servers="model:9092",
    topic="in",
    group_id="group",
    any_token=True,
    workers=2,
    poll_messages=3,
    poll_timeout=1.0,
    max_batch_age=0.7,
    drain_deadline=2.0,
    progress_deadline=6.0,
    memory="512MiB",
    storage="blackhole:",
    metadata_topic=METADATA_TOPIC,
)
METRICS: Any = Silent()
DECODER = make_decoder(SETTINGS)
"""It has no part in what is simulated."""


def _decode_one() -> DecodedBatch:
    batch = builders.batch(builders.message())
    ParseHeaders().run(batch)
    ParseSessionRecordingMessage(DECODER, None, 36500, METRICS).run(batch)
    assert batch.decoded is not None
    return batch.decoded


DECODED = _decode_one()
"""A message, which is recorded again and again."""


class RedirectAll(Step):
    """Sends every message to the overflow topic: its record shows by its key which message was delivered."""

    name = "redirect_all"

    def run(self, batch: MessageBatch) -> None:
        for row in batch.ok_rows():
            batch.end(row, Disposition.REDIRECT, Reason.OVERFLOW_FORCED, self.name)


class Host:
    """One host. It may be started again after its end."""

    def __init__(self, number: int, scheduler: Scheduler, settings: Settings) -> None:
        self.number = number
        self.link = HostLink()
        self.supervisor: Process | None = None
        self.workers: dict[int, Process] = {}
        """The present process of each worker."""
        self.away = 0
        """How many faults keep it from running now."""
        self._scheduler = scheduler
        self._settings = settings
        self._signals: Any = None

    @property
    def processes(self) -> list[Process]:
        first = [] if self.supervisor is None else [self.supervisor]
        return [each for each in (*first, *self.workers.values()) if each.alive]

    def start(self) -> None:
        process = self.supervisor = Process(f"host {self.number}")
        process.at_end.append(self._ended)

        def run() -> None:
            supervisor = Supervisor(
                self._settings, self._scheduler, worker_process, METRICS, SystemdNotifier({}, self._scheduler)
            )
            self._signals = supervisor._signals
            try:
                code = supervisor.run()
            except WorkerError as error:  # the service exits with this code, and is started again
                code = error.exit_code
            self._scheduler.end(process, code)

        self._scheduler.spawn(process, run)

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        if self.supervisor is not None and self.supervisor.alive and self._signals is not None:
            self._signals.receive(15, None)

    def kill(self) -> None:
        if self.supervisor is not None:
            self._scheduler.end(self.supervisor, -9)

    def _ended(self) -> None:
        """A worker does not outlive its supervisor (PR_SET_PDEATHSIG). The service is started again."""
        self._signals = None
        for process in self.workers.values():
            self._scheduler.end(process, -9)
        self.workers.clear()
        self._scheduler.call(self._scheduler.rng.uniform(0.1, 1.0), self._start_again)

    def _start_again(self) -> None:
        if self.away:
            self._scheduler.call(0.3, self._start_again)
        elif self.supervisor is None or not self.supervisor.alive:
            self.start()


def worker_process(settings: Settings, host: str, number: int, connection: Any, _supervisor: int) -> None:
    """A worker's entry point, without what concerns a real process: signals, logs and metrics files."""
    with ExitStack() as at_exit:
        channel: WorkerChannel = Channel(connection)
        worker_main._work(settings, host, number, channel, METRICS, at_exit)


class StoreSome(Step):
    """Adds a session for each partition of the poll: a file must be stored before the batch is delivered."""

    name = "store_some"

    def run(self, batch: MessageBatch) -> None:
        if batch.session_batch is None:
            return
        for partition, offset in dict(zip(batch.partitions, batch.offsets, strict=True)).items():
            batch.session_batch.sessions.record(
                DECODED,
                array("q", [partition]),
                array("q", [offset]),
                bytearray(1),
                bytearray(1),
                array("i", [0]),
                array("q", [1]),
                bytes(1),
                bytes(1),
            )


def pipeline(
    settings: Settings,
    *,
    stores: bool,
    manager: SessionBatchManager,
    flusher: FlushThread,
    clock: Clock,
    metrics: Any,
    **_: object,
) -> Pipeline:
    """Build a pipeline with the steps that have a part in the protocol: stands in for `build_pipeline`.

    `stores`: whether its batches need the storage.
    """
    poison = SetPoisonMessagesAside()
    results = HandleResults(settings.dlq_topic, settings.overflow_topic, settings.backfill_topic, clock, metrics)
    some = [StoreSome()] if stores else []
    steps = [poison, RedirectAll(), ObtainBatch(manager), *some, results, FlushBatch(manager, flusher, metrics)]
    return Pipeline(steps, poison, metrics)
