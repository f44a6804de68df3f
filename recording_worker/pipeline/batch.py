"""MessageBatch: one poll's messages as columns, and what the steps decide about each row.

Rows are never removed or reordered. A step sets a row's disposition and reason;
later steps skip rows that are not ok. A bad message is data, not an exception.
"""

from array import array
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from recording_worker._native import (
    DecodedBatch,
    TextColumn,
    count_outcomes,
    count_seconds,
    end_rows,
    group_rows,
    offset_ranges,
)
from recording_worker.formats.session_keys import Session
from recording_worker.lookups.teams.service import Team
from recording_worker.messages import NO_MESSAGES, Message, MessageColumns, OutputRecord
from recording_worker.outcome import Disposition, Reason
from recording_worker.recording.session_batch import Advance, SessionBatchRecorder, Since

NO_PERIOD = 255
"""The code of a row whose retention period is not known."""


@dataclass(slots=True)
class IngestionWarning:
    """What a team should know about a message that it sent."""

    row: int
    type: str
    details: dict[str, object]
    debounce_key: str = ""


class Ending(NamedTuple):
    """How and why a step ends rows."""

    disposition: Disposition
    reason: Reason
    step: str
    error: str = ""
    """For people."""


class MessageBatch:
    """One poll's messages: the input columns, and the columns the steps fill.

    All columns have one entry a row. `dispositions` and `reasons` hold the codes of
    `Disposition` and `Reason`, one byte a row; the native core writes into them directly.

    A poll has thousands of rows, and its time is for the native core. So steps decide by distinct values
    (`TextColumn.codes`), and look at a single row only if there is something to say about it.
    """

    def __init__(self, topic: str, messages: MessageColumns, topic_id: str = "") -> None:
        rows = len(messages)
        self.topic = topic
        self.topic_id = topic_id
        """The id that Kafka gave the topic; empty if it is not known, or if there is no Kafka."""
        # what came in
        self.messages = messages
        # what was decided
        self.dispositions = bytearray(rows)
        self.reasons = bytearray(rows)
        self._causes = array("I", bytes(4 * rows))
        """Row → the code of why it ended."""
        self._explanations = [("", "")]
        """(step, error text), by code. The text is for people."""
        self.halts: dict[int, str] = {}
        """Partition → why it has halted. Its rows don't count: see `counts`."""
        # parse_headers; a text is None if the message has no such header
        nothing = TextColumn([None] * rows)
        self.tokens = nothing
        self.session_id_headers = nothing
        self.distinct_id_headers = nothing
        self.event_names = nothing
        self.event_uuids = nothing
        self.lib_versions = nothing
        self.content_encodings = nothing
        self.captured_ms = nothing.times()
        """When the capture service took each message, ms since 1970; -1 if it does not say."""
        # parse_session_recording_message
        self.decoded: DecodedBatch | None = None
        self.rest = NO_MESSAGES
        """Messages that were cut off. They come first in the next batch."""
        self.large_waits = False
        """Whether the first of them is a large message, which waits until no session batch is held."""
        # resolve_team
        self.teams: list[Team | None] = []
        """The team of each distinct token. See `team`."""
        self.retentions = bytearray([NO_PERIOD]) * rows
        """Codes of retention periods, places in RETENTIONS: the team's, unless pin_retention finds another."""
        # resolve_session_key
        self.session_keys: dict[Session, bytes | None] = {}
        """Session → its key; None if it is stored in the clear. Empty without encryption."""
        self.waits = ""
        """Why the batch has to wait before a step. Empty if it does not."""
        self.next_step = 0
        """The step that it waits for, counted from 0."""
        # obtain_batch
        self.session_batch: SessionBatchRecorder | None = None
        # what leaves with the offsets of this batch: (partition, record)
        self.warnings: list[IngestionWarning] = []
        self.warned: Counter[tuple[int, str]] = Counter()
        """(partition, type) → warnings among the records."""
        self.records: list[tuple[int, OutputRecord]] = []

    def __len__(self) -> int:
        return len(self.dispositions)

    @property
    def partitions(self) -> "array[int]":
        return self.messages.partitions

    @property
    def offsets(self) -> "array[int]":
        return self.messages.offsets

    @property
    def timestamps_ms(self) -> "array[int]":
        return self.messages.timestamps_ms

    def ok_rows(self) -> Iterator[int]:
        """Give the rows that no step has ended yet, in order."""
        return self.rows_that_are(Disposition.OK)

    def rows_that_are(self, disposition: Disposition) -> Iterator[int]:
        """Give the rows with a disposition, in order."""
        row = self.dispositions.find(disposition)
        while row >= 0:
            yield row
            row = self.dispositions.find(disposition, row + 1)

    def end(self, row: int, disposition: Disposition, reason: Reason, step: str, error: str = "") -> None:
        """End a row with its one disposition. Later steps skip it."""
        self.dispositions[row] = disposition
        self.reasons[row] = reason
        self._causes[row] = self._cause(step, error)

    def end_all(self, codes: "array[int]", endings: Mapping[int, Ending]) -> None:
        """End the rows that are ok and whose code has an ending.

        `codes` has one entry per row: the codes of a `TextColumn` or of a group.
        """
        if endings:
            coded = {
                code: (ending.disposition, ending.reason, self._cause(ending.step, ending.error))
                for code, ending in endings.items()
            }
            end_rows(self.dispositions, self.reasons, self._causes, codes, coded)

    def sessions(self, decoded: DecodedBatch, longest_id: float = inf) -> "SessionRows":
        """Group the rows that are ok by their session. Leave out sessions with longer ids, and without a team."""
        codes, first = group_rows(self.dispositions, self.tokens.codes, decoded.session_ids.codes)
        found: dict[int, Session] = {}
        for group, row in enumerate(first):
            team, session_id = self.team(row), decoded.session_id(row)
            if team is not None and len(session_id) <= longest_id:
                found[group] = (team.id, session_id)
        return SessionRows(codes, first, found)

    def why(self, row: int) -> tuple[str, str]:
        """Return which step has ended a row, and its error text; two empty texts if none has."""
        return self._explanations[self._causes[row]]

    def _cause(self, step: str, error: str) -> int:
        if self._explanations[-1] != (step, error):
            self._explanations.append((step, error))
        return len(self._explanations) - 1

    def halt(self, partition: int, why: str) -> None:
        """Hold back all rows of a partition, whatever was decided about them. None of them counts."""
        self.halts[partition] = why
        self._hold([partition])

    def leave(self, partitions: Collection[int]) -> None:
        """Leave out these partitions, because they are not read any more. None of their rows counts."""
        self._hold(partitions)
        self.rest = self.rest.without(partitions)
        for partition in partitions:
            self.halts.pop(partition, None)

    def _hold(self, partitions: Collection[int]) -> None:
        for row, number in enumerate(self.partitions):
            if number in partitions:
                self.dispositions[row] = Disposition.HELD
                self.reasons[row] = Reason.NONE

    def counts(self, row: int) -> bool:
        """Return whether the row counts. A row of a partition that has halted does not: it will be read again."""
        return self.dispositions[row] != Disposition.HELD

    def team(self, row: int) -> Team | None:
        """Return the team of a row, once it is resolved."""
        return self.teams[self.tokens.codes[row]] if self.teams else None

    def outcomes(self) -> dict[tuple[int, int, int], int]:
        """Return (partition, disposition, reason) → number of rows, for the rows that count."""
        ended = count_outcomes(self.partitions, self.dispositions, self.reasons)
        return {outcome: rows for outcome, rows in ended.items() if outcome[1] != Disposition.HELD}

    def message(self, row: int) -> Message:
        """Return the row as the message that it was."""
        return self.messages.message(row)

    def advances(self) -> dict[int, Advance]:
        """Return how far each partition moves. Rows that don't count move none."""
        ranges = offset_ranges(self.partitions, self.offsets)
        advances: dict[int, Advance] = {}
        for (number, disposition, reason), rows in self.outcomes().items():
            if number not in advances:
                first, end, _ = ranges[number]
                advances[number] = Advance(first, end, Counter(), Counter(), Counter())
            advances[number].ended[disposition, reason] += rows
        for times_ms, since in ((self.captured_ms, Since.CAPTURED), (self.timestamps_ms, Since.RECEIVED)):
            for (number, second), rows in count_seconds(self.partitions, times_ms).items():
                if number in advances:
                    advances[number].seconds[since, second] = rows
        for (number, kind), warnings in self.warned.items():
            advances[number].warned[kind] += warnings
        return advances

    def cut(self, rows: int) -> None:
        """Keep the first `rows` rows, and the others as `rest`, undecided.

        For the one step that has to limit its memory: the size of a poll is not known before it is decompressed.
        """
        self.rest = self.messages[rows:]
        self.messages = self.messages[:rows]
        for column in (self.dispositions, self.reasons, self._causes, self.retentions, self.captured_ms):
            del column[rows:]
        for texts in (
            self.tokens,
            self.session_id_headers,
            self.distinct_id_headers,
            self.event_names,
            self.event_uuids,
            self.lib_versions,
            self.content_encodings,
        ):
            texts.truncate(rows)


class SessionRows(NamedTuple):
    """Rows of a batch by their session. Two groups may be of one session, because a team may have two tokens."""

    codes: "array[int]"
    """The group of each row; -1 if the row had ended."""
    first: list[int]
    """The first row of each group."""
    sessions: dict[int, Session]
    """Group → its session. Groups that were left out have none."""
