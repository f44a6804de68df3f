"""Supervisor: the supervisor from its first turn to its exit."""

import faulthandler

import structlog

from recording_worker.clock import Clock
from recording_worker.metrics import Metrics
from recording_worker.processes.supervisor.loop import SupervisorLoop
from recording_worker.processes.supervisor.pool import WorkerMain
from recording_worker.processes.supervisor.signals import SecondSignal, StopSignals
from recording_worker.processes.supervisor.status import Status
from recording_worker.settings.model import Settings

log = structlog.get_logger()

_HANGING_SECONDS = 240.0
"""What a turn of the loop may take in addition to a drain: much longer than `/healthz` gives it."""


class Supervisor:
    """The supervisor of one host. `run` is called once."""

    def __init__(self, settings: Settings, clock: Clock, worker_main: WorkerMain, metrics: Metrics) -> None:
        self._settings = settings
        self._signals = StopSignals()
        self._loop = SupervisorLoop(settings, clock, worker_main, metrics, self._signals)

    @property
    def status(self) -> Status:
        """As of the last turn; other threads may read it."""
        return self._loop.status

    def run(self) -> int:
        """Work until a signal; return the exit code. Raises WorkerError if it can't go on."""
        self._signals.listen()
        try:
            while not self._signals.stopping:
                self._arm_watchdog()
                self._loop.turn()
            self._arm_watchdog()
            failures = self._loop.stop()
        except SecondSignal:
            log.warning("second signal: exiting at once; what is not committed is read again")
            self._loop.abandon()
            return 1
        except BaseException:
            self._loop.abandon()
            raise
        finally:
            faulthandler.cancel_dump_traceback_later()
        if failures:
            log.error("stopped, but not cleanly: what is not committed is read again", causes=failures)
            return 1
        log.info("stopped: all that was read is flushed and committed")
        return 0

    def _arm_watchdog(self) -> None:
        """Arm a watchdog: if the loop does not return here in time, dump all stacks to stderr and exit.

        No call that the loop makes may wait so long. If one does, nothing else would notice.
        """
        faulthandler.dump_traceback_later(_HANGING_SECONDS + self._settings.drain_deadline, exit=True)
