"""Load: a steady flow of numbered messages, and the knowledge of what was acknowledged where."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka import Message as KafkaMessage

from tests.faults.messages import NUMBER_HEADER, Fate, Numbered, message, poisoned
from tests.servers.kafka import lasting_client

_ACKNOWLEDGED_SECONDS = 60.0
"""Brokers acknowledge within this time, and let their logs be read."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A message the broker has acknowledged."""

    number: int
    fate: Fate
    partition: int
    offset: int
    lines: int
    checksum: int
    """Of its value."""
    session_id: str
    sent_at: float
    """Seconds since 1970."""


class Load:
    """Produces to one topic from a thread of its own, while it is not paused. Straight to the broker, past the proxies.

    The producer is idempotent, so each number stands in the log at most once, whatever the broker does.
    """

    def __init__(
        self, bootstrap_servers: str, topic: str, partitions: int, *, rate: float, chance: random.Random
    ) -> None:
        """`rate`: messages a second."""
        self._bootstrap_servers = bootstrap_servers
        self._producer = self._new_producer()
        self._topic = topic
        self._partitions = partitions
        self._rate = rate
        self._chance = chance
        self._number = 0
        self._lock = threading.Lock()
        self._sent: dict[int, Sent] = {}
        self._ends = dict.fromkeys(range(partitions), 0)
        self._known_ends = dict(self._ends)
        """The ends at the last pause. All that was sent before is known."""
        self._unacknowledged: dict[int, Numbered] = {}
        """What was sent, and is not known to be in the log."""
        self._refused: list[str] = []
        self._favoured: str | None = None
        """The id of the session that more messages are of."""
        self._flowing = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._flow, name="load", daemon=True)
        self._thread.start()

    def _new_producer(self) -> Producer:
        return Producer(
            {
                **lasting_client(self._bootstrap_servers),
                "enable.idempotence": True,
                "message.timeout.ms": 0,
                "linger.ms": 5,
                "message.max.bytes": 10_000_000,
            }
        )

    def resume(self) -> None:
        self._flowing.set()

    def pause(self) -> None:
        """Stop, and wait until it is known where all that was sent is in the log."""
        self._flowing.clear()
        with self._lock:
            if self._producer.flush(_ACKNOWLEDGED_SECONDS):
                self._start_over()
            if self._unacknowledged:
                self._look_up()
            self._known_ends = dict(self._ends)
        assert not self._refused, self._refused
        assert self._thread.is_alive()

    @contextmanager
    def favouring(self, session_id: str) -> Iterator[None]:
        """Have every other message be of this session, one of `messages.some_session`."""
        self._favoured = session_id
        try:
            yield
        finally:
            self._favoured = None

    def send_poisoned(self, text: str) -> None:
        """Send a message at which the native core fails."""
        with self._lock:
            self._produce(poisoned(self._number, self._partitions, self._chance, text))

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self._producer.purge()  # if the broker is away, closing would wait for it for ever
        self._producer.close()

    @property
    def ends(self) -> dict[int, int]:
        """Partition → the offset behind the last acknowledged message."""
        return dict(self._ends)

    def take_sent(self) -> list[Sent]:
        """What was acknowledged since this was last asked. Only while the load is paused."""
        sent, self._sent = [*self._sent.values()], {}
        return sent

    @property
    def messages(self) -> int:
        """How many were sent."""
        return self._number

    def _start_over(self) -> None:
        """Take another producer; what the last one has sent without an acknowledgement may be in the log or not.

        A client that hears once that there are no brokers (all of them seem dead to the controller for a moment)
        asks nobody any more. Called with the lock held.
        """
        self._producer.purge()
        self._producer.close()
        self._refused.clear()
        self._producer = self._new_producer()

    def _look_up(self) -> None:
        """Read what was sent since the last pause, for the messages that are in the log at a place nobody has told.

        A message that is sent again, since its acknowledgement was lost, is acknowledged without its offset.
        """
        unknown, self._unacknowledged = self._unacknowledged, {}
        config = {
            **lasting_client(self._bootstrap_servers),
            "group.id": "fault-suite-load",
            "auto.offset.reset": "error",
        }
        reader = Consumer({**config, "enable.partition.eof": True, "enable.auto.commit": False})
        reader.assign([TopicPartition(self._topic, partition, end) for partition, end in self._known_ends.items()])
        left: set[int | None] = {*self._known_ends}
        deadline = time.monotonic() + _ACKNOWLEDGED_SECONDS
        while left:
            assert time.monotonic() < deadline, f"the end of {self._topic} can't be read in partitions {left}"
            for record in reader.consume(500, 0.1):
                error = record.error()
                if error is None:
                    headers: Any = record.headers()
                    number = int(dict(headers)[NUMBER_HEADER])
                    if number in unknown:
                        self._note(unknown[number], record)
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard(record.partition())
        reader.close()

    def _note(self, numbered: Numbered, record: KafkaMessage) -> None:
        """Note where a message stands in the log."""
        partition, offset = record.partition(), record.offset()
        assert partition is not None
        assert offset is not None
        self._unacknowledged.pop(numbered.number, None)
        self._sent[numbered.number] = Sent(
            numbered.number,
            numbered.fate,
            partition,
            offset,
            numbered.lines,
            numbered.checksum,
            numbered.key.decode(),
            record.timestamp()[1] / 1000,
        )
        self._ends[partition] = max(self._ends[partition], offset + 1)

    def _flow(self) -> None:
        due = time.monotonic()
        while not self._over.is_set():
            if not self._flowing.wait(0.1):
                due = time.monotonic()
                continue
            with self._lock:
                if self._flowing.is_set():
                    session_id = self._favoured if self._number % 2 else None
                    self._produce(message(self._number, self._partitions, self._chance, session_id))
                self._producer.poll(0)
            due = max(due + 1 / self._rate, time.monotonic() - 1)
            self._over.wait(max(0.0, due - time.monotonic()))

    def _produce(self, numbered: Numbered) -> None:
        """Called with the lock held."""

        def acknowledged(error: KafkaError | None, record: KafkaMessage) -> None:
            if error is not None:
                self._refused.append(error.str())
            elif record.offset() is not None:
                self._note(numbered, record)

        self._unacknowledged[numbered.number] = numbered
        self._producer.produce(
            self._topic,
            partition=numbered.partition,
            key=numbered.key,
            value=numbered.value,
            headers=[*numbered.headers],
            on_delivery=acknowledged,
        )
        self._number += 1
