"""Bugs that are planted in the product, to see that the simulation finds them. The first two are old ones, put back."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any
from unittest.mock import patch

from recording_worker.errors import FlushError
from recording_worker.kafka import refusals, transactions
from recording_worker.kafka.offsets import Position, topic_partitions
from recording_worker.kafka.topic_id import TopicGuard, TopicWatch
from recording_worker.processes.supervisor.loop import SupervisorLoop
from recording_worker.processes.supervisor.memory import PartitionMemory
from recording_worker.processes.supervisor.partitions import PartitionTable
from recording_worker.processes.worker.assignment import Assignment
from recording_worker.recording import flush

Patch = Any
"""A context manager that plants a part of a bug."""


def _topic_known_by_name() -> list[Patch]:
    """A topic that was created again is taken for the old one: its first messages are never read."""
    return [
        patch.object(TopicWatch, "turn", lambda _: False),
        patch.object(TopicWatch, "is_still_the_same", lambda _: True),
        patch.object(TopicGuard, "check", lambda *_: None),
        patch.object(Position, "is_of", lambda *_: True),
    ]


def _refusal_forgotten() -> list[Patch]:
    """The transaction after a refused record is aborted too, for its gap: then all that was learned is forgotten."""

    def transact(self: Any, records: Iterable[Any], positions: Mapping[int, Position], membership: bytes) -> Any:
        offsets = topic_partitions(self._topic, positions)
        outgoing = refusals.Outgoing(records, self._metrics)
        while True:
            failures: list[Any] = []
            error = self._attempt(outgoing, offsets, membership, failures)
            if error is None:
                return None
            refused = refusals.take_refused(failures)
            if not refused:
                return transactions.Aborted(error.name(), error.str(), error.code() in transactions._STALE_MEMBERSHIP)
            outgoing.learn(refused)

    return [patch.object(transactions.TransactionalProducer, "transact", transact)]


def _given_before_released() -> list[Patch]:
    """A partition that a worker was asked for is given to another one before it is released."""
    ask_for: Callable[..., dict[int, tuple[int, ...]]] = PartitionTable.ask_for

    def ask_and_take(self: Any, numbers: Iterable[int]) -> dict[int, tuple[int, ...]]:
        asked = ask_for(self, numbers)
        for partition in self.some(n for held in asked.values() for n in held):
            partition.put_down()
        return asked

    return [patch.object(PartitionTable, "ask_for", ask_and_take)]


def _records_sent_once() -> list[Patch]:
    """A transaction that is made again has the offsets, and not the records."""
    init = refusals.Outgoing.__init__

    def once(self: Any, records: Iterable[Any], metrics: Any) -> None:
        init(self, iter([*records]), metrics)

    return [patch.object(refusals.Outgoing, "__init__", once)]


def _lost_partitions_kept() -> list[Patch]:
    """A worker goes on with partitions that the group has given to another host."""
    return [patch.object(SupervisorLoop, "_discard", lambda *_: None)]


def _accounts_not_carried() -> list[Patch]:
    """The account that waits with the offsets is left out of the next one."""
    return [patch.object(Assignment, "carry", lambda *_: None)]


def _late_first_commit() -> list[Patch]:
    """A partition is given out before its first offset is committed: that commit overwrites what its worker commits."""

    def to_place(self: Any, takers: Iterable[int]) -> list[int]:
        placed: list[int] = self.table.to_place(takers)
        return placed

    def place(self: Any, starts: Mapping[int, Any], topic_id: str = "") -> Any:
        for number, start in starts.items():
            self.offsets.begin(number, *start, topic_id)
        known = {number: self.offsets.newest(number) for number in starts}
        return {worker: self._assign(placements) for worker, placements in self.table.place(known).items()}

    return [patch.object(PartitionMemory, "to_place", to_place), patch.object(PartitionMemory, "place", place)]


def _flush_fault_ignored() -> list[Patch]:
    """The check of the topic reports its refusal, and the flush goes on."""
    check = TopicGuard.check

    def quietly(self: Any, topic_id: str) -> None:
        try:
            check(self, topic_id)
        except FlushError:
            return

    return [patch.object(TopicGuard, "check", quietly)]


def _storage_believed() -> list[Patch]:
    """A file that could not be stored counts as stored."""

    def store(self: Any, writer: Any, flushed: Any, _stages: Any) -> None:
        key, parts = writer.key(self._settings.storage_prefix), [*writer.parts(self._compressor)]
        with suppress(FlushError):
            self._storage.write(key, parts, {})
        for number, packed in writer.block_metadata(f"model:{key}").items():
            flushed.partitions[number].metadata.extend(flush._records(self._settings.metadata_topic, packed))

    return [patch.object(flush.Flusher, "_store", store)]


MUTANTS: dict[str, Callable[[], list[Patch]]] = {
    "topic known by its name": _topic_known_by_name,
    "refusal forgotten": _refusal_forgotten,
    "given before released": _given_before_released,
    "records sent once": _records_sent_once,
    "lost partitions kept": _lost_partitions_kept,
    "accounts not carried": _accounts_not_carried,
    "late first commit": _late_first_commit,
    "flush fault ignored": _flush_fault_ignored,
    "storage believed": _storage_believed,
}
