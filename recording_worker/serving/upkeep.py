"""Upkeep: what goes on in the background, in threads, and whether it works."""

import threading
from collections.abc import Callable, Sequence

import structlog

from recording_worker.backoff import Backoff
from recording_worker.clock import Clock
from recording_worker.errors import WorkerError

log = structlog.get_logger()

_BACKOFF = Backoff(first=1.0, longest=30.0)


class Task:
    """Work that is done again and again, and whether it works."""

    def __init__(self, name: str, work: Callable[["Task"], None]) -> None:
        """`work` is called again whenever it returns. It calls `worked`, and returns soon once `closing` is set.

        It raises WorkerError if it can't be done.
        """
        self.name = name
        self.work = work
        self.closing = threading.Event()
        self.is_done_once = False
        """Whether it has done all its work once. Before that, nothing is served."""
        self.failing_since: float | None = None
        """Monotonic seconds."""
        self.problem = ""

    def worked(self) -> None:
        """Note that all its work is done, as of now."""
        self.failing_since, self.is_done_once = None, True


class Upkeep:
    """Runs tasks, each in a thread."""

    def __init__(self, tasks: Sequence[Task], not_ready_after: float, clock: Clock) -> None:
        """`not_ready_after`: seconds that a task may fail once it has worked."""
        self._tasks = tasks
        self._not_ready_after = not_ready_after
        self._clock = clock

    def start(self) -> None:
        for task in self._tasks:
            threading.Thread(target=self._run, args=(task,), name=task.name, daemon=True).start()

    def _run(self, task: Task) -> None:
        attempt = 0
        while not task.closing.is_set():
            try:
                task.work(task)
                attempt = 0
            except Exception as error:
                if not isinstance(error, WorkerError):
                    log.exception("upkeep failed by a fault", task=task.name)
                else:
                    log.warning("upkeep failed", task=task.name, error=str(error))
                task.problem = str(error)
                if task.failing_since is None:
                    task.failing_since = self._clock.monotonic()
                attempt += 1
                task.closing.wait(_BACKOFF.pause(attempt))

    def close(self) -> None:
        """Stop. Does not wait for reads that are on their way."""
        for task in self._tasks:
            task.closing.set()

    def reasons(self) -> list[str]:
        """Return why nothing should be served now; empty if all is well."""
        reasons = []
        for task in self._tasks:
            since = task.failing_since
            if since is not None and (
                not task.is_done_once or self._clock.monotonic() - since >= self._not_ready_after
            ):
                reasons.append(f"{task.name} fails: {task.problem}")
            elif not task.is_done_once:
                reasons.append(f"{task.name} for the first time")
        return reasons

    @property
    def can_serve(self) -> bool:
        """Whether each task has done all its work at some moment since the start."""
        return all(task.is_done_once for task in self._tasks)
