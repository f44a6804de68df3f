"""What all Kafka clients share: their configuration, their logs, and the check for broker and topic at the start."""

import logging
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException

from recording_worker.errors import BootError, ConfigError
from recording_worker.kafka.log_lines import ToPlainWords, log_error
from recording_worker.kafka.tls import tls_mismatch
from recording_worker.settings.model import Settings
from recording_worker.settings.types import Properties

LIBRDKAFKA_LOGGER = logging.Logger("librdkafka")
"""For the clients' own log lines, except those that also come as errors."""
LIBRDKAFKA_LOGGER.addHandler(ToPlainWords())

QUIET_LOGGER = logging.Logger("quiet", level=logging.CRITICAL + 1)
"""For clients whose log lines nobody needs: what matters comes as an error."""

BROKER_TIMEOUT = 8.0
"""Seconds in which a broker must answer when a command begins."""

_OURS = {
    "bootstrap.servers": "set bootstrap_servers instead",
    "metadata.broker.list": "set bootstrap_servers instead",
    "group.id": "set group_id instead",
    "group.protocol": "set group_protocol instead",
    "group.instance.id": "set group_instance_id instead",
    "partition.assignment.strategy": "the supervisor needs cooperative-sticky",
    "enable.auto.commit": "offsets are committed once their messages are stored",
    "enable.auto.offset.store": "offsets are committed once their messages are stored",
    "auto.offset.reset": "set on_offset_gap and start_from instead",
    "enable.partition.eof": "it is not an error here",
    "acks": "a record counts once all replicas in sync have it",
    "request.required.acks": "a record counts once all replicas in sync have it",
    "enable.idempotence": "a record counts once",
    "transactional.id": "each worker has its own",
    "isolation.level": "records of transactions that are not committed don't count",
}
"""Properties that the user can't set, and why or what to do instead."""


def client_config(
    settings: Settings, role: str | None, *, defaults: Mapping[str, Any], ours: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the configuration of a client: `defaults`, overridden by the user's properties, and these by `ours`.

    With the `role` "consumer" or "producer" the user's properties for these clients apply, with None only those for
    all clients. Raises ConfigError if the user sets a property of _OURS.
    """
    return {
        "client.id": "recording-worker",
        "error_cb": log_error,
        **defaults,
        **_user_properties(settings, role),
        "bootstrap.servers": settings.bootstrap_servers,
        **ours,
    }


def _user_properties(settings: Settings, role: str | None) -> Properties:
    tables: dict[str, Properties] = {"kafka": settings.kafka}
    if role is not None:
        tables[f"kafka_{role}"] = getattr(settings, f"kafka_{role}")
    for table, properties in tables.items():
        refuse_ours(table, properties)
    return {name: value for properties in tables.values() for name, value in properties.items()}


def refuse_ours(table: str, properties: Properties) -> None:
    """Raise ConfigError if a table of the user's properties sets one of _OURS."""
    for name in properties.keys() & _OURS.keys():
        raise ConfigError(f"[{table}] {name} can't be set: {_OURS[name]}")


def is_fatal(error: KafkaError) -> bool:
    """Return whether the client with this error has to end. A consumer marks fatal errors by their code alone."""
    return error.fatal() or error.code() == KafkaError._FATAL  # noqa: SLF001 - public, though named so


def as_config_error(problem: KafkaException) -> ConfigError:
    """Make an error of what librdkafka says about a configuration that it refuses."""
    return ConfigError(f"Kafka client configuration: {problem.args[0].str()}")


def check_broker(config: Mapping[str, Any], topic: str, timeout: float = BROKER_TIMEOUT) -> None:
    """Check that a broker answers and has the topic. Raises BootError saying what is wrong, ConfigError.

    `config` is a consumer's.
    """
    errors = ClientErrors()
    try:
        consumer = Consumer({**config, "error_cb": errors}, logger=QUIET_LOGGER)
    except KafkaException as problem:
        raise as_config_error(problem) from problem
    try:
        found = consumer.list_topics(topic, timeout=timeout).topics[topic]
    except KafkaException as problem:
        consumer.poll(0)
        raise errors.no_broker(config, problem) from problem
    finally:
        consumer.close()
    if found.error is not None:
        raise BootError(f"topic {topic} can't be read: {found.error.str()}")


class ClientErrors:
    """Collects a client's errors (`error_cb`), which say more than the time-out of a call."""

    def __init__(self) -> None:
        self._first: str | None = None

    def __call__(self, error: KafkaError) -> None:
        self._first = self._first or error.str()

    def no_broker(self, config: Mapping[str, Any], problem: KafkaException) -> BootError:
        """The error if a call failed because no broker answered. Poll the client before: that collects its errors.

        `config` is the client's.
        """
        why = tls_mismatch(config) or self._first or problem.args[0].str()
        return BootError(f"no Kafka broker reachable at {config['bootstrap.servers']}: {why}")
