"""Reads topics from their beginning on, while others still write to them."""

import time
from collections.abc import Iterable, Iterator

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from recording_worker.errors import WorkerError
from recording_worker.kafka.clients import QUIET_LOGGER, as_config_error
from recording_worker.kafka.consumer import consumer_config
from recording_worker.kafka.topic_reader import record_of
from recording_worker.messages import Record
from recording_worker.settings.model import Settings

_TIMEOUT = 10.0
"""Seconds to wait for the broker's answer, or for its next records."""
_READ_TIMEOUT = 0.1
_RECORDS_AT_ONCE = 1000


class TopicTail:
    """Reads some topics from their beginning on. Everything raises WorkerError if the broker does not answer."""

    def __init__(self, settings: Settings, topics: Iterable[str]) -> None:
        try:
            self._consumer = Consumer(consumer_config(settings), logger=QUIET_LOGGER)
        except KafkaException as problem:
            raise as_config_error(problem) from problem
        self._positions: dict[tuple[str, int], int] = {}
        try:
            for topic in topics:
                for partition in self._consumer.list_topics(topic, timeout=_TIMEOUT).topics[topic].partitions:
                    self._positions[topic, partition] = 0
        except KafkaException as problem:
            self._consumer.close()
            raise _unreadable(problem) from problem
        self._consumer.assign([TopicPartition(*place, OFFSET_BEGINNING) for place in self._positions])

    def read(self, timeout: float = 0) -> list[Record]:
        """Return the next records; an empty list if no record comes within `timeout`, in seconds."""
        records = []
        for message in self._consumer.consume(_RECORDS_AT_ONCE, timeout):
            if (error := message.error()) is not None:
                raise WorkerError(f"can't read topic {message.topic()}: {error.str()}")
            record = record_of(message)
            self._positions[record.topic, record.partition] = record.offset + 1
            records.append(record)
        return records

    def read_to_end(self) -> Iterator[Record]:
        """Yield the records up to the present end of each partition, then close."""
        try:
            for topic, partition in self._positions:
                _, end = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_TIMEOUT)
                heard = time.monotonic()
                while self._positions[topic, partition] < end:
                    if records := self.read(_READ_TIMEOUT):
                        heard = time.monotonic()
                    elif time.monotonic() - heard > _TIMEOUT:
                        raise WorkerError(f"can't read topic {topic}: the broker sends nothing more")
                    yield from records
        except KafkaException as problem:
            raise _unreadable(problem) from problem
        finally:
            self._consumer.close()


def _unreadable(problem: KafkaException) -> WorkerError:
    return WorkerError(f"can't read topics: {problem.args[0].str()}")
