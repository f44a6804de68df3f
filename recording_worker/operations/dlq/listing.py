"""Listing: what is on the DLQ, counted, and the newest of it; and a letter as JSON."""

import heapq
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from recording_worker.operations.dlq.audit import AuditRecord, State
from recording_worker.operations.dlq.dead_letter import Letter

KINDS = ("reason", "step", "token", "session_id")
"""What letters can be counted by."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A letter in a list: without its value."""

    letter: Letter
    size: int | None
    """Bytes of the value; None where there is none."""
    state: State
    record: AuditRecord | None
    """What was done about it."""

    @classmethod
    def of(cls, letter: Letter, state: State, record: AuditRecord | None) -> "Entry":
        size = None if letter.value is None else len(letter.value)
        return cls(replace(letter, value=None), size, state, record)

    def json(self) -> dict[str, object]:
        """Times in milliseconds since 1970, -1 where there is none."""
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
    """Told of letter after letter; keeps the newest."""

    def __init__(self, limit: int, by: str) -> None:
        """`by`: which of KINDS letters are counted by."""
        self._limit = limit
        self._by = by
        self._newest: list[tuple[int, int, int, Entry]] = []
        self._counts: Counter[str] = Counter()
        self.states: Counter[State] = Counter()
        """Letters by where they stand, also those that are not listed."""

    def add(self, letter: Letter, state: State, record: AuditRecord | None, *, listed: bool) -> None:
        """`listed`: whether it is to be in the list, and not only counted by its state."""
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
        """How many letters there are to list, of which the entries are the newest."""
        return self._counts.total()

    @property
    def counts(self) -> Mapping[str, int]:
        """What they are counted by → letters, most first."""
        return dict(self._counts.most_common())

    @property
    def entries(self) -> list[Entry]:
        """The newest, newest first."""
        return [entry for *_, entry in sorted(self._newest, key=lambda newest: newest[:3], reverse=True)]
