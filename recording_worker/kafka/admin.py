"""Admin: what operators' commands ask the brokers, and the little they change: a group's offsets, a new topic."""

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, NamedTuple

from confluent_kafka import ConsumerGroupTopicPartitions, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
    TopicMetadata,
)
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from recording_worker.errors import BootError
from recording_worker.kafka.clients import BROKER_TIMEOUT, QUIET_LOGGER, ClientErrors, as_config_error, client_config
from recording_worker.kafka.offsets import Position, position_of
from recording_worker.settings.model import Settings

_TIMEOUT = 15.0
_LOOK_EVERY = 0.1
_BROKERS_DEFAULT = -1
"""The replication that the brokers give a topic if none is asked for."""
_EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]

_COORDINATOR_AWAY = (
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
)
"""A broker has just started, or the group has just moved to another one."""

_NO_DESCRIPTION = (KafkaError.GROUP_ID_NOT_FOUND, KafkaError._UNSUPPORTED_FEATURE)  # noqa: SLF001 - public, though named so
"""There is no such group, or the broker can't describe groups: librdkafka's mock can't."""


def _is_coordinator_away(problem: BaseException) -> bool:
    return isinstance(problem, KafkaException) and problem.args[0].code() in _COORDINATOR_AWAY


_ASKING = Retrying(
    retry=retry_if_exception(_is_coordinator_away),
    stop=stop_after_delay(_TIMEOUT),
    wait=wait_fixed(_LOOK_EVERY),
    reraise=True,
)


def ask_coordinator(
    group: str, ask: Callable[..., dict[str, "Future[Any]"]], request: object, **options: object
) -> Any:
    """Return what the coordinator of a group answers. Ask again while it is away. Raises KafkaException."""
    return _ASKING(lambda: ask([request], request_timeout=_TIMEOUT, **options)[group].result())


@contextmanager
def _said(what: str) -> Iterator[None]:
    """If the body's request is refused, raise a BootError that says what was asked for."""
    try:
        yield
    except KafkaException as problem:
        raise BootError(f"{what} can't be asked for: {problem.args[0].str()}") from problem


class LogBounds(NamedTuple):
    """Where a partition's log begins and ends."""

    start: int
    """The first offset that is still there."""
    stable_end: int
    """The end for a read_committed reader: before the first open transaction."""
    end: int


