from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.steps.set_culprits_aside import SetCulpritsAside
from tests.builders import batch, message


def test_the_culprits_go_to_the_dlq_and_nothing_else() -> None:
    rows = batch(message(7, 0), message(8, 0), message(7, 1))
    SetCulpritsAside({(0, 7): "SIGSEGV", (1, 8): "SIGABRT"}).run(rows)
    assert list(rows.dispositions) == [Disposition.DLQ, Disposition.OK, Disposition.OK]
    assert list(rows.reasons) == [Reason.WORKER_CRASHED, Reason.NONE, Reason.NONE]
    assert rows.errors == {0: ("set_culprits_aside", "a worker that read this message ended by SIGSEGV")}


def test_a_culprit_that_a_restriction_ended_stays_so() -> None:
    rows = batch(message(7))
    rows.end(0, Disposition.DROP, Reason.EVENT_DROPPED_BY_RESTRICTION, "apply_restrictions")
    SetCulpritsAside({(0, 7): "SIGSEGV"}).run(rows)
    assert rows.dispositions[0] == Disposition.DROP


def test_its_owner_may_change_the_culprits() -> None:
    culprits: dict[tuple[int, int], str] = {}
    step = SetCulpritsAside(culprits)
    culprits[0, 7] = "SIGBUS"
    rows = batch(message(7))
    step.run(rows)
    assert rows.dispositions[0] == Disposition.DLQ
