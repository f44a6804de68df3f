"""The group member when the group or the broker lets it down: it waits for a while, and says when it is of no use."""

import time
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import KafkaError

from recording_worker.errors import WorkerError
from recording_worker.kafka.embedded import EmbeddedBroker
from recording_worker.kafka.group_member import GroupMember
from recording_worker.kafka.offsets import OffsetStore, Position
from recording_worker.settings.choices import GroupProtocol
from recording_worker.settings.model import Settings
from tests.servers.fixtures import NewTopic
from tests.servers.kafka import KafkaServer
from tests.waiting import wait_for

OFFSET_COMMIT, OFFSET_FETCH = 8, 9

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


@pytest.fixture
def embedded_member() -> Iterator[tuple[EmbeddedBroker, Member]]:
    """A member of a group on the embedded broker, which refuses what the test wants, with a first offset to commit."""
    with EmbeddedBroker() as broker:
        broker.create_topic("recordings", 2)
        settings = Settings(bootstrap_servers=broker.bootstrap_servers, topic="recordings", group_id="recorders")
        member = Member(settings)
        member.wait_until_it_owns(2)
        member.store.begin(0, None, 0)
        yield broker, member
        member.close(10)


def commit(member: Member, waits: bool) -> None:
    """Commit in one of the two ways, until the broker has answered."""
    if waits:
        member.commit_now(10)
        return

    def answered() -> bool:
        member.poll(0.05)
        return not member.is_committing

    member.commit_soon()
    wait_for(answered, "the answer to the commit")


@pytest.mark.parametrize("waits", [True, False], ids=["commit_now", "commit_soon"])
def test_a_commit_that_may_never_be_made_ends_the_membership(
    embedded_member: tuple[EmbeddedBroker, Member], waits: bool
) -> None:
    broker, member = embedded_member
    broker.push_request_errors(OFFSET_COMMIT, [KafkaError.GROUP_AUTHORIZATION_FAILED])
    with pytest.raises(WorkerError, match=r"offsets can't be committed.*the user needs Read on the group recorders"):
        commit(member, waits)
    assert member.store.pending() == {0: Position(0)}


@pytest.mark.parametrize("waits", [True, False], ids=["commit_now", "commit_soon"])
def test_a_commit_that_is_refused_stays_pending_and_is_sent_again(
    embedded_member: tuple[EmbeddedBroker, Member], waits: bool
) -> None:
    broker, member = embedded_member
    broker.push_request_errors(OFFSET_COMMIT, [KafkaError.OFFSET_METADATA_TOO_LARGE])
    commit(member, waits)
    assert member.store.pending() == {0: Position(0)}, "refused"
    commit(member, waits)
    assert member.store.pending() == {}


def test_offsets_that_a_broker_refuses_to_tell_are_asked_for_again(
    embedded_member: tuple[EmbeddedBroker, Member],
) -> None:
    broker, member = embedded_member
    broker.push_request_errors(OFFSET_FETCH, [KafkaError.GROUP_AUTHORIZATION_FAILED] * 3)
    assert member.start_offsets([0, 1]) == {}
    assert member.start_offsets([0, 1]) == {0: (None, 0), 1: (None, 0)}


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
        assert time.monotonic() - began < 60, "librdkafka itself waits for minutes"
        assert asked >= 2, "meanwhile signals can be looked for"


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
