"""The topics that a worker writes to: on which cluster each of them is, and whether it can be written to."""

import time
from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException, Producer

from recording_worker.errors import BootError
from recording_worker.kafka.clients import LIBRDKAFKA_LOGGER, as_config_error, refuse_ours
from recording_worker.kafka.producer import producer_config
from recording_worker.settings.choices import Delivery
from recording_worker.settings.model import Settings

_TOPIC_CREATION_TIMEOUT = 2.0
"""Seconds that brokers which create missing topics get to create one."""

_OUTPUTS = ("metadata_topic", "console_logs_topic", "warnings_topic", "dlq_topic", "overflow_topic")
_MAY_BE_ELSEWHERE = {
    "console_logs_topic": "console_logs_bootstrap_servers",
    "warnings_topic": "warnings_bootstrap_servers",
}
"""Setting of a topic → setting of the brokers of its cluster, if it has one of its own."""


def elsewhere(settings: Settings) -> dict[str, Settings]:
    """Return setting of a topic → settings for its cluster, for the topics that have one of their own.

    Raises ConfigError.
    """
    refuse_ours("kafka_outputs", settings.kafka_outputs)
    clusters: dict[str, Settings] = {}
    for topic, servers in _MAY_BE_ELSEWHERE.items():
        if getattr(settings, servers) is not None:
            clusters[topic] = settings.model_copy(
                update={
                    "bootstrap_servers": getattr(settings, servers),
                    "kafka": settings.kafka_outputs,
                    "kafka_producer": {},
                    "delivery": Delivery.EXACTLY_ONCE,  # there are no transactions, but nothing is doubled on its way
                }
            )
    return clusters


def outputs(settings: Settings) -> dict[str, Settings]:
    """Return setting of a topic → settings for its cluster, for all topics that a worker writes to. Raises ConfigError.

    The input topic is not among them, even if it is the overflow topic or the backfill topic.
    """
    names = [*_OUTPUTS, *(["backfill_topic"] if settings.lag_shed_after is not None else [])]
    names += ["progress_topic"] if settings.progress_topic is not None else []
    clusters = elsewhere(settings)
    return {name: clusters.get(name, settings) for name in names}


def ask_for_topics(settings: Settings, topics: Iterable[str], timeout: float) -> dict[str, str]:
    """Ask for topics by their names, which makes brokers create them that create what is missing.

    Return topic → what is wrong with it, for those with which something is. Raises BootError and ConfigError.
    """
    try:
        producer = Producer(producer_config(settings), logger=LIBRDKAFKA_LOGGER)
    except KafkaException as problem:
        raise as_config_error(problem) from problem
    try:
        errors = {topic: _topic_error(producer, topic, timeout) for topic in topics}
    except KafkaException as problem:
        where = settings.bootstrap_servers
        raise BootError(f"Kafka at {where} can't be asked about topics: {problem.args[0].str()}") from problem
    return {topic: error.str() for topic, error in errors.items() if error is not None}


def _topic_error(producer: Producer, topic: str, timeout: float) -> KafkaError | None:
    """Return what is wrong with a topic, or None. The question may make brokers create it, which takes a moment."""
    deadline = time.monotonic() + _TOPIC_CREATION_TIMEOUT
    while True:
        error: KafkaError | None = producer.list_topics(topic, timeout=timeout).topics[topic].error
        if error is None or error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART or time.monotonic() > deadline:
            return error
        time.sleep(0.1)
