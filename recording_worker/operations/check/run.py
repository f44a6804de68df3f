"""Runs checks side by side. One that hangs holds up no other, and none takes longer than it may."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from recording_worker.errors import WorkerError
from recording_worker.extras import missing_extras_named
from recording_worker.operations.check.finding import Finding


class Check(NamedTuple):
    """Something to look at."""

    subject: str
    """What it looks at, for people."""
    look: Callable[[], Iterator[Finding]]
    """Yields what it finds, as soon as it knows. May raise WorkerError, which counts as a problem."""


def run_checks(checks: Sequence[Check], seconds: float) -> list[Finding]:
    """Return what all checks find, in their order. A check that has not ended after `seconds` is a problem itself.

    Each runs on a thread of its own, which is left behind if it never ends.
    """
    running = [_Running(check) for check in checks]
    deadline = time.monotonic() + seconds
    return [finding for one in running for finding in one.findings(deadline, seconds)]


class _Running:
    """A check on its thread."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._found: list[Finding] = []
        self._thread = threading.Thread(target=self._run, name=f"check {check.subject}", daemon=True)
        self._thread.start()

    def findings(self, deadline: float, seconds: float) -> list[Finding]:
        """Wait until the deadline (monotonic) and return what was found up to then."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        found = list(self._found)
        if self._thread.is_alive():
            found.append(Finding.problem(self._check.subject, f"{self._check.subject}: no answer within {seconds:g} s"))
        return found

    def _run(self) -> None:
        try:
            with missing_extras_named():
                for finding in self._check.look():
                    self._found.append(finding)
        except WorkerError as error:
            self._found.append(Finding.problem(self._check.subject, error))
        except OSError as error:
            text = f"{self._check.subject}: {error.strerror or error}"
            self._found.append(Finding.problem(self._check.subject, text))
        except Exception as error:  # noqa: BLE001 - a fault of one check must not hide what the others find
            self._found.append(Finding.problem(self._check.subject, f"{self._check.subject}: {error!r}"))
