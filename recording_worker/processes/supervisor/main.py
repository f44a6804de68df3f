"""Supervisor: the supervisor from its first turn to its exit."""

import structlog

from recording_worker.clock import Clock
from recording_worker.metrics import Metrics
from recording_worker.processes.supervisor.loop import SupervisorLoop
from recording_worker.processes.supervisor.pool import WorkerMain
from recording_worker.processes.supervisor.signals import SecondSignal, StopSignals
from recording_worker.processes.supervisor.status import Status
from recording_worker.processes.supervisor.systemd import SystemdNotifier
from recording_worker.processes.supervisor.watchdog import Watchdog
from recording_worker.settings.model import Settings

log = structlog.get_logger()

_HANGING_SECONDS = 240.0
"""What a turn of the loop may take in addition to a drain: much longer than `/healthz` gives it."""
_EXIT_SECONDS = 15.0
"""What all that is left to do may take once the loop has ended, up to the end of the process."""


class Supervisor:
    """The supervisor of one host. `run` is called once."""

    def __init__(
        self, settings: Settings, clock: Clock, worker_main: WorkerMain, metrics: Metrics, systemd: SystemdNotifier
    ) -> None:
        self._settings = settings
        self._signals = StopSignals()
        self._watchdog = Watchdog()
        self._loop = SupervisorLoop(settings, clock, worker_main, metrics, self._signals, systemd)

    @property
    def status(self) -> Status:
        """As of the last turn; other threads may read it."""
        return self._loop.status

    def run(self) -> int:
        """Work until a signal; return the exit code. Raises WorkerError if it can't go on.

        No call that the loop makes may wait for long. If one does, nothing else would notice, so the watchdog ends the
        process. It stays armed when this returns: what the process still does may hang too.
        """
        self._signals.listen()
        turn_seconds = _HANGING_SECONDS + self._settings.drain_deadline
        try:
            self._loop.begin()
            while not self._signals.stopping:
                self._watchdog.arm(turn_seconds)
                self._loop.turn()
            self._watchdog.arm(turn_seconds)
            failures = self._loop.stop()
        except SecondSignal:
            log.warning("second signal: exiting at once; what is not committed is read again")
            self._abandon()
            return 1
        except BaseException:
            self._abandon()
            raise
        self._watchdog.arm(_EXIT_SECONDS)
        if failures:
            log.error("stopped, but not cleanly: what is not committed is read again", causes=failures)
            return 1
        log.info("stopped: all that was read is flushed and committed")
        return 0

    def _abandon(self) -> None:
        self._watchdog.arm(_EXIT_SECONDS)
        self._loop.abandon()
