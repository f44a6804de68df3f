"""Interruptions: how a signal ends a command that sends records. `cli.signals.Interruptible` is one way."""

from contextlib import AbstractContextManager
from typing import Protocol


class Interruptions(Protocol):
    """How a signal ends a run: between two transactions, never inside one."""

    def deferred(self) -> AbstractContextManager[None]:
        """Let what runs inside finish before a signal ends the run."""

    def check(self) -> None:
        """End the run if a signal waits. Called while the broker does not answer."""
