"""DependencyReporter: tells the supervisor what a worker knows of its dependencies."""

import threading

from recording_worker.dependencies import Dependencies, DependencyState
from recording_worker.processes.control import DependencyReport, WorkerChannel

_REPORT_SECONDS = 1.0
"""How often what has changed is reported."""
_LOOK_SECONDS = 0.5
"""How often is looked whether one has begun to fail, or works again: that is reported at once."""


class DependencyReporter:
    """Reports what changes, in a thread of its own: the loop may wait for what fails, or not have begun yet."""

    def __init__(self, channel: WorkerChannel, dependencies: Dependencies) -> None:
        self._channel = channel
        self._dependencies = dependencies
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="report dependencies", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Report a last time. Raises nothing if the supervisor is gone."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        reported: tuple[DependencyState, ...] = ()
        quiet = 0.0
        ends = False
        while not ends:
            ends = self._closing.wait(_LOOK_SECONDS)
            quiet += _LOOK_SECONDS
            states = self._dependencies.states()
            is_time = ends or quiet >= _REPORT_SECONDS or _failing(states) != _failing(reported)
            if is_time and states != reported:
                try:
                    self._channel.send(DependencyReport(states))
                except OSError:  # the supervisor is gone, which the loop notices too
                    return
                reported, quiet = states, 0.0


def _failing(states: tuple[DependencyState, ...]) -> list[str]:
    return [state.name for state in states if state.failing_since is not None]
