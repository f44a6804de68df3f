"""PartitionTable: the partitions this host owns, and which worker holds each. No processes, no Kafka."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from recording_worker.kafka.consumer import PartitionState
from recording_worker.kafka.offsets import Position
from recording_worker.processes.control import Placement
from recording_worker.processes.supervisor.assignment import assign_partitions


@dataclass(slots=True)
class OwnedPartition:
    """A partition of this host, from its assignment by the group until it is revoked or lost."""

    number: int
    home: int
    """The worker it belongs to, even while that worker is started again."""
    holder: int | None = None
    """The worker that reads it, or still holds messages of it."""
    epoch: int = 0
    """Counts up each time that a partition is given to a worker; see Placement."""
    releasing: bool = False
    """Whether the holder was ordered to give it back."""
    stopped: str = ""
    """Why the holder does not read it any more; empty while it does."""
    halted: bool = False
    """Whether it stopped because too many of its messages go to the DLQ."""
    state: PartitionState | None = None
    """What the holder reported last."""
    end: int = -1
    """The log's end as the supervisor has asked for it; -1 if it is not known yet."""
    recorded_until: int = 0
    """The second since 1970 in which Kafka got the latest message that was delivered; 0 if that is not known."""

    caught_up_at: float = 0.0
    """When all of it was last committed, seconds since 1970; 0 if it never was since it is ours."""

    @property
    def known_end(self) -> int | None:
        """The log's end, as far as anybody knows it; None if nobody does."""
        end = max(self.end, self.state.high if self.state else -1)
        return end if end >= 0 else None

    def put_down(self) -> None:
        """Note that nobody holds it."""
        self.holder, self.releasing, self.stopped, self.halted = None, False, "", False


class PartitionTable:
    """The owned partitions, and the rules for giving them to workers. The numbers of the workers don't change."""

    def __init__(self, workers: Collection[int]) -> None:
        self._workers = workers
        self._owned: dict[int, OwnedPartition] = {}
        self._epochs = 0

    def __iter__(self) -> Iterator[OwnedPartition]:
        return iter(self._owned.values())

    def __len__(self) -> int:
        return len(self._owned)

    @property
    def numbers(self) -> Collection[int]:
        return self._owned.keys()

    def add(self, numbers: Iterable[int]) -> None:
        """Add partitions that the group gave us."""
        self._change_homes({*self._owned, *numbers})

    def remove(self, numbers: Iterable[int]) -> None:
        """Remove partitions that are not ours any more, even if a worker still holds them."""
        self._change_homes(self._owned.keys() - set(numbers))

    def to_place(self, ready: Collection[int]) -> list[int]:
        """Return partitions that nobody holds and whose home is ready to take them."""
        return [at.number for at in self if at.holder is None and at.home in ready]

    def place(self, positions: Mapping[int, Position]) -> dict[int, tuple[Placement, ...]]:
        """Give partitions to their homes, to be read from these positions. Return worker → placements."""
        placed: defaultdict[int, tuple[Placement, ...]] = defaultdict(tuple)
        for number, at in positions.items():
            self._epochs += 1
            partition = self._owned[number]
            partition.holder, partition.epoch, partition.state = partition.home, self._epochs, None
            placed[partition.home] += (Placement(number, self._epochs, *at),)
        return placed

    def rehome(self, number: int, worker: int) -> None:
        """Make this worker the home of a partition."""
        self._owned[number].home = worker

    def held_by(self, worker: int) -> list[OwnedPartition]:
        return [at for at in self if at.holder == worker]

    def some(self, numbers: Iterable[int]) -> list[OwnedPartition]:
        """Return the partitions among these that are ours."""
        return [self._owned[number] for number in numbers if number in self._owned]

    def of(self, worker: int, numbers: Iterable[int]) -> list[OwnedPartition]:
        """Return the partitions among these that a worker holds."""
        return [at for at in self.some(numbers) if at.holder == worker]

    def lags(self, workers: Iterable[int]) -> dict[int, dict[int, int]]:
        """Return worker → partition it holds → messages it has yet to read.

        A worker is left out until it has reported on all its partitions.
        """
        lags: dict[int, dict[int, int]] = {worker: {} for worker in workers}
        for at in self:
            if at.holder not in lags:
                continue
            if at.state is None or at.state.high < 0:
                del lags[at.holder]
            else:
                lags[at.holder][at.number] = max(0, at.state.high - at.state.position)
        return lags

    def to_move(self) -> list[int]:
        """Return partitions that another worker than their home holds, and that were not asked for yet."""
        return [at.number for at in self if at.holder not in (None, at.home) and not at.releasing]

    def ask_for(self, numbers: Iterable[int]) -> dict[int, tuple[int, ...]]:
        """Note that these must be given back. Return worker → partitions to ask it for; each is asked for once."""
        asked: defaultdict[int, tuple[int, ...]] = defaultdict(tuple)
        for partition in self.some(numbers):
            if partition.holder is not None and not partition.releasing:
                partition.releasing = True
                asked[partition.holder] += (partition.number,)
        return asked

    def holders(self, numbers: Iterable[int]) -> dict[int, tuple[int, ...]]:
        """Return worker → which of these partitions it holds."""
        held: defaultdict[int, tuple[int, ...]] = defaultdict(tuple)
        for partition in self.some(numbers):
            if partition.holder is not None:
                held[partition.holder] += (partition.number,)
        return held

    def is_current(self, worker: int, placement: Placement) -> bool:
        """Return whether a worker speaks about the current epoch of a partition, and not about an earlier one."""
        partition = self._owned.get(placement.partition)
        return partition is not None and partition.holder == worker and partition.epoch == placement.epoch

    def released(self, worker: int, placements: Iterable[Placement]) -> None:
        for placement in placements:
            if self.is_current(worker, placement):
                self._owned[placement.partition].put_down()

    def stop(self, worker: int, placement: Placement, why: str, *, halted: bool) -> None:
        if self.is_current(worker, placement):
            partition = self._owned[placement.partition]
            partition.stopped, partition.halted = why, halted

    def progress(self, worker: int, states: Mapping[int, PartitionState]) -> None:
        for partition in self.of(worker, states):
            partition.state = states[partition.number]

    def found_ends(self, ends: Mapping[int, int]) -> None:
        for partition in self.some(ends):
            partition.end = ends[partition.number]

    def recorded(self, number: int, until: int) -> None:
        """Note the second since 1970 in which Kafka got the latest message that is delivered."""
        partition = self._owned[number]
        partition.recorded_until = max(until, partition.recorded_until)

    def worker_gone(self, worker: int) -> None:
        """Note that this worker holds nothing any more."""
        for partition in self:
            if partition.holder == worker:
                partition.put_down()

    def _change_homes(self, numbers: Collection[int]) -> None:
        current = {at.number: at.home for at in self}
        homes = assign_partitions(numbers, self._workers, current)
        owned = {number: self._owned.get(number, OwnedPartition(number, home)) for number, home in homes.items()}
        for number, home in homes.items():
            owned[number].home = home
        self._owned = owned
