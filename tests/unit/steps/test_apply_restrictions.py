import pytest

from recording_worker.lookups.restrictions.service import Restriction, Rule
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.steps.apply_restrictions import ApplyRestrictions
from recording_worker.pipeline.steps.parse_headers import ParseHeaders
from tests.builders import FixedRestrictions, batch, headers, message


def ending(*rules: Rule, consumes_overflow: bool = False, **given: str | None) -> tuple[int, int]:
    rows = batch(message(headers=headers(**given)))
    ParseHeaders().run(rows)
    ApplyRestrictions(FixedRestrictions(*rules), consumes_overflow=consumes_overflow).run(rows)
    return rows.dispositions[0], rows.reasons[0]


DROP = Rule(Restriction.DROP_EVENT, "token-1")
TO_DLQ = Rule(Restriction.REDIRECT_TO_DLQ, "token-1")
OVERFLOW = Rule(Restriction.FORCE_OVERFLOW, "token-1")
OK = (Disposition.OK, Reason.NONE)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([], OK),
        ([Rule(Restriction.DROP_EVENT, "token-2")], OK),
        ([DROP], (Disposition.DROP, Reason.EVENT_DROPPED_BY_RESTRICTION)),
        ([TO_DLQ], (Disposition.DLQ, Reason.REDIRECTED_BY_RESTRICTION)),
        ([OVERFLOW], (Disposition.REDIRECT, Reason.OVERFLOW_FORCED)),
        ([OVERFLOW, TO_DLQ, DROP], (Disposition.DROP, Reason.EVENT_DROPPED_BY_RESTRICTION)),
        ([OVERFLOW, TO_DLQ], (Disposition.DLQ, Reason.REDIRECTED_BY_RESTRICTION)),
    ],
)
def test_drop_before_dlq_before_overflow(rules: list[Rule], expected: tuple[int, int]) -> None:
    assert ending(*rules) == expected


def test_kinds_combine_with_and_their_values_with_or() -> None:
    rule = Rule(
        Restriction.DROP_EVENT,
        "token-1",
        distinct_ids=frozenset({"user-1", "user-2"}),
        session_ids=frozenset({"session-1"}),
        event_names=frozenset({"$snapshot_items"}),
        event_uuids=frozenset({"uuid-1"}),
    )
    dropped = (Disposition.DROP, Reason.EVENT_DROPPED_BY_RESTRICTION)
    assert ending(rule) == dropped
    assert ending(rule, distinct_id="user-2") == dropped
    assert ending(rule, distinct_id="user-3") == OK
    assert ending(rule, session_id="session-2") == OK
    assert ending(rule, session_id=None) == OK
    assert ending(rule, event="other") == OK
    assert ending(rule, uuid="uuid-2") == OK


def test_a_worker_on_the_overflow_topic_does_not_redirect_again() -> None:
    assert ending(OVERFLOW, consumes_overflow=True) == OK
    assert ending(DROP, consumes_overflow=True)[0] == Disposition.DROP


def test_a_message_that_has_ended_does_not_shield_the_next() -> None:
    rows = batch(*(message(offset, headers=headers()) for offset in range(3)))
    ParseHeaders().run(rows)
    rows.end(0, Disposition.DLQ, Reason.NO_TOKEN_IN_HEADER, "a_step")
    ApplyRestrictions(FixedRestrictions(DROP), consumes_overflow=False).run(rows)
    assert list(rows.dispositions) == [Disposition.DLQ, Disposition.DROP, Disposition.DROP]
