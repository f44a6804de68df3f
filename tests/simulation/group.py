"""Models of a consumer group: of the classic protocol, with static members too, and of KIP-848's.

The facts are Kafka's. GroupCoordinator: a generation per rebalance, offsets only under the present one; a static member
that comes back takes the place of the one before, without a rebalance. GroupMetadataManager and
CurrentAssignmentBuilder (KIP-848): the group decides who gets what; each member has an epoch of its own, which moves
once it has given back what others get.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from confluent_kafka import KafkaError

from tests.simulation.network import Link, error
from tests.simulation.scheduler import Scheduler

SESSION_SECONDS = 2.0
_REBALANCE_SECONDS = 20.0


@dataclass(slots=True, eq=False)
class Member:
    id: str
    instance: str | None
    """Its `group.instance.id`: a static member has one."""
    link: Link
    learn: Callable[[int, set[int], set[int]], None]
    """Gets the generation or epoch, and which partitions come and go."""
    is_busy: Callable[[], bool]
    """Whether it can't rejoin now, because its application is in a callback."""
    hears: bool = False
    """Whether the answer that tells it about a generation is on its way to it. It joins the next one after that."""
    owned: set[int] = field(default_factory=set)
    releasing: set[int] = field(default_factory=set)
    epoch: int = -1
    """The generation or epoch that it was last told."""
    releases_since: float = 0.0

    @property
    def is_reachable(self) -> bool:
        return self.link.is_up and not self.link.process.frozen and self.link.process.alive

    def tell(self, epoch: int, come: set[int], gone: set[int]) -> None:
        """Answer it. What comes is its own from now on."""
        self.hears = True
        self.epoch = epoch
        self.owned |= come
        self.releasing = gone
        self.learn(epoch, come, set(gone))


class Group:
    """What both protocols have in common."""

    def __init__(self, scheduler: Scheduler, rng: random.Random, partitions: int) -> None:
        self.scheduler = scheduler
        self.rng = rng
        self.partitions = partitions
        self.members: dict[str, Member] = {}
        self._joined = 0

    def new_member_id(self) -> str:
        self._joined += 1
        return f"member-{self._joined}"

    def is_member(self, member: str) -> bool:
        return member in self.members

    def join(self, member: Member) -> None:
        raise NotImplementedError

    def leave(self, member: str) -> None:
        """The member leaves, or is missed."""
        if self.members.pop(member, None) is not None:
            self.changed()

    def released(self, member: str, partitions: set[int]) -> None:
        """The member has given these back."""
        found = self.members.get(member)
        if found is not None:
            found.owned -= partitions
            found.releasing -= partitions
            self.changed()

    def check_member(self, member: str, epoch: int) -> None:
        """Refuse what is not sent by a member under its present generation or epoch."""
        raise NotImplementedError

    def changed(self) -> None:
        """Have partitions divided again."""
        raise NotImplementedError

    def share(self) -> dict[str, set[int]]:
        """Divide the partitions, so that as few as possible move: member → what it should own."""
        members = sorted(self.members.values(), key=lambda each: each.id)
        if not members:
            return {}
        least, odd = divmod(self.partitions, len(members))
        target = {each.id: sorted(each.owned)[: least + (place < odd)] for place, each in enumerate(members)}
        taken = {number for numbers in target.values() for number in numbers}
        for number in range(self.partitions):
            if number not in taken:
                min(target.values(), key=len).append(number)
        return {member: set(numbers) for member, numbers in target.items()}

    def free(self) -> set[int]:
        """Return the partitions that nobody owns."""
        return {*range(self.partitions)}.difference(*(each.owned for each in self.members.values()))


