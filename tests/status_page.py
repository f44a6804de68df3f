"""Made-up states of a host, as the status page shows them."""

from typing import Any

from recording_worker.dependencies import KAFKA, SESSIONS_REDIS, STORAGE, TEAMS_POSTGRES
from recording_worker.metrics import Metrics
from recording_worker.processes.supervisor.board import DependencyStatus
from recording_worker.processes.supervisor.document import StatusDocument
from recording_worker.processes.supervisor.history import History, Sample
from recording_worker.processes.supervisor.ops_server import OpsPages
from recording_worker.processes.supervisor.slot import LastFlush, WorkerState
from recording_worker.processes.supervisor.status import PartitionStatus, RecentError, Status, WorkerStatus
from recording_worker.processes.supervisor.usage import Usage
from recording_worker.settings.model import Settings
from tests.builders import FakeClock

MIB = 1024 * 1024


class Host:
    """A host whose state a test sets."""

    def __init__(self, status: Status | None = None, **settings: Any) -> None:
        self.clock = FakeClock()
        self.status = Status(self.clock.monotonic()) if status is None else status
        self.settings = Settings(workers=2, storage="s3://recordings", **settings)
        registry = Metrics().served()
        self.history = History(registry, self.clock)
        document = StatusDocument(self.settings, self.history, self.clock)
        self.pages = OpsPages(lambda: self.status, self.clock, registry, document)

    @property
    def now(self) -> float:
        return self.clock.now_ms() / 1000

    def get(self, path: str) -> tuple[int, str]:
        """Return the code and the text of a page."""
        answer = self.pages.by_path[path].answer()
        return answer.status, answer.body.decode()

    def works(self) -> None:
        """Let 15 minutes be over in which all went well, and tell what is known now."""
        self._pass(lag=lambda number: 3 + number % 4, storage_away=False)
        self.status = Status(
            at=self.clock.monotonic(),
            workers=self._workers(WorkerState.RUNNING),
            partitions=tuple(self._partition(number, lag=40 + number) for number in range(6)),
            dependencies=(
                DependencyStatus(KAFKA, 0.0, "", (), self.now - 0.4, 0.004),
                DependencyStatus(STORAGE, 0.0, "", (), self.now - 1.2, 0.062),
                DependencyStatus(TEAMS_POSTGRES, 0.0, "", (), self.now - 140, 0.031),
                DependencyStatus(SESSIONS_REDIS, 0.0, "", (), self.now - 0.1, 0.001),
            ),
            brokers_known=3,
            brokers_connected=2,
            committed_at=self.now - 3,
        )

    def fails(self) -> None:
        """The same, but storage has been away for two minutes, and worker 1 waits for its next start."""
        self._pass(lag=lambda number: max(3, 5 * (number - 156)), storage_away=True)
        refused = "can't reach the server (Could not connect to the endpoint URL: http://s3.internal:9000/recordings)"
        self.status = Status(
            at=self.clock.monotonic(),
            reasons=("workers not up: [1]", f"Storage: failing for 124 s: {refused}"),
            workers=self._workers(WorkerState.WAITING, f"can't write to s3://recordings: {refused}"),
            partitions=tuple(self._partition(number, lag=31_000 + 977 * number) for number in range(6)),
            dependencies=(
                DependencyStatus(KAFKA, 0.0, "", (), self.now - 0.4, 0.004),
                DependencyStatus(STORAGE, 124.0, refused, (0, 1), self.now - 124, 0.062),
                DependencyStatus(TEAMS_POSTGRES, 0.0, "", (), self.now - 140, 0.031),
                DependencyStatus(SESSIONS_REDIS, 2.5, "Timeout connecting to server", (0,), self.now - 3, 0.001),
            ),
            brokers_known=3,
            brokers_connected=2,
            committed_at=self.now - 127,
            errors=(
                RecentError(self.now - 122, f"Storage fails: {refused}"),
                RecentError(self.now - 8, f"worker 1 ended with exit code 1: can't write s3://recordings/a: {refused}"),
            ),
        )

    def _pass(self, lag: Any, *, storage_away: bool) -> None:
        totals = dict.fromkeys(("messages", "bytes", "written_bytes", "events", "flush_seconds", "flushes"), 0.0)
        dlq = {"invalid_json": 0.0, "no_message_body": 2.0}
        for number in range(181):
            self.clock.ms += 5_000
            away = storage_away and number > 156
            read = 9_000.0 + 900 * ((number * 7) % 5) if not away or number < 165 else 0.0
            stored = 0.0 if away else read
            totals["messages"] += read
            totals["bytes"] += read * 6_000
            totals["events"] += read * 9
            totals["written_bytes"] += stored * 900
            totals["flush_seconds"] += 10.0 if away else 1.3
            totals["flushes"] += 0 if away else 1
            dlq["invalid_json"] += number == 90
            used = (250 + (number * 13) % 60 + (150 if away else 0)) * MIB
            cpu = number * 5 * (0.1 if away else 0.55)
            usage = {worker: (4700 + worker, Usage(used, cpu)) for worker in (0, 1)}
            self.history._samples.append(
                Sample(
                    at=self.clock.monotonic(),
                    lag_messages=100 * lag(number),
                    lag_seconds=float(lag(number)),
                    totals=dict(totals),
                    dlq=dict(dlq),
                    stages={
                        "gather": 0.1 * number,
                        "compress": 0.4 * number,
                        "store": 1.2 * number,
                        "deliver": 0.3 * number,
                    },
                    usage=usage,
                )
            )

    def _workers(self, state: WorkerState, trouble: str = "") -> tuple[WorkerStatus, ...]:
        flush = LastFlush(self.now - 3, 412, 8_400_000)
        return (
            WorkerStatus(0, 4700, WorkerState.RUNNING, 0, flush, self.now),
            WorkerStatus(1, None if trouble else 4701, state, 3 if trouble else 0, flush, self.now, last_error=trouble),
        )

    def _partition(self, number: int, lag: int) -> PartitionStatus:
        since = self.now - (2 if lag < 1000 else 124)
        return PartitionStatus(
            number, number % 2, 1_000_000, 1_000_000 + lag - 1, 1_000_000 + lag, "", number == 3, int(since), since
        )
