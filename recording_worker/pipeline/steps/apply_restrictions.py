"""apply_restrictions: drops messages that a restriction names, or sends them to the DLQ or to overflow."""

from typing import NamedTuple

from recording_worker.lookups.restrictions.service import Restriction, RestrictionService
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.step import Step


class _End(NamedTuple):
    disposition: Disposition
    reason: Reason
    text: str


_ENDS: dict[Restriction | None, _End] = {
    Restriction.DROP_EVENT: _End(
        Disposition.DROP, Reason.EVENT_DROPPED_BY_RESTRICTION, "a drop_event restriction of the token matches"
    ),
    Restriction.REDIRECT_TO_DLQ: _End(
        Disposition.DLQ, Reason.REDIRECTED_BY_RESTRICTION, "a redirect_to_dlq restriction of the token matches"
    ),
    Restriction.FORCE_OVERFLOW: _End(
        Disposition.REDIRECT, Reason.OVERFLOW_FORCED, "a force_overflow restriction of the token matches"
    ),
}


class ApplyRestrictions(Step):
    """Reads the header columns. Ends restricted rows: drop before DLQ before overflow. Never blocks.

    Asks the rules once for all messages of a batch that have the same values in what the rules ask about.
    A worker that consumes the overflow topic never sends a message there.
    """

    name = "apply_restrictions"

    def __init__(self, restrictions: RestrictionService, *, consumes_overflow: bool) -> None:
        self._restrictions = restrictions
        self._ends = dict(_ENDS)
        if consumes_overflow:
            del self._ends[Restriction.FORCE_OVERFLOW]

    def run(self, batch: MessageBatch) -> None:
        restricted = self._restrictions.current()
        if not restricted:
            return
        rules_of = [restricted.get(token or "") for token in batch.tokens.distinct]
        if not any(rules_of):
            return
        columns = (batch.distinct_id_headers, batch.session_id_headers, batch.event_names, batch.event_uuids)
        ends: dict[tuple[str | int | None, ...], _End | None] = {}
        for row, code in enumerate(batch.tokens.codes):
            rules = rules_of[code]
            if rules is None or batch.dispositions[row]:
                continue
            key = (code, *(columns[kind][row] for kind in rules.kinds))
            if key not in ends:
                headers = (columns[0][row], columns[1][row], columns[2][row], columns[3][row])
                ends[key] = self._ends.get(rules.match(headers))
            if end := ends[key]:
                batch.end(row, end.disposition, end.reason, self.name, end.text)