class Admin:
    """One connection to the brokers. Everything raises BootError if they can't be asked."""

    def __init__(self, settings: Settings, timeout: float = BROKER_TIMEOUT) -> None:
        """Connect. Raises BootError if no broker answers within `timeout` seconds, ConfigError."""
        self._errors = ClientErrors()
        self._config = {**client_config(settings, None, defaults={}, ours={}), "error_cb": self._errors}
        try:
            self._client = AdminClient(self._config, logger=QUIET_LOGGER)
        except KafkaException as problem:
            raise as_config_error(problem) from problem
        self._topics(timeout)

    def partitions(self, topic: str) -> list[int]:
        """The partitions of a topic; an empty list if there is no such topic."""
        found = self._topics(_TIMEOUT).get(topic)
        if found is None:
            return []
        if found.error is not None:
            raise BootError(f"topic {topic} can't be read: {found.error.str()}")
        return sorted(found.partitions)

    def log_bounds(self, topic: str, partitions: list[int]) -> dict[int, LogBounds]:
        """Partition → where its log begins and ends."""
        starts = self._list_offsets(topic, partitions, _EARLIEST, IsolationLevel.READ_UNCOMMITTED)
        ends = self._list_offsets(topic, partitions, _LATEST, IsolationLevel.READ_UNCOMMITTED)
        stable = self._list_offsets(topic, partitions, _LATEST, IsolationLevel.READ_COMMITTED)
        return {number: LogBounds(starts[number], stable[number], ends[number]) for number in partitions}

    def offsets_at(self, topic: str, partitions: list[int], time_ms: int) -> dict[int, int | None]:
        """Partition → its first offset of this time (milliseconds since 1970) or later; None if all are older."""
        spec = OffsetSpec.for_timestamp(time_ms)
        found = self._list_offsets(topic, partitions, spec, IsolationLevel.READ_UNCOMMITTED)
        return {number: offset if offset >= 0 else None for number, offset in found.items()}

    def committed(self, group: str) -> dict[str, dict[int, Position]]:
        """Topic → partition → what the group has committed, without what open transactions would commit."""
        self._await_coordinator(group)
        request = ConsumerGroupTopicPartitions(group)
        with _said(f"offsets of group {group}"):
            found = ask_coordinator(group, self._client.list_consumer_group_offsets, request, require_stable=False)
        committed: dict[str, dict[int, Position]] = {}
        for at in found.topic_partitions:
            if at.error is not None:
                where = f"group {group}, partition {at.partition} of {at.topic}"
                raise BootError(f"offset of {where} can't be asked for: {at.error.str()}")
            if at.offset >= 0:
                committed.setdefault(at.topic, {})[at.partition] = position_of(at)
        return committed

    def _await_coordinator(self, group: str) -> None:
        """Wait until a broker answers for the group.

        librdkafka dies of a refusal to tell offsets by a broker that is not the coordinator (yet):
        rd_kafka_handle_OffsetFetch takes every client for a consumer. A refusal to describe the group is an error.
        """
        with _said(f"offsets of group {group}"):
            try:
                ask_coordinator(group, self._client.describe_consumer_groups, group)
            except KafkaException as problem:
                if problem.args[0].code() not in _NO_DESCRIPTION:
                    raise

    def members(self, group: str) -> list[str]:
        """The members of a group, each by its name and host; an empty list if there is no such group."""
        try:
            described = ask_coordinator(group, self._client.describe_consumer_groups, group)
        except KafkaException as problem:
            if problem.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                return []
            raise BootError(f"group {group} can't be described: {problem.args[0].str()}") from problem
        return sorted(
            f"{member.group_instance_id or member.member_id} on {member.host.lstrip('/')}"
            for member in described.members
        )

    def set_offsets(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        """Commit these offsets for a group that has no members. They carry no account."""
        at = [TopicPartition(topic, number, offset) for number, offset in offsets.items()]
        request = ConsumerGroupTopicPartitions(group, at)
        with _said(f"offsets of group {group}"):
            done = ask_coordinator(group, self._client.alter_consumer_group_offsets, request)
        for partition in done.topic_partitions:
            if partition.error is not None:
                where = f"partition {partition.partition} of {topic}"
                raise BootError(f"offset of {where} can't be set: {partition.error.str()}")

    def create_topic(
        self, topic: str, config: Mapping[str, str], partitions: int = 1, replication: int = _BROKERS_DEFAULT
    ) -> None:
        """Make a topic. Return once it can be read.

        Another process may make it at the same time.
        """
        request = [NewTopic(topic, partitions, replication, config=dict(config))]
        [asked] = self._client.create_topics(request, request_timeout=_TIMEOUT).values()
        try:
            asked.result()
        except KafkaException as problem:
            if problem.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise BootError(f"topic {topic} can't be made: {problem.args[0].str()}") from problem
        deadline = time.monotonic() + _TIMEOUT
        while not self._is_readable(topic):
            if time.monotonic() > deadline:
                raise BootError(f"topic {topic} was made, but can't be read after {_TIMEOUT:.0f} s")
            time.sleep(_LOOK_EVERY)

    def topic_config(self, topic: str) -> dict[str, str]:
        """The configuration of a topic."""
        resource = ConfigResource(ResourceType.TOPIC, topic)
        asked = self._client.describe_configs([resource], request_timeout=_TIMEOUT)
        with _said(f"configuration of topic {topic}"):
            entries = asked[resource].result()
        return {name: entry.value for name, entry in entries.items()}

    def _topics(self, timeout: float) -> dict[str, TopicMetadata]:
        """All topics: brokers may create a topic that is asked for by its name."""
        try:
            return self._client.list_topics(timeout=timeout).topics
        except KafkaException as problem:
            self._client.poll(0)
            raise self._errors.no_broker(self._config, problem) from problem

    def _is_readable(self, topic: str) -> bool:
        """Whether all brokers know a new topic yet."""
        try:
            partitions = self.partitions(topic)
            return bool(partitions and self.log_bounds(topic, partitions))
        except BootError:
            return False

    def _list_offsets(
        self, topic: str, partitions: list[int], spec: OffsetSpec, isolation: IsolationLevel
    ) -> dict[int, int]:
        request = {TopicPartition(topic, number): spec for number in partitions}
        asked: dict[TopicPartition, Future[Any]] = self._client.list_offsets(
            request, isolation_level=isolation, request_timeout=_TIMEOUT
        )
        with _said(f"offsets of topic {topic}"):
            return {at.partition: found.result().offset for at, found in asked.items()}
