"""How operations show their progress: `cli.output.progress_bar` is one way."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

ProgressBar = Callable[[str, float], AbstractContextManager[Callable[[float, int], None]]]
"""Begins a progress bar with a title and a total. Inside it, call what it yields with the amount and the number of
messages done since the last call."""


def no_progress(_title: str, _total: float) -> AbstractContextManager[Callable[[float, int], None]]:
    """A progress bar that shows nothing, for what takes no time."""
    return nullcontext(lambda _done, _messages: None)
