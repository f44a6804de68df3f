"""GroupMember: the supervisor's membership of the group. It owns partitions and commits, but fetches nothing."""

import struct
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from typing import Any, Protocol

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from recording_worker.errors import WorkerError
from recording_worker.kafka.aside import call_aside
from recording_worker.kafka.clients import LIBRDKAFKA_LOGGER, as_config_error, client_config, is_fatal
from recording_worker.kafka.offsets import OffsetStore, Position, position_of, topic_partitions
from recording_worker.kafka.start_offsets import StartOffsets
from recording_worker.kafka.statistics import INTERVAL_MS, ClientStatistics
from recording_worker.settings.choices import GroupProtocol
from recording_worker.settings.model import Settings

log = structlog.get_logger()

_LOOK_SECONDS = 0.1

_NOT_NOW = frozenset(
    {
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.STALE_MEMBER_EPOCH,
        KafkaError._NO_OFFSET,  # noqa: SLF001 - public, though named so
    }
)
"""Answers to a commit while the group rebalances. They are no errors: the commit is tried again."""

_MEMBERSHIP_MAGIC = b"CGMDv2:"
_GENERATION = struct.Struct("=i")
"""Follows the magic in the group metadata that librdkafka writes (rdkafka_cgrp.c); -1 outside a group."""


def member_config(settings: Settings) -> dict[str, Any]:
    """The configuration of the supervisor's consumer. Raises ConfigError."""
    ours: dict[str, Any] = {
        "group.id": settings.group_id,
        "group.protocol": settings.group_protocol.value,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "queued.max.messages.kbytes": 1024,
        "fetch.max.bytes": 1024 * 1024,
    }
    if settings.group_instance_id is not None:
        ours["group.instance.id"] = settings.group_instance_id
    if settings.group_protocol is GroupProtocol.CLASSIC:
        ours["partition.assignment.strategy"] = "cooperative-sticky"
    return client_config(
        settings,
        "consumer",
        # a drain holds up polling, and must not cost the membership
        defaults={"max.poll.interval.ms": max(300_000, round(settings.drain_deadline * 2_000))},
        ours=ours,
    )


class Owner(Protocol):
    """Learns about the partitions. Called only from `poll` and `close`."""

    def on_assign(self, partitions: list[int]) -> None:
        """These are ours now."""

    def on_revoke(self, partitions: list[int]) -> None:
        """These are given back when this returns. Offsets can still be committed."""

    def on_lost(self, partitions: list[int]) -> None:
        """Another host owns these already; nothing of them may be committed."""


