"""Feeder: sends messages to a topic, at a given rate, or as fast as a consumer group commits them."""

import time
from collections import Counter, defaultdict, deque

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka import Message as KafkaMessage

from recording_worker.errors import WorkerError
from recording_worker.kafka.clients import QUIET_LOGGER, as_config_error
from recording_worker.kafka.consumer import consumer_config
from recording_worker.kafka.producer import producer_config
from recording_worker.messages import Message, bytes_of
from recording_worker.settings.model import Settings

MIB = 1024 * 1024

MAX_FOLLOWED_BYTES = 2 * MIB
"""Size of the largest message that is sent while a group is followed. The embedded broker loses larger ones."""

_MAX_OUTSTANDING_BYTES = 4 * MIB
"""Bytes that a partition may hold which the group has not committed. The embedded broker keeps 5 MiB."""
_RECORD_OVERHEAD = 100
_POLL_INTERVAL = 0.1
_ANSWER_TIMEOUT = 30.0
"""Seconds without an answer about the group's offsets, after which `look` fails."""
_COMMIT_TIMEOUT = 300.0
"""Seconds without a commit by a group that has messages to read, after which `look` fails."""


class Feeder:
    """Sends messages to `settings.topic`. The key decides the partition, as with Java clients.

    `rate` is in messages per second. With `follow` a message waits while the group has not committed too many bytes.
    """

    def __init__(self, settings: Settings, *, rate: float | None = None, follow: "GroupFollower | None" = None) -> None:
        config = {"partitioner": "murmur2_random", **producer_config(settings, linger_ms=5), "error_cb": lambda _: None}
        try:
            self._producer = Producer(config, logger=QUIET_LOGGER)
        except KafkaException as problem:
            raise as_config_error(problem) from problem
        self._topic = settings.topic
        self._rate = rate
        self._follow = follow
        self._started = time.monotonic()
        self._unacknowledged = 0
        self.sent = 0
        """Messages that were handed over to be sent."""
        self.acknowledged = 0
        self.failures: Counter[str] = Counter()
        """Messages that the broker refused, by the reason."""

    def send(self, message: Message) -> None:
        """Send a message as soon as rate and group allow. Raises WorkerError if it is too large to follow a group."""
        size = _size(message)
        if self._rate is not None:
            self._serve_until(self._started + self.sent / self._rate)
        if self._follow is not None:
            self._wait_for_group(self._follow, size)
        self.sent += 1
        self._unacknowledged += size
        while True:
            try:
                self._producer.produce(
                    self._topic,
                    key=message.key,
                    value=message.value,
                    headers=[*message.headers],
                    timestamp=max(message.timestamp_ms, 0),
                    on_delivery=lambda error, sent: self._on_delivery(error, sent, size),
                )
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as problem:
                self._fail(problem.args[0], size)
                break
            else:
                break
        self._producer.poll(0)

    def finish(self) -> None:
        """Wait until every message is acknowledged or has failed."""
        self._producer.flush()

    def _serve_until(self, moment: float) -> None:
        while (left := moment - time.monotonic()) > 0:
            self._producer.poll(min(left, 0.1))

    def _wait_for_group(self, group: "GroupFollower", size: int) -> None:
        if size > MAX_FOLLOWED_BYTES:
            raise WorkerError(
                f"a message of {size:,} bytes is too large to be sent while a group is followed"
                f" (at most {MAX_FOLLOWED_BYTES:,})"
            )
        while not group.has_room(self._unacknowledged + size):
            self._producer.poll(0.02)
            group.look()

    def _on_delivery(self, error: KafkaError | None, sent: KafkaMessage, size: int) -> None:
        if error is not None:
            self._fail(error, size)
            return
        self._unacknowledged -= size
        self.acknowledged += 1
        if self._follow is not None:
            partition, offset = sent.partition(), sent.offset()
            assert partition is not None
            assert offset is not None
            self._follow.add(partition, offset, size)

    def _fail(self, error: KafkaError, size: int) -> None:
        self._unacknowledged -= size
        self.failures[error.str()] += 1


class GroupFollower:
    """Knows how many of the sent bytes a consumer group has not committed yet."""

    def __init__(self, settings: Settings, group: str) -> None:
        config = consumer_config(settings.model_copy(update={"group_id": group})) | {"error_cb": lambda _: None}
        try:
            self._consumer = Consumer(config, logger=QUIET_LOGGER)
        except KafkaException as problem:
            raise as_config_error(problem) from problem
        self._group = group
        self._topic = settings.topic
        self._sent: defaultdict[int, deque[tuple[int, int]]] = defaultdict(deque)
        """Partition → (offset, bytes) of the messages that are not committed yet."""
        self._outstanding: Counter[int] = Counter()
        self._looked = self._seen = self._moved = time.monotonic()

    def add(self, partition: int, offset: int, size: int) -> None:
        """Note that a message is in the topic."""
        self._moved = time.monotonic()
        self._sent[partition].append((offset, size))
        self._outstanding[partition] += size

    def has_room(self, size: int) -> bool:
        """Return whether every partition can take this many more bytes."""
        return max(self._outstanding.values(), default=0) + size <= _MAX_OUTSTANDING_BYTES

    @property
    def is_done(self) -> bool:
        """Whether the group has committed all messages that were added."""
        return not any(self._sent.values())

    def look(self) -> None:
        """Ask for the group's committed offsets, unless that was done a moment ago.

        Raises WorkerError if there was no answer, or no commit, for too long.
        """
        now = time.monotonic()
        if now - self._looked < _POLL_INTERVAL:
            return
        self._looked = now
        wanted = [TopicPartition(self._topic, partition) for partition, sent in self._sent.items() if sent]
        try:
            committed = self._consumer.committed(wanted, timeout=5) if wanted else []
        except KafkaException as problem:
            if now - self._seen > _ANSWER_TIMEOUT:
                raise WorkerError(f"can't read the offsets of group {self._group}: {problem.args[0].str()}") from None
            return
        self._seen = now
        for found in committed:
            self._forget_below(found.partition, found.offset)
        if wanted and now - self._moved > _COMMIT_TIMEOUT:
            raise WorkerError(f"group {self._group} has committed nothing for {_COMMIT_TIMEOUT:.0f} s")

    def close(self) -> None:
        self._consumer.close()

    def _forget_below(self, partition: int, offset: int) -> None:
        sent = self._sent[partition]
        while sent and sent[0][0] < offset:
            self._outstanding[partition] -= sent.popleft()[1]
            self._moved = self._looked


def _size(message: Message) -> int:
    return bytes_of(message.key, message.value, message.headers) + _RECORD_OVERHEAD
