"""KafkaProbe: what one cluster says about its brokers, its topics, and what this client may do."""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclOperation,
    AdminClient,
    ConfigResource,
    ResourceType,
    TopicMetadata,
)

from recording_worker.errors import BootError, ConfigError
from recording_worker.kafka.clients import QUIET_LOGGER, ClientErrors, as_config_error, client_config
from recording_worker.kafka.group_member import member_config
from recording_worker.kafka.producer import producer_config
from recording_worker.settings.model import Settings

_OWN_IDENTITY = ("sasl.", "ssl.", "security.protocol")
"""Properties by which brokers know a client begin so."""

_UNKNOWN_TOPIC = "Broker: Unknown topic or partition"
"""What librdkafka says of a topic that does not exist."""


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """What is known about a topic."""

    name: str
    error: str = ""
    """Why it can't be used; empty if it can."""
    missing: bool = False
    partitions: int = 0
    replicas: int = 0
    """The fewest copies that a partition has."""
    in_sync: int = 0
    """The fewest copies in sync that a partition has."""
    leaderless: tuple[int, ...] = ()
    """Partitions that nobody leads, and so nobody can read or write."""
    config: Mapping[str, str] | None = None
    """None if it can't be asked for."""
    allowed: frozenset[str] | None = None
    """What this client may do, such as READ and WRITE; None if the brokers don't say."""


class KafkaProbe:
    """Asks one cluster. The questions of a call are under way together."""

    def __init__(self, settings: Settings, *, connect_seconds: float, answer_seconds: float) -> None:
        """Connect. Raises BootError if no broker answers within `connect_seconds`, and ConfigError."""
        errors = ClientErrors()
        config = {**client_config(settings, None, defaults={}, ours={}), "error_cb": errors}
        try:
            self._client = AdminClient(config, logger=QUIET_LOGGER)
        except KafkaException as problem:
            raise as_config_error(problem) from problem
        try:
            # all topics: brokers may create a topic that is asked for by its name
            found = self._client.list_topics(timeout=connect_seconds)
        except KafkaException as problem:
            self._client.poll(0)
            raise errors.no_broker(config, problem) from problem
        self._timeout = answer_seconds
        self._known: dict[str, TopicMetadata] = found.topics
        self.brokers = len(found.brokers)
        self._can_describe = found.controller_id in found.brokers
        """Not the embedded broker: it only knows the requests of consumers and producers."""

    def topics(self, names: Iterable[str]) -> dict[str, TopicFacts]:
        """Return name → what is known about each of these topics."""
        wanted = list(dict.fromkeys(names))
        configs: dict[str, Future[Any]] = {}
        described: dict[str, Future[Any]] = {}
        if self._can_describe and wanted:
            for name in wanted:
                resource = ConfigResource(ResourceType.TOPIC, name)
                [configs[name]] = self._client.describe_configs([resource], request_timeout=self._timeout).values()
            described = self._client.describe_topics(
                TopicCollection(wanted), include_authorized_operations=True, request_timeout=self._timeout
            )
        return {name: _facts(name, self._known.get(name), configs.get(name), described.get(name)) for name in wanted}

    def group_rights(self, group: str) -> frozenset[str] | None:
        """Return what this client may do with a group; None if that is not known, as for a group that is new.

        Raises BootError if it may do nothing at all with it.
        """
        if not self._can_describe:
            return None
        [asked] = self._client.describe_consumer_groups(
            [group], include_authorized_operations=True, request_timeout=self._timeout
        ).values()
        try:
            return _operations(asked.result().authorized_operations)
        except KafkaException as problem:
            error = problem.args[0]
            if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
                raise BootError(f"group {group} can't be joined: {error.str()}") from problem
            return None

    def creates_missing(self) -> bool | None:
        """Return whether the brokers create topics that are missing; None if they don't say."""
        if not self._can_describe:
            return None
        [asked] = self._client.describe_configs(
            [ConfigResource(ResourceType.BROKER, str(self._any_broker()))], request_timeout=self._timeout
        ).values()
        try:
            entry = asked.result().get("auto.create.topics.enable")
        except KafkaException:
            return None
        return None if entry is None else entry.value == "true"

    def _any_broker(self) -> int:
        return min(self._client.list_topics(timeout=self._timeout).brokers)


def refused_configurations(settings: Settings) -> list[ConfigError]:
    """Return what is wrong with the properties of the supervisor's consumer and of a worker's producer."""
    found: list[ConfigError] = []
    for client, make_config in ((Consumer, member_config), (Producer, producer_config)):
        try:
            made = client(make_config(settings), logger=QUIET_LOGGER)
        except KafkaException as problem:
            found.append(as_config_error(problem))
        except ConfigError as problem:
            found.append(problem)
        else:
            if isinstance(made, Consumer):
                made.close()
    return found


def has_own_identity(properties: Mapping[str, object]) -> bool:
    """Return whether clients with these properties may have other rights than those without."""
    return any(name.startswith(_OWN_IDENTITY) for name in properties)


def _facts(
    name: str, known: TopicMetadata | None, config: "Future[Any] | None", described: "Future[Any] | None"
) -> TopicFacts:
    error, allowed = _description(described)
    if error is None and known is not None:
        error = known.error
    if error is not None or known is None:
        missing = error is None or error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART
        return TopicFacts(name, error=_UNKNOWN_TOPIC if error is None else error.str(), missing=missing)
    partitions = known.partitions.values()
    return TopicFacts(
        name,
        partitions=len(partitions),
        replicas=min((len(at.replicas) for at in partitions), default=0),
        in_sync=min((len(at.isrs) for at in partitions), default=0),
        leaderless=tuple(sorted(at.id for at in partitions if at.leader < 0)),
        config=_config(config),
        allowed=allowed,
    )


def _description(asked: "Future[Any] | None") -> tuple[KafkaError | None, frozenset[str] | None]:
    """Return what a broker says against a topic, and what this client may do with it."""
    if asked is None:
        return None, None
    try:
        return None, _operations(asked.result().authorized_operations)
    except KafkaException as problem:
        error = problem.args[0]
        return (error if error.code() > 0 else None), None  # an error of librdkafka's own is no answer


def _config(asked: "Future[Any] | None") -> dict[str, str] | None:
    if asked is None:
        return None
    try:
        return {name: str(entry.value) for name, entry in asked.result().items()}
    except KafkaException:  # the right to ask for it is no right that the worker needs
        return None


def _operations(given: "list[AclOperation] | None") -> frozenset[str] | None:
    """Return the names of operations. Brokers that don't know an answer give none."""
    return frozenset(operation.name for operation in given) if given else None
