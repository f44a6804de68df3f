"""Rewind: sets a group's committed offsets back. An offset never moves forward."""

from collections.abc import Mapping
from dataclasses import dataclass

from recording_worker.errors import ConfigError
from recording_worker.kafka.admin import Admin, LogBounds
from recording_worker.kafka.offsets import Position
from recording_worker.settings.model import Settings


@dataclass(frozen=True, slots=True)
class Move:
    """What becomes of a partition's committed offset."""

    partition: int
    committed: int | None
    new: int | None
    """None if it stays unchanged."""
    remark: str = ""
    """Why the new offset is not the wanted one; empty if it is."""


def plan_move(partition: int, committed: Position | None, wanted: int | None, bounds: LogBounds) -> Move:
    """The new offset of a partition. `wanted` is None for the end of its log."""
    if committed is None:
        return Move(partition, None, None, "stays: nothing is committed")
    new, remark = bounds.end if wanted is None else wanted, ""
    if new < bounds.start:
        new, remark = bounds.start, "where the log begins now"
    if new >= committed.offset:
        return Move(partition, committed.offset, None, "stays: it is not past that")
    waiting = committed.account
    if waiting is not None and waiting.start < new:  # an account can't be split
        new, remark = max(waiting.start, bounds.start), "where what was not recorded since the last block begins"
    return Move(partition, committed.offset, new, remark)


class Rewind:
    """Moves a group's offsets on its topic. Raises ConfigError if that is impossible or not safe, BootError."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin = Admin(settings)

    def plan(self, partitions: tuple[int, ...], *, offset: int | None = None, time_ms: int | None = None) -> list[Move]:
        """Plan the move of these partitions, or of all, to an offset or a time (milliseconds since 1970)."""
        topic, group = self._settings.topic, self._settings.group_id
        present = self._admin.partitions(topic)
        if not present:
            raise ConfigError(f"there is no topic {topic}")
        if unknown := sorted(set(partitions) - set(present)):
            raise ConfigError(f"topic {topic} has no partition {', '.join(map(str, unknown))}: it has {len(present)}")
        committed = self._admin.committed(group).get(topic, {})
        if not committed:
            raise ConfigError(f"group {group} has committed nothing on topic {topic}")
        chosen = sorted(set(partitions)) or present
        bounds = self._admin.log_bounds(topic, chosen)
        wanted: Mapping[int, int | None] = dict.fromkeys(chosen, offset)
        if time_ms is not None:
            wanted = self._admin.offsets_at(topic, chosen, time_ms)
        return [plan_move(number, committed.get(number), wanted[number], bounds[number]) for number in chosen]

    def apply(self, moves: list[Move]) -> None:
        """Commit the new offsets. Raises ConfigError if the group has members."""
        if members := self._admin.members(self._settings.group_id):
            raise ConfigError(
                f"group {self._settings.group_id} has members; stop them first, or wait until the session of one that"
                f" died has timed out: {', '.join(members)}"
            )
        offsets = {move.partition: move.new for move in moves if move.new is not None}
        if offsets:
            self._admin.set_offsets(self._settings.group_id, self._settings.topic, offsets)