class GroupMember:
    """The group membership of this host: a consumer that keeps all its partitions paused."""

    def __init__(self, settings: Settings, owner: Owner, offsets: OffsetStore) -> None:
        self._topic = settings.topic
        self._permanent = _permanent_errors(settings)
        self._owner = owner
        self._offsets = offsets
        self._committing = False
        self._leaving: Future[None] | None = None
        self.statistics = ClientStatistics()
        config = member_config(settings) | {
            "on_commit": self._on_commit,
            "stats_cb": self.statistics.take,
            "statistics.interval.ms": INTERVAL_MS,
        }
        try:
            self._consumer = Consumer(config, logger=LIBRDKAFKA_LOGGER)
        except KafkaException as problem:
            raise as_config_error(problem) from problem
        self._starts = StartOffsets(self._consumer, settings.topic, settings.start_from)

    def join(self) -> None:
        self._consumer.subscribe(
            [self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def poll(self, timeout: float = 0) -> None:
        """Take part in the group; this calls the owner. Raises WorkerError if the membership is over."""
        message = self._consumer.poll(timeout)
        error = message.error() if message is not None else None
        if error is not None:
            self._raise_if_permanent("can't be in the Kafka group", error)
            log.warning("Kafka group member", error=error.str())

    def membership(self) -> bytes | None:
        """Return this member as transactions name it, or None while it is not in the group.

        Never pass on a membership without a generation: with it, a broker may accept a transaction's offsets from
        anybody.
        """
        metadata: bytes = self._consumer.consumer_group_metadata()
        if not metadata.startswith(_MEMBERSHIP_MAGIC):
            raise WorkerError(f"this librdkafka writes group metadata in an unknown form: {metadata[:8]!r}")
        (generation,) = _GENERATION.unpack_from(metadata, len(_MEMBERSHIP_MAGIC))
        return metadata if generation >= 0 else None

    def start_offsets(self, partitions: Iterable[int], topic_id: str = "") -> dict[int, tuple[Position | None, int]]:
        """Return partition → (what is committed or None, where to begin if nothing is); see `StartOffsets.find`."""
        return self._starts.find(partitions, topic_id)

    @property
    def is_committing(self) -> bool:
        """Whether a commit of `commit_soon` is under way."""
        return self._committing

    def commit_soon(self) -> None:
        """Send the pending offsets, unless a commit is under way. The answer comes in with a later `poll`."""
        pending = self._offsets.pending()
        if not pending or self._committing:
            return
        try:
            self._consumer.commit(offsets=topic_partitions(self._topic, pending), asynchronous=True)
            self._committing = True
        except KafkaException as problem:
            self._note(problem.args[0])

    def commit_now(self, timeout: float) -> None:
        """Send the pending offsets and wait up to `timeout` seconds for the answer.

        This is for the moment before partitions are given back.
        """
        pending = self._offsets.pending()
        if not pending:
            return
        positions = topic_partitions(self._topic, pending)
        answer = call_aside(lambda: self._consumer.commit(offsets=positions, asynchronous=False))
        try:
            self._take_answer(answer.result(timeout))
        except (TimeoutError, RuntimeError) as problem:
            log.warning("no answer to a commit: these may be read again", offsets=pending, error=str(problem))
        except KafkaException as problem:
            self._note(problem.args[0])

    def close(self, timeout: float, waiting: Callable[[], None] = lambda: None) -> None:
        """Leave the group; this calls the owner's `on_revoke` for the partitions that are left.

        It takes up to `timeout` seconds, and calls `waiting` again and again meanwhile. If the broker does not answer,
        the group notices by itself that this member is gone. Called again, it goes on waiting.
        """
        if self._leaving is None:
            self._leaving = call_aside(self._consumer.close)
        deadline = time.monotonic() + timeout
        while not self._leaving.done():
            if time.monotonic() >= deadline:
                log.warning("no answer from Kafka: the group will miss this host once its session has timed out")
                return
            wait([self._leaving], _LOOK_SECONDS)
            waiting()
        try:
            self._leaving.result()
        except RuntimeError as problem:
            log.warning(
                "can't leave the group: it will miss this host once its session has timed out", error=str(problem)
            )

    def _on_commit(self, error: KafkaError | None, answer: list[TopicPartition]) -> None:
        self._committing = False
        if error is not None:
            self._note(error)
        else:
            self._take_answer(answer)

    def _take_answer(self, answer: list[TopicPartition]) -> None:
        self._offsets.committed({at.partition: position_of(at) for at in answer if at.error is None})
        for at in answer:
            if at.error is not None:
                self._note(at.error)

    def _note(self, error: KafkaError) -> None:
        """Note that a commit failed: its offsets stay pending. Raises WorkerError if trying again is no use."""
        self._raise_if_permanent("offsets can't be committed", error)
        report = log.debug if error.code() in _NOT_NOW else log.warning
        report("commit refused, its offsets are kept and tried again", error=error.str())

    def _raise_if_permanent(self, what: str, error: KafkaError) -> None:
        if is_fatal(error) or error.code() in self._permanent:
            hint = self._permanent.get(error.code(), "")
            raise WorkerError(f"{what}: {error.str()}{f' ({hint})' if hint else ''}")

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.incremental_assign(partitions)
        consumer.pause(partitions)
        self._owner.on_assign([at.partition for at in partitions])

    def _on_revoke(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._owner.on_revoke([at.partition for at in partitions])

    def _on_lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._owner.on_lost([at.partition for at in partitions])


def _permanent_errors(settings: Settings) -> dict[int, str]:
    """Return the errors of a member that no other try fixes → what to do about them."""
    name = settings.group_instance_id
    twice = f"group_instance_id {name} must be no other host's; one that died keeps it until its session times out"
    return {
        KafkaError.GROUP_AUTHORIZATION_FAILED: f"the user needs Read on the group {settings.group_id}",
        KafkaError.TOPIC_AUTHORIZATION_FAILED: f"the user needs Read on the topic {settings.topic}",
        KafkaError._FATAL: twice if name else "",  # noqa: SLF001 - public, though named so
        KafkaError.FENCED_INSTANCE_ID: twice,
    }
