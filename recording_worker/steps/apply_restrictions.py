"""apply_restrictions: drop, redirect to the DLQ, or redirect to overflow what a restriction names."""

from recording_worker.batch import Disposition, MessageBatch
from recording_worker.reasons import Reason
from recording_worker.restrictions.service import Restriction, RestrictionService

_ENDS = {
    Restriction.DROP_EVENT: (Disposition.DROP, Reason.EVENT_DROPPED_BY_RESTRICTION),
    Restriction.REDIRECT_TO_DLQ: (Disposition.DLQ, Reason.REDIRECTED_BY_RESTRICTION),
    Restriction.FORCE_OVERFLOW: (Disposition.REDIRECT, Reason.OVERFLOW_FORCED),
}


class ApplyRestrictions:
    """Reads the header columns. Ends restricted rows: drop before DLQ before overflow. Never blocks.

    Where the worker consumes the overflow topic itself, it never redirects to it again.
    """

    name = "apply_restrictions"

    def __init__(self, restrictions: RestrictionService, *, consumes_overflow: bool) -> None:
        self._restrictions = restrictions
        self._consumes_overflow = consumes_overflow

    def run(self, batch: MessageBatch) -> None:
        restricted = self._restrictions.current()
        if not restricted:
            return
        for row in batch.ok_rows():
            rules = restricted.get(batch.tokens[row] or "")
            if rules is None:
                continue
            restriction = rules.match(
                batch.distinct_id_headers[row],
                batch.session_id_headers[row],
                batch.event_names[row],
                batch.event_uuids[row],
            )
            if restriction is None or (restriction is Restriction.FORCE_OVERFLOW and self._consumes_overflow):
                continue
            disposition, reason = _ENDS[restriction]
            batch.end(row, disposition, reason, self.name, f"a {restriction} restriction of the token matches")
