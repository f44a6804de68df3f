from recording_worker import _native
from recording_worker.outcome import Reason


def test_reasons_of_the_core_are_the_reasons_of_the_worker() -> None:
    ours = {reason.name: reason.value for reason in Reason if reason < Reason.NO_TOKEN_IN_HEADER}
    assert ours == _native.REASONS
