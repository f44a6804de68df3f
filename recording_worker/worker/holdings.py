"""Holdings: which partitions a worker has in its hands, each with the number of its hand-over."""

from collections.abc import Iterable, Mapping

from recording_worker.supervisor.control import Placement


class Holdings:
    """Written by the worker's loop, read by its flush thread.

    That a flush is reported under the hand-over its messages came from is up to the loop: it lets no
    partition be handed over again while a flush in flight may hold messages of the time before.
    """

    def __init__(self) -> None:
        self._epochs: dict[int, int] = {}

    @property
    def partitions(self) -> set[int]:
        return set(self._epochs)

    def take(self, placements: Iterable[Placement]) -> None:
        self._epochs |= {placement.partition: placement.epoch for placement in placements}

    def drop(self, partitions: Iterable[int]) -> None:
        for partition in partitions:
            self._epochs.pop(partition, None)

    def placements(self, offsets: Mapping[int, int]) -> tuple[Placement, ...]:
        """These partitions and offsets under their hand-overs; without those that are not in our hands any more."""
        epochs = self._epochs
        return tuple(
            Placement(number, epochs[number], offset) for number, offset in offsets.items() if number in epochs
        )
