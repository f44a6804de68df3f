from recording_worker import _native
from recording_worker.outcome import Reason


def test_reasons_of_the_core_are_the_reasons_of_the_worker() -> None:
    by_the_core = [reason for reason in Reason if reason < Reason.NO_TOKEN_IN_HEADER] + [Reason.SESSION_EVENT_LIMIT]
    assert {reason.name: reason.value for reason in by_the_core} == _native.REASONS