class ClassicGroup(Group):
    """All members rejoin together: a generation. As cooperative-sticky, what moves is first taken, then given."""

    def __init__(self, scheduler: Scheduler, rng: random.Random, partitions: int) -> None:
        super().__init__(scheduler, rng, partitions)
        self.generation = 0
        self._rebalancing: float | None = None
        """When the rebalance that is under way began."""
        self._fenced: set[str] = set()
        """Members whose place others have taken."""

    def join(self, member: Member) -> None:
        before = self._predecessor(member)
        if before is not None:
            del self.members[before.id]
            self._fenced.add(before.id)
        self.members[member.id] = member
        if before is not None and self._rebalancing is None and not before.releasing:
            member.tell(self.generation, before.owned, set())
        else:
            # what its predecessor owned is given to it, or to others, once all have rejoined
            self.changed()

    def _predecessor(self, member: Member) -> Member | None:
        if member.instance is None:
            return None
        return next((each for each in self.members.values() if each.instance == member.instance), None)

    def changed(self) -> None:
        if self._rebalancing is None:
            self._rebalancing = self.scheduler.now
            self.scheduler.call(self.rng.uniform(0.01, 0.2), self._try_to_complete)

    def check_member(self, member: str, epoch: int) -> None:
        if member in self._fenced:
            raise error(KafkaError.FENCED_INSTANCE_ID, "fenced instance")
        if member not in self.members:
            raise error(KafkaError.UNKNOWN_MEMBER_ID, "unknown member")
        if epoch != self.generation:
            raise error(KafkaError.ILLEGAL_GENERATION, "illegal generation")

    def _try_to_complete(self) -> None:
        assert self._rebalancing is not None
        late = self.scheduler.now - self._rebalancing > _REBALANCE_SECONDS
        waits = [each for each in self.members.values() if not self._can_join(each)]
        if waits and not late:
            self.scheduler.call(self.rng.uniform(0.05, 0.3), self._try_to_complete)
            return
        for each in waits:
            del self.members[each.id]
        self._rebalancing = None
        self.generation += 1
        share, free = self.share(), self.free()
        for each in sorted(self.members.values(), key=lambda each: each.id):
            each.tell(self.generation, share[each.id] & free, each.owned - share[each.id])

    def _can_join(self, member: Member) -> bool:
        is_away = not member.link.is_up or bool(member.link.process.frozen)
        return not is_away and not member.hears and not member.is_busy()


class ConsumerGroup(Group):
    """KIP-848: each member hears with a heartbeat what it should give back, and then what it gets."""

    def __init__(self, scheduler: Scheduler, rng: random.Random, partitions: int) -> None:
        super().__init__(scheduler, rng, partitions)
        self._epoch = 0
        """Counts up with each change of who should own what."""
        self._share: dict[str, set[int]] = {}

    def join(self, member: Member) -> None:
        self.members[member.id] = member
        self.changed()
        self._heartbeat(member)

    def changed(self) -> None:
        share = self.share()
        if share != self._share:
            self._share = share
            self._epoch += 1

    def check_member(self, member: str, epoch: int) -> None:
        found = self.members.get(member)
        if found is None:
            raise error(KafkaError.UNKNOWN_MEMBER_ID, "unknown member")
        if epoch != found.epoch:
            raise error(KafkaError.STALE_MEMBER_EPOCH, "stale member epoch")

    def released(self, member: str, partitions: set[int]) -> None:
        """As in the base. It moves the member's epoch, which the member hears with its next heartbeat."""
        super().released(member, partitions)
        found = self.members.get(member)
        if found is not None and not found.releasing:
            found.epoch = -1

    def _heartbeat(self, member: Member) -> None:
        if self.members.get(member.id) is not member:
            return
        if member.is_reachable and not member.hears:
            self._reconcile(member)
        self.scheduler.call(self.rng.uniform(0.1, 0.6), lambda: self._heartbeat(member))

    def _reconcile(self, member: Member) -> None:
        if member.releasing:
            if self.scheduler.now - member.releases_since > _REBALANCE_SECONDS:
                self.leave(member.id)
            return
        share = self._share[member.id]
        if gone := member.owned - share:
            member.releases_since = self.scheduler.now
            member.tell(member.epoch, set(), gone)
            return
        come = share & self.free()
        if come or member.epoch != self._epoch:
            member.tell(self._epoch, come, set())
