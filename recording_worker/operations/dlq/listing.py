"""Listing: counts dead letters and keeps the newest. Entry: a dead letter as JSON."""

import heapq
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from recording_worker.operations.dlq.audit import AuditRecord, State
from recording_worker.operations.dlq.dead_letter import DeadLetter

KINDS = ("reason", "step", "token", "session_id")
"""What letters can be counted by: attributes of DeadLetter."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A letter in a list: without its value."""

    letter: DeadLetter
    size: int | None
    """Bytes of the value; None if there is no value."""
    state: State
    record: AuditRecord | None
    """What was done about it; None if nothing was."""

    @classmethod
    def of(cls, letter: DeadLetter, state: State, record: AuditRecord | None) -> "Entry":
        size = None if letter.value is None else len(letter.value)
        return cls(replace(letter, value=None), size, state, record)

    def json(self) -> dict[str, object]:
        """Times in milliseconds since 1970; -1 if there is no time."""
        letter = self.letter
        return {
            "place": str(letter.place),
            "partition": letter.place.partition,
            "offset": letter.place.offset,
            "timestamp_ms": letter.timestamp_ms,
            "state": self.state,
            "reason": letter.reason,
            "step": letter.step,
            "error": letter.error,
            "token": letter.token,
            "session_id": letter.session_id,
            "source": letter.source._asdict() if letter.source is not None else None,
            "size": self.size,
            "handled": asdict(self.record) if self.record is not None else None,
        }


class Listing:
    """Counts the letters that are added, and keeps the newest."""

    def __init__(self, limit: int, by: str) -> None:
        """`limit`: how many to keep. `by`: which of KINDS to count them by."""
        self._limit = limit
        self._by = by
        self._newest: list[tuple[int, int, int, Entry]] = []
        self._counts: Counter[str] = Counter()
        self.states: Counter[State] = Counter()
        """State → letters, also those that are not listed."""

    def add(self, letter: DeadLetter, state: State, record: AuditRecord | None, *, listed: bool) -> None:
        """`listed`: whether the letter belongs in the list. All letters are counted by their state."""
        self.states[state] += 1
        if not listed:
            return
        self._counts[getattr(letter, self._by)] += 1
        newest = (letter.timestamp_ms, *letter.place, Entry.of(letter, state, record))
        if len(self._newest) < self._limit:
            heapq.heappush(self._newest, newest)
        else:
            heapq.heappushpop(self._newest, newest)

    @property
    def listed(self) -> int:
        """How many letters belong in the list; the entries are the newest of them."""
        return self._counts.total()

    @property
    def counts(self) -> Mapping[str, int]:
        """Value of what they are counted by → letters, the most frequent first."""
        return dict(self._counts.most_common())

    @property
    def entries(self) -> list[Entry]:
        """The newest letters, newest first."""
        return [entry for *_, entry in sorted(self._newest, key=lambda newest: newest[:3], reverse=True)]
