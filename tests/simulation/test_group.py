"""The modelled group does what Kafka's does, where the product relies on it."""

import random
from dataclasses import dataclass, field
from math import inf

import pytest
from confluent_kafka import KafkaError, KafkaException

from tests.simulation.group import ClassicGroup, ConsumerGroup, Group, Member
from tests.simulation.network import HostLink, Link, Network
from tests.simulation.scheduler import Process, Scheduler

Told = tuple[str, int, set[int], set[int]]
"""Member, generation or epoch, what comes, what goes."""


@dataclass
class Bench:
    group: Group
    scheduler: Scheduler
    told: list[Told] = field(default_factory=list)

    @classmethod
    def of(cls, protocol: type[Group]) -> "Bench":
        rng = random.Random(1)
        scheduler = Scheduler(rng)
        return cls(protocol(scheduler, rng, 4), scheduler)

    def join(self, name: str, instance: str | None = None) -> Member:
        link = Link(Network(self.scheduler, self.scheduler.rng), Process(name), HostLink())

        def learn(epoch: int, come: set[int], gone: set[int]) -> None:
            member.hears = False
            self.told.append((name, epoch, come, gone))

        member = Member(name, instance, link, learn, is_busy=lambda: False)
        self.group.join(member)
        self.settle()
        return member

    def settle(self) -> None:
        """Let three seconds pass. The scheduler drops the event that it ends at, unless it fails."""

        def end() -> None:
            self.scheduler.failure = TimeoutError()

        self.scheduler.call(3, end)
        self.scheduler.run(lambda: False, inf)
        self.scheduler.failure = None

    def take_told(self) -> list[Told]:
        told, self.told = self.told, []
        return [one for one in told if one[2] or one[3]]

    def refusal(self, member: str, epoch: int) -> int:
        with pytest.raises(KafkaException) as refused:
            self.group.check_member(member, epoch)
        return int(refused.value.args[0].code())


@pytest.mark.parametrize("protocol", [ClassicGroup, ConsumerGroup])
def test_a_partition_is_given_once_its_owner_has_given_it_back(protocol: type[Group]) -> None:
    bench = Bench.of(protocol)
    first = bench.join("a")
    bench.take_told()
    second = bench.join("b")
    [(who, _, come, gone)] = bench.take_told()
    assert (who, come, gone) == ("a", set(), {2, 3})
    assert (first.owned, second.owned) == ({0, 1, 2, 3}, set())
    bench.group.released("a", {2, 3})
    bench.settle()
    assert (first.owned, second.owned) == ({0, 1}, {2, 3})


def test_a_static_member_that_is_back_takes_its_place_without_a_rebalance() -> None:
    bench = Bench.of(ClassicGroup)
    bench.join("a", "host-a")
    bench.join("b", "host-b")
    bench.group.released("a", {2, 3})
    bench.settle()
    generation = bench.told[-1][1]
    bench.take_told()
    bench.join("a again", "host-a")
    assert bench.take_told() == [("a again", generation, {0, 1}, set())]
    bench.group.check_member("b", generation)
    assert bench.refusal("a", generation) == KafkaError.FENCED_INSTANCE_ID


def test_a_classic_member_is_refused_under_an_older_generation() -> None:
    bench = Bench.of(ClassicGroup)
    bench.join("a")
    bench.join("b")
    assert bench.refusal("a", 1) == KafkaError.ILLEGAL_GENERATION
    assert bench.refusal("c", 2) == KafkaError.UNKNOWN_MEMBER_ID


def test_a_member_of_kip_848_keeps_its_epoch_until_it_has_given_back_what_others_get() -> None:
    bench = Bench.of(ConsumerGroup)
    first = bench.join("a")
    bench.join("b")
    bench.group.check_member("a", 1)  # what it flushes while it gives back is committed under this
    bench.group.released("a", {2, 3})
    bench.settle()
    assert first.epoch == 2
    assert bench.refusal("a", 1) == KafkaError.STALE_MEMBER_EPOCH
