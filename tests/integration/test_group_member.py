"""The group member when the group or the broker lets it down: it waits for a while, and says when it is of no use."""

import time
from collections.abc import Callable, Iterator

import pytest

from recording_worker.errors import WorkerError
from recording_worker.kafka.group_member import GroupMember
from recording_worker.kafka.offsets import OffsetStore, Position
from recording_worker.settings.model import GroupProtocol, Settings
from tests.integration.service import wait_for
from tests.servers.fixtures import NewTopic
from tests.servers.kafka import KafkaServer

both_protocols = pytest.mark.parametrize("protocol", GroupProtocol)


class Owner:
    def __init__(self) -> None:
        self.partitions: set[int] = set()

    def on_assign(self, partitions: list[int]) -> None:
        self.partitions.update(partitions)

    def on_revoke(self, partitions: list[int]) -> None:
        self.partitions.difference_update(partitions)

    on_lost = on_revoke


class Member(GroupMember):
    """A member that has joined, with what it owns."""

    def __init__(self, settings: Settings) -> None:
        self.owner, self.store = Owner(), OffsetStore()
        super().__init__(settings, self.owner, self.store)
        self.join()

    def wait_until_it_owns(self, partitions: int) -> None:
        def owns() -> bool:
            self.poll(0.05)
            return len(self.owner.partitions) == partitions

        wait_for(owns, "the assignment")


Join = Callable[..., Member]


@pytest.fixture
def join(kafka: KafkaServer, new_topic: NewTopic, group: str) -> Iterator[Join]:
    topic = new_topic(2)
    members: list[Member] = []

    def joined(protocol: GroupProtocol, name: str | None = None) -> Member:
        servers = kafka.bootstrap_servers
        settings = Settings(bootstrap_servers=servers, topic=topic, group_id=group, group_protocol=protocol)
        members.append(Member(settings.model_copy(update={"group_instance_id": name})))
        return members[-1]

    yield joined
    for member in members:
        member.close(10)


@both_protocols
@pytest.mark.parametrize("waits", [True, False], ids=["commit_now", "commit_soon"])
def test_a_broker_that_is_silent_holds_up_neither_a_commit_nor_the_farewell(
    kafka: KafkaServer, join: Join, protocol: GroupProtocol, waits: bool
) -> None:
    member = join(protocol)
    member.wait_until_it_owns(2)
    member.store.begin(0, None, 0)
    asked = 0

    def ask() -> None:
        nonlocal asked
        asked += 1

    with kafka.paused():
        began = time.monotonic()
        if waits:
            member.commit_now(0.5)
        else:
            member.commit_soon()
        assert member.store.pending() == {0: Position(0)}
        member.close(1.0, ask)
        assert time.monotonic() - began < 3
        assert asked >= 5, "signals, say, are looked for meanwhile"


@both_protocols
def test_a_commit_that_met_a_silent_broker_is_answered_once_it_speaks(
    kafka: KafkaServer, join: Join, protocol: GroupProtocol
) -> None:
    member = join(protocol)
    member.wait_until_it_owns(2)
    member.store.begin(0, None, 0)
    with kafka.paused():
        member.commit_soon()
        member.poll(2)
        assert member.is_committing

    def committed() -> bool:
        member.poll(0.05)
        member.commit_soon()
        return not member.store.pending()

    wait_for(committed, "the commit", seconds=60)
    assert not member.is_committing
    wait_for(lambda: member.start_offsets([0]) == {0: (Position(0), 0)}, "the broker's answer")


def test_a_named_member_that_another_takes_the_place_of_is_told(join: Join) -> None:
    first = join(GroupProtocol.CLASSIC, "box")
    first.wait_until_it_owns(2)
    second = join(GroupProtocol.CLASSIC, "box")
    second.wait_until_it_owns(2)
    with pytest.raises(WorkerError, match=r"fenced by other consumer.*\(group_instance_id box must be no other host's"):
        first.wait_until_it_owns(0)
    second.poll(0.1)


def test_a_named_member_whose_name_is_taken_is_told(join: Join) -> None:
    """With the newer protocol the earlier member stays."""
    first = join(GroupProtocol.CONSUMER, "box")
    first.wait_until_it_owns(2)
    second = join(GroupProtocol.CONSUMER, "box")
    with pytest.raises(WorkerError, match=r"is still used.*\(group_instance_id box must be no other host's"):
        second.wait_until_it_owns(2)
    first.poll(0.1)
