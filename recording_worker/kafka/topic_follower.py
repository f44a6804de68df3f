"""TopicFollower: reads a topic from where it was read before, to its end and on, as a read_committed reader."""

from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from recording_worker.errors import WorkerError
from recording_worker.kafka.clients import QUIET_LOGGER, as_config_error
from recording_worker.kafka.consumer import consumer_config
from recording_worker.kafka.topic_id import TopicIdentity
from recording_worker.kafka.topic_reader import record_of
from recording_worker.messages import Record
from recording_worker.settings.model import Settings

_TIMEOUT = 10.0
"""Seconds to wait for the brokers' answer about the topic."""
_RECORDS_AT_ONCE = 1000


class TopicFollower:
    """Follows one topic. Everything raises WorkerError if the brokers don't answer. For one thread."""

    def __init__(self, settings: Settings, topic: str, positions: Mapping[tuple[str, int], int]) -> None:
        """`positions`: (name of a log, partition) → the next offset to read. Without one, it is read from its start.

        The name of a log has the topic's id in it: a topic that is created again is read from its start. If the log no
        longer holds the offset, it is read from its start too.
        """
        config = {**consumer_config(settings), "enable.partition.eof": True, "auto.offset.reset": "earliest"}
        try:
            self._consumer = Consumer(config, logger=QUIET_LOGGER)
        except KafkaException as problem:
            raise as_config_error(problem) from problem
        self._topic = topic
        self.positions: dict[tuple[str, int], int] = {}
        """(name of the log, partition) → the next offset to read."""
        try:
            self._identity = TopicIdentity(settings, topic)
            self._log = f"{topic} {self._identity.topic_id}".rstrip()
            found = self._consumer.list_topics(topic, timeout=_TIMEOUT).topics[topic]
            if found.error is not None:
                raise WorkerError(f"topic {topic} can't be followed: {found.error.str()}")
            starts = {number: positions.get((self._log, number), 0) for number in found.partitions}
            self._consumer.assign([TopicPartition(topic, *start) for start in starts.items()])
        except (KafkaException, WorkerError) as problem:
            self._consumer.close()
            if isinstance(problem, WorkerError):
                raise
            raise WorkerError(f"topic {topic} can't be followed: {problem.args[0].str()}") from problem
        self._behind = set(starts)

    @property
    def has_reached_end(self) -> bool:
        """Whether each partition was read to an end that it had since the start."""
        return not self._behind

    def read(self, timeout: float) -> list[Record]:
        """Return the next records; an empty list if none comes within `timeout`, in seconds.

        Raises WorkerError, too, once the topic was deleted and created again.
        """
        if self._identity.has_changed():
            raise WorkerError(f"topic {self._topic} was deleted and created again: it is read from its start")
        records = []
        for message in self._consumer.consume(_RECORDS_AT_ONCE, timeout):
            error = message.error()
            if error is None:
                record = record_of(message)
                self.positions[self._log, record.partition] = record.offset + 1
                records.append(record)
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - public, though named so
                self._behind.discard(message.partition())
            else:
                raise WorkerError(f"topic {self._topic} can't be followed: {error.str()}")
        return records

    def close(self) -> None:
        self._consumer.close()
