"""Reads what a page wrote to its console, as the player shows it: each argument by itself, and where it was written.

Shapes: LogData in rrweb-io/rrweb, packages/plugins/rrweb-plugin-console-record/src/index.ts. An argument is JSON, made
by `stringify` in the same folder; a frame of the trace is a line of text.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from recording_worker.formats.rrweb import Event, console_line, data_of

MAX_ARGUMENT = 100_000
"""Characters of an argument; the rest is cut."""
_MAX_ARGUMENTS = 100
_MAX_FRAMES = 50
_MAX_FRAME = 1_000
_METHODS = frozenset(
    {
        *("assert", "clear", "count", "countReset", "group", "groupCollapsed", "groupEnd"),
        *("table", "time", "timeEnd", "timeLog"),
    }
)
"""The methods of `console` that the page shows in a way of their own."""


@dataclass(slots=True)
class ConsoleMessage:
    at: float
    level: str
    """info, warn or error."""
    text: str
    """The text of the topic `log_entries`. The page shows it if there are no arguments."""
    window: int
    """The number of the window, from 0."""
    method: str = ""
    """One of _METHODS; empty for all others."""
    arguments: list[str] = field(default_factory=list)
    """In JSON, unless they were cut."""
    trace: list[str] = field(default_factory=list)
    """Where it was written, the innermost call first."""

    @property
    def length(self) -> int:
        """Characters of its arguments and its trace."""
        return sum(map(len, self.arguments)) + sum(map(len, self.trace))

    def without_content(self) -> None:
        """Drop the arguments and the trace."""
        self.arguments, self.trace = [], []

    def as_json(self) -> dict[str, Any]:
        shown = asdict(self)
        if not self.method:
            del shown["method"]
        if self.arguments:
            del shown["text"]  # the page makes its own of the arguments
        return shown


def console_message(event: Event, at: float, window: int) -> ConsoleMessage | None:
    """Return what a console event says; None for all other events."""
    said = console_line(event)
    if said is None:
        return None
    payload = data_of(event).get("payload")
    given = payload if isinstance(payload, dict) else {}
    arguments = _texts(given.get("payload"), _MAX_ARGUMENTS, MAX_ARGUMENT)
    method = given.get("level")
    return ConsoleMessage(
        at,
        said.level,
        said.message,
        window,
        method if isinstance(method, str) and method in _METHODS else "",
        arguments,
        _texts(given.get("trace"), _MAX_FRAMES, _MAX_FRAME),
    )


def _texts(given: object, most: int, length: int) -> list[str]:
    """Return the first texts of a list, each cut, with U+FFFD for each unpaired surrogate."""
    texts = [text for text in given if isinstance(text, str)] if isinstance(given, list) else []
    return [text[:length].encode("utf-16", "surrogatepass").decode("utf-16", "replace") for text in texts[:most]]
