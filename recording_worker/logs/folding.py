"""Folding: a line that is like one before is counted instead of written, and the count is written soon."""

import threading
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field

import structlog
from structlog.typing import EventDict, WrappedLogger

FOLD_SECONDS = 10.0
"""For so long after a line was written, lines like it are counted."""
_MAX_LINES = 200
"""Lines that are remembered. If more different ones come, the oldest ones are forgotten and their counts written."""
_NO_MARKS = frozenset({"timestamp", "batch", "offset", "offsets", "messages"})
"""Fields in which lines that are alike may differ."""
FOLD_BY = "fold_by"
"""A field that says what a line is like, instead of its other fields. It is not written."""

_SUMMED = ("messages",)
"""Fields that are added up over the lines that are counted."""

Emit = Callable[[EventDict], None]


@dataclass(slots=True)
class _Line:
    """A line that was written."""

    until: float
    """Monotonic seconds; up to then, lines like it are counted."""
    last: EventDict
    """The last of them."""
    repeated: int = 0
    sums: dict[str, int] = field(default_factory=dict)

    def count(self, event: EventDict) -> None:
        """Count a line instead of writing it."""
        self.last, self.repeated = event, self.repeated + 1
        for name in _SUMMED:
            if name in event:
                self.sums[name] = self.sums.get(name, 0) + event[name]


class Folding:
    """A processor of structlog. Two lines are alike if their level, event and fields are equal.

    Fractions, times, batches and offsets don't count. The first line is written at once. If others follow within
    FOLD_SECONDS, the last of them is written once that time is over or the process ends. Its field `repeated` counts
    them, and its field `messages` holds the sum of theirs. So no line is lost: it is written, or counted in the one
    that is, unless the process is killed before. Lines of level debug and lines with a stack are not folded.
    """

    def __init__(
        self, emit: Emit, *, seconds: float = FOLD_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`emit` writes a line that was counted; it may be called on any thread."""
        self._emit = emit
        self._seconds = seconds
        self._clock = clock
        self._lines: dict[Hashable, _Line] = {}
        """By what makes lines alike; the oldest first."""
        self._lock = threading.RLock()
        self._timer: threading.Timer | None = None

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        mark = _mark_of(event)
        if mark is None:
            return event
        with self._lock:
            now = self._clock()
            self._write_due(now)
            line = self._lines.get(mark)
            if line is not None:
                line.count(event)
                self._wake_at(line.until - now)
                raise structlog.DropEvent
            if len(self._lines) >= _MAX_LINES:
                self._write(self._lines.pop(next(iter(self._lines))))
            self._lines[mark] = _Line(now + self._seconds, dict(event))
        return event

    def flush(self) -> None:
        """Write all counts now, as at the end of a process."""
        with self._lock:
            lines, self._lines = list(self._lines.values()), {}
            for line in lines:
                self._write(line)

    def _wake_at(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = threading.Timer(max(0.0, seconds), self._wake)
            self._timer.daemon = True
            try:
                self._timer.start()
            except RuntimeError:  # the system grants no thread: the next line writes what is due
                self._timer = None

    def _wake(self) -> None:
        with self._lock:
            self._timer = None
            now = self._clock()
            self._write_due(now)
            waiting = [line.until for line in self._lines.values() if line.repeated]
            if waiting:
                self._wake_at(min(waiting) - now)

    def _write_due(self, now: float) -> None:
        """Write the counts of lines whose time is over. A line that was not repeated is forgotten, others begin again.

        Lines stand in the order of that time.
        """
        for mark, line in list(self._lines.items()):
            if line.until > now:
                break
            del self._lines[mark]
            if line.repeated:
                self._write(line)
                self._lines[mark] = _Line(now + self._seconds, line.last)

    def _write(self, line: _Line) -> None:
        if line.repeated:
            self._emit({**line.last, **line.sums, "repeated": line.repeated})


def _mark_of(event: EventDict) -> Hashable | None:
    """Return what lines like this one have in common; None if it must not be folded. Takes FOLD_BY out of it."""
    fold_by = event.pop(FOLD_BY, None)
    if event.get("level") == "debug" or event.get("exc_info") or event.get("stack_info"):
        return None
    if fold_by is not None:
        return (event.get("level"), event.get("event"), str(fold_by))
    return (event.get("level"), *_marks(event))


def _marks(event: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(
        f"{name}={value!r}" for name, value in event.items() if name not in _NO_MARKS and not isinstance(value, float)
    )
