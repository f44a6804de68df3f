"""MessageBatch: one poll's messages as columns, and what the steps decide about each row.

Rows are never removed or reordered. A step sets a row's disposition and reason;
later steps skip rows that are not ok. A bad message is data, not an exception.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recording_worker.messages import Headers, Message, OutputRecord
from recording_worker.outcome import Disposition, Reason
from recording_worker.recording.session_batch import Advance, SessionBatchRecorder

if TYPE_CHECKING:
    from recording_worker._native import DecodedBatch
    from recording_worker.lookups.teams.service import Team


@dataclass(slots=True)
class IngestionWarning:
    """What a team should know about a message that it sent."""

    row: int
    type: str
    details: dict[str, object]
    debounce_key: str = ""


class MessageBatch:
    """One poll's messages: the input columns, and the columns the steps fill.

    All columns have one entry a row. `dispositions` and `reasons` hold the codes of
    `Disposition` and `Reason`, one byte a row; the native core writes into them directly.
    """

    __slots__ = (
        "content_encodings",
        "decoded",
        "dispositions",
        "distinct_id_headers",
        "errors",
        "event_names",
        "event_uuids",
        "halts",
        "headers",
        "keys",
        "lib_versions",
        "offsets",
        "partitions",
        "reasons",
        "records",
        "rest",
        "retentions",
        "session_batch",
        "session_id_headers",
        "teams",
        "timestamps_ms",
        "tokens",
        "topic",
        "values",
        "warnings",
    )

    def __init__(self, topic: str, messages: Sequence[Message]) -> None:
        rows = len(messages)
        self.topic = topic
        # what came in
        self.partitions: list[int] = [m.partition for m in messages]
        self.offsets: list[int] = [m.offset for m in messages]
        self.timestamps_ms: list[int] = [m.timestamp_ms for m in messages]
        self.keys: list[bytes | None] = [m.key for m in messages]
        self.values: list[bytes | None] = [m.value for m in messages]
        self.headers: list[Headers] = [m.headers for m in messages]
        # what was decided
        self.dispositions = bytearray(rows)
        self.reasons = bytearray(rows)
        self.errors: dict[int, tuple[str, str]] = {}
        """Row → (step, error text), for rows that did not end as ok. The text is for people."""
        self.halts: dict[int, str] = {}
        """Partition → why it has halted. Its rows don't count: see `counts`."""
        # parse_headers: str, or None if the message has no such header
        self.tokens: list[str | None] = [None] * rows
        self.session_id_headers: list[str | None] = [None] * rows
        self.distinct_id_headers: list[str | None] = [None] * rows
        self.event_names: list[str | None] = [None] * rows
        self.event_uuids: list[str | None] = [None] * rows
        self.lib_versions: list[str | None] = [None] * rows
        self.content_encodings: list[str | None] = [None] * rows
        # parse_session_recording_message
        self.decoded: DecodedBatch | None = None
        self.rest: list[Message] = []
        """Messages that were cut off. They come first in the next batch."""
        # resolve_team
        self.teams: list[Team | None] = [None] * rows
        self.retentions: list[str | None] = [None] * rows
        """Retention periods, which are keys of RETENTION_DAYS: the team's, unless pin_retention finds another."""
        # obtain_batch
        self.session_batch: SessionBatchRecorder | None = None
        # what leaves with the offsets of this batch: (partition, record)
        self.warnings: list[IngestionWarning] = []
        self.records: list[tuple[int, OutputRecord]] = []

    def __len__(self) -> int:
        return len(self.offsets)

    def ok_rows(self) -> Iterator[int]:
        """Give the rows that no step has ended yet, in order."""
        for row, disposition in enumerate(self.dispositions):
            if not disposition:
                yield row

    def end(self, row: int, disposition: Disposition, reason: Reason, step: str, error: str = "") -> None:
        """End a row with its one disposition. Later steps skip it."""
        self.dispositions[row] = disposition
        self.reasons[row] = reason
        self.errors[row] = (step, error)

    def halt(self, partition: int, why: str) -> None:
        """Hold back all rows of a partition, whatever was decided about them. None of them counts."""
        self.halts[partition] = why
        for row, number in enumerate(self.partitions):
            if number == partition:
                self.dispositions[row] = Disposition.HELD
                self.reasons[row] = Reason.NONE

    def ranges(self) -> dict[int, tuple[int, int]]:
        """Return partition → its first offset, and the offset after its last one."""
        # the last entry of a partition wins, and rows are in order
        first = dict(zip(reversed(self.partitions), reversed(self.offsets), strict=True))
        last = dict(zip(self.partitions, self.offsets, strict=True))
        return {partition: (first[partition], offset + 1) for partition, offset in last.items()}

    def counts(self, row: int) -> bool:
        """Return whether the row counts. A row of a partition that has halted does not: it will be read again."""
        return self.dispositions[row] != Disposition.HELD

    def outcomes(self) -> Counter[tuple[int, int, int]]:
        """Return (partition, disposition, reason) → number of rows, for the rows that count."""
        ended = Counter(zip(self.partitions, self.dispositions, self.reasons, strict=True))
        return Counter({outcome: rows for outcome, rows in ended.items() if outcome[1] != Disposition.HELD})

    def message(self, row: int) -> Message:
        """Return the row as the message that it was."""
        return Message(
            self.partitions[row],
            self.offsets[row],
            self.timestamps_ms[row],
            self.keys[row],
            self.values[row],
            self.headers[row],
        )

    def advances(self) -> dict[int, Advance]:
        """Return how far each partition moves. Rows that don't count move none."""
        ranges = self.ranges()
        advances: dict[int, Advance] = {}
        for (number, disposition, _), rows in self.outcomes().items():
            if number not in advances:
                advances[number] = Advance(*ranges[number], Counter())
            advances[number].ended[disposition] += rows
        return advances

    def cut(self, rows: int) -> None:
        """Keep the first `rows` rows, and the others as `rest`, undecided.

        For the one step that has to limit its memory: the size of a poll is not known before it is decompressed.
        """
        self.rest = [self.message(row) for row in range(rows, len(self))]
        for name in self.__slots__:
            column = getattr(self, name)
            if isinstance(column, (list, bytearray)) and name not in ("rest", "warnings", "records"):
                del column[rows:]
        for row in [row for row in self.errors if row >= rows]:
            del self.errors[row]
