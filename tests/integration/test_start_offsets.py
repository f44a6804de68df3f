"""Where a group begins: `latest` counts for a new group, and not for a partition that is added to its topic later."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from recording_worker.kafka.group_member import GroupMember
from recording_worker.kafka.offsets import OffsetStore, Position
from recording_worker.settings.choices import GroupProtocol, StartFrom
from recording_worker.settings.model import Settings
from tests.integration.service import Service, Traffic, recorded
from tests.servers.fixtures import NewTopic
from tests.servers.kafka import KafkaServer
from tests.waiting import wait_for

LOOK_OFTEN: dict[str, Any] = {"topic.metadata.refresh.interval.ms": 200}
"""For new partitions."""
OUTPUTS = ("metadata_topic", "console_logs_topic", "warnings_topic", "dlq_topic", "overflow_topic")


class Group:
    """A topic, and a new group whose members are polled in turn."""

    def __init__(self, kafka: KafkaServer, topic: str, group: str, protocol: GroupProtocol) -> None:
        self.topic = topic
        self._kafka = kafka
        self._settings = Settings(
            bootstrap_servers=kafka.bootstrap_servers,
            topic=topic,
            group_id=group,
            group_protocol=protocol,
            start_from=StartFrom.LATEST,
            kafka_consumer=LOOK_OFTEN,
        )
        self._members: list[tuple[GroupMember, set[int]]] = []

    def join(self) -> GroupMember:
        """Add a member. `wait_for_owners` says when it has its partitions."""
        owned: set[int] = set()
        member = GroupMember(self._settings, Owner(owned), OffsetStore())
        member.join()
        self._members.append((member, owned))
        return member

    def wait_for_owners(self, partitions: int) -> list[GroupMember]:
        """Poll until this many partitions are owned, and each member has some; the owner of partition 0 is first."""

        def all_owned() -> bool:
            for member, _owned in self._members:
                member.poll(0.05)
            counts = [len(owned) for _member, owned in self._members]
            return sum(counts) == partitions and all(counts)

        wait_for(all_owned, "the assignment")
        return [member for member, owned in sorted(self._members, key=lambda at: 0 not in at[1])]

    def send(self, messages: int, partition: int) -> None:
        producer = Producer({"bootstrap.servers": self._kafka.bootstrap_servers, "log_level": 0})
        for _ in range(messages):
            producer.produce(self.topic, b"x", partition=partition)
        assert producer.flush(10) == 0

    def close(self) -> None:
        for member, _owned in self._members:
            member.close(10)


class Owner:
    def __init__(self, partitions: set[int]) -> None:
        self._partitions = partitions

    def on_assign(self, partitions: list[int]) -> None:
        self._partitions.update(partitions)

    def on_revoke(self, partitions: list[int]) -> None:
        self._partitions.difference_update(partitions)

    on_lost = on_revoke


@pytest.fixture(params=GroupProtocol)
def members(request: pytest.FixtureRequest, kafka: KafkaServer, new_topic: NewTopic, group: str) -> Iterator[Group]:
    found = Group(kafka, new_topic(2), group, request.param)
    yield found
    found.close()


def test_a_partition_added_to_a_running_group_begins_at_its_beginning(members: Group, kafka: KafkaServer) -> None:
    members.send(10, partition=1)
    member = members.join()
    members.wait_for_owners(2)
    assert member.start_offsets([0, 1]) == {}, "the group is founded first"
    assert member.start_offsets([0, 1]) == {0: (Position(0), 0), 1: (Position(10), 10)}
    kafka.add_partitions(members.topic, 3)
    members.send(30, partition=2)
    members.wait_for_owners(3)
    wait_for(lambda: member.start_offsets([2]) == {2: (None, 0)}, "the new partition to be known everywhere")
    assert member.start_offsets([0, 1]) == {0: (Position(0), 0), 1: (Position(10), 10)}


def test_members_of_a_new_group_wait_until_one_of_them_has_founded_it(members: Group) -> None:
    members.send(10, partition=0)
    members.send(10, partition=1)
    members.join()
    members.join()
    first, second = members.wait_for_owners(2)
    assert second.start_offsets([1]) == {}
    assert second.start_offsets([1]) == {}
    assert first.start_offsets([0]) == {}
    members.send(10, partition=1)
    assert first.start_offsets([0]) == {0: (Position(10), 10)}
    assert second.start_offsets([1]) == {1: (Position(10), 10)}, "where the end was when the group began"


def test_a_member_that_comes_back_to_a_founded_group_goes_on_there(members: Group) -> None:
    member = members.join()
    members.wait_for_owners(2)
    assert member.start_offsets([0, 1]) == {}
    members.send(10, partition=0)
    members.join()
    first, second = members.wait_for_owners(2)
    assert first.start_offsets([0]) == {0: (Position(0), 0)}
    assert second.start_offsets([1]) == {1: (Position(0), 0)}


def test_messages_to_a_partition_added_while_running_are_recorded(
    kafka: KafkaServer, new_topic: NewTopic, group: str, tmp_path: Path
) -> None:
    topic, servers = new_topic(1), kafka.bootstrap_servers
    settings: dict[str, Any] = {
        "topic": topic,
        "group_id": group,
        "start_from": "latest",
        **dict.fromkeys(OUTPUTS, new_topic()),
        "kafka": LOOK_OFTEN,
        "kafka_consumer": {"session.timeout.ms": 6000, "heartbeat.interval.ms": 200},
    }
    with closing(Traffic(servers, 1, topic=topic, group=group)) as traffic:
        traffic.send(30)
        service = Service(tmp_path, servers, **settings)
        try:
            service.wait_until_ready()
            traffic.wait_until_committed()
            kafka.add_partitions(topic, 2)
            with closing(Traffic(servers, 2, topic=topic, group=group)) as more:
                more.send(60)
                more.wait_until_committed()
            assert service.stop() == 0
            assert recorded(service.storage) == dict.fromkeys(range(60), 1)
        finally:
            service.kill()
