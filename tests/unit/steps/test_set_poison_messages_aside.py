from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.steps.set_poison_messages_aside import SetPoisonMessagesAside
from tests.builders import batch, message


def test_poison_messages_go_to_the_dlq_and_nothing_else() -> None:
    rows = batch(message(7, 0), message(8, 0), message(7, 1))
    step = SetPoisonMessagesAside()
    step.add({(0, 7): "SIGSEGV"})
    step.add({(1, 8): "SIGABRT"})
    step.run(rows)
    assert list(rows.dispositions) == [Disposition.DLQ, Disposition.OK, Disposition.OK]
    assert list(rows.reasons) == [Reason.WORKER_CRASHED, Reason.NONE, Reason.NONE]
    assert rows.why(0) == ("set_poison_messages_aside", "a worker that read this message ended by SIGSEGV")


def test_a_poison_message_that_a_restriction_ended_stays_so() -> None:
    rows = batch(message(7))
    rows.end(0, Disposition.DROP, Reason.EVENT_DROPPED_BY_RESTRICTION, "apply_restrictions")
    step = SetPoisonMessagesAside()
    step.add({(0, 7): "SIGSEGV"})
    step.run(rows)
    assert rows.dispositions[0] == Disposition.DROP


def test_it_forgets_the_poison_messages_of_a_partition() -> None:
    step = SetPoisonMessagesAside()
    step.add({(0, 7): "SIGBUS", (1, 7): "SIGBUS", (2, 7): "SIGBUS"})
    step.forget([0, 2])
    rows = batch(message(7, 0), message(7, 1), message(7, 2))
    step.run(rows)
    assert list(rows.dispositions) == [Disposition.OK, Disposition.DLQ, Disposition.OK]
