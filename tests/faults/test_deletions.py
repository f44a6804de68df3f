"""The ledger of a round in which a session is deleted: what may be missing, and what must never be."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.deletions import Deletion, Deletions
from tests.faults.key_servers import Opener
from tests.faults.ledger import Findings
from tests.faults.load import Sent
from tests.faults.messages import Fate
from tests.faults.test_ledger import SECONDS, SESSION, TEAM, Outputs, sent
from tests.servers.fixtures import NewTopic
from tests.servers.kafka import KafkaServer

OTHER = "session-2"
KEY, OTHER_KEY = b"k" * 32, b"o" * 32
COMMITTED = 2
"""The offset that the group had committed before the deletion."""
DONE_AT, NOTICE_SECONDS = 1000.0, 2.0


class Scene:
    """A session that is deleted, and another one; numbers 0 and 1 were committed before the deletion."""

    def __init__(self, make_outputs: Callable[..., Outputs]) -> None:
        self.keys = {SESSION: KEY, OTHER: OTHER_KEY}
        self.deletions = Deletions(lambda _team_id, session_id: self.keys.get(session_id), NOTICE_SECONDS)
        self.outputs = make_outputs(opened=Opener(self.deletions.key_of), deletions=self.deletions)
        self.deletion = Deletion((TEAM, SESSION), KEY, {0: COMMITTED})

    def delete(self) -> None:
        """Delete the session, as `delete` does."""
        self.deletions.begin(self.deletion)
        del self.keys[SESSION]
        self.outputs.hide()
        self.deletion.done_at = DONE_AT

    def check(self, *messages: Sent) -> Findings:
        return self.outputs.ledger.check([*messages], SECONDS)


@pytest.fixture
def scene(kafka: KafkaServer, new_topic: NewTopic, tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(lambda **given: Outputs(kafka, new_topic, tmp_path, **given))
    yield scene
    scene.outputs.close()


def test_messages_of_a_deleted_session_are_in_blocks_of_its_old_key_or_dropped(scene: Scene) -> None:
    scene.outputs.block(0, 1, key=KEY)
    scene.delete()
    scene.outputs.block(2, key=KEY)
    scene.outputs.block(4, session_id=OTHER, key=OTHER_KEY)
    scene.outputs.copy(scene.outputs.dlq, 5, offset=5)
    messages = [sent(0), sent(1), sent(2), sent(3), sent(4, session_id=OTHER), sent(5, Fate.DLQ)]
    assert scene.check(*messages).lines() == []


def test_a_message_is_lost_if_it_was_committed_before_the_deletion_or_is_of_another_session(scene: Scene) -> None:
    scene.delete()
    found = scene.check(sent(1), sent(2), sent(3, session_id=OTHER), sent(4, Fate.DLQ))
    assert [text.split(",")[0] for text in found.lost] == ["Sent(number=1", "Sent(number=3", "Sent(number=4"]
    assert not found.doubled + found.other


def test_a_message_of_a_deleted_session_may_not_be_there_twice(scene: Scene) -> None:
    scene.delete()
    scene.outputs.block(2, key=KEY)
    scene.outputs.block(2, key=KEY, partition=1)
    assert len(scene.check(sent(2)).doubled) == 1


def test_a_deleted_session_that_can_still_be_read_is_reported(scene: Scene) -> None:
    scene.delete()
    assert not scene.check()
    scene.keys[SESSION] = OTHER_KEY
    assert scene.check().other == [f"session {SESSION} of team {TEAM}: it is deleted, and can be read again"]


def test_a_block_in_the_clear_or_of_another_key_is_reported(scene: Scene) -> None:
    scene.delete()
    scene.outputs.block(2)
    scene.outputs.block(3, key=OTHER_KEY)
    found = scene.check(sent(2), sent(3))
    assert [text.rpartition(": ")[2] for text in found.other] == [
        f"the key of session {(TEAM, SESSION)} does not open it"
    ] * 2


def test_a_message_that_is_recorded_when_all_workers_knew_is_reported(scene: Scene) -> None:
    scene.delete()
    scene.outputs.block(2, 3, key=KEY)
    noticed = DONE_AT + NOTICE_SECONDS
    found = scene.check(sent(2, sent_at=noticed), sent(3, sent_at=noticed + 0.01))
    assert len(found.other) == 1
    assert found.other[0].startswith("Sent(number=3, ")


def test_a_deletion_that_is_not_complete_is_reported(scene: Scene) -> None:
    scene.deletions.begin(scene.deletion)
    assert scene.check().other == [f"session {SESSION} of team {TEAM}: its deletion has begun and is not complete"]


def test_a_record_that_hides_too_little_or_too_much_is_reported(scene: Scene) -> None:
    scene.deletions.begin(scene.deletion)
    del scene.keys[SESSION]
    scene.deletion.done_at = DONE_AT
    scene.outputs.hide(OTHER)
    assert scene.check().other == [
        f"session {SESSION} of team {TEAM}: it is deleted, and no record hides it",
        f"session {OTHER} of team {TEAM}: a record hides it, and it is not deleted",
    ]
