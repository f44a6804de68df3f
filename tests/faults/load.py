"""Load: a steady flow of numbered messages, and the knowledge of what was acknowledged where."""

import random
import threading
import time
from dataclasses import dataclass

from confluent_kafka import KafkaError, Producer
from confluent_kafka import Message as KafkaMessage

from tests.faults.messages import Fate, Numbered, message, poisoned
from tests.servers.kafka import lasting_client


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


class Load:
    """Produces to one topic from a thread of its own, while it is not paused. Straight to the broker, past the proxies.

    The producer is idempotent and never gives up, so each number stands in the log once, whatever the broker does.
    """

    def __init__(
        self, bootstrap_servers: str, topic: str, partitions: int, *, rate: float, chance: random.Random
    ) -> None:
        """`rate`: messages a second."""
        self._statistics = ""
        self._producer = Producer(
            {
                **lasting_client(bootstrap_servers),
                "enable.idempotence": True,
                "message.timeout.ms": 0,
                "linger.ms": 5,
                "message.max.bytes": 10_000_000,
                "statistics.interval.ms": 5000,
                "stats_cb": self._keep_statistics,
            }
        )
        self._topic = topic
        self._partitions = partitions
        self._rate = rate
        self._chance = chance
        self._number = 0
        self._lock = threading.Lock()
        self._sent: dict[int, Sent] = {}
        self._ends = dict.fromkeys(range(partitions), 0)
        self._refused: list[str] = []
        self._flowing = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._flow, name="load", daemon=True)
        self._thread.start()

    def resume(self) -> None:
        self._flowing.set()

    def pause(self) -> None:
        """Stop, and wait until all that was sent is acknowledged."""
        self._flowing.clear()
        with self._lock:
            left = self._producer.flush(60)
            assert left == 0, f"the broker does not acknowledge what is sent to it: {self._statistics}"
        assert not self._refused, self._refused
        assert self._thread.is_alive()

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

    def _keep_statistics(self, text: str) -> None:
        """Remember what librdkafka says of its connections and of what waits: it tells why nothing is acknowledged."""
        self._statistics = text

    def _flow(self) -> None:
        due = time.monotonic()
        while not self._over.is_set():
            if not self._flowing.wait(0.1):
                due = time.monotonic()
                continue
            with self._lock:
                if self._flowing.is_set():
                    self._produce(message(self._number, self._partitions, self._chance))
                self._producer.poll(0)
            due = max(due + 1 / self._rate, time.monotonic() - 1)
            self._over.wait(max(0.0, due - time.monotonic()))

    def _produce(self, numbered: Numbered) -> None:
        """Called with the lock held."""

        def acknowledged(error: KafkaError | None, record: KafkaMessage) -> None:
            if error is not None:
                self._refused.append(error.str())
                return
            partition, offset = record.partition(), record.offset()
            assert partition is not None
            assert offset is not None
            self._sent[numbered.number] = Sent(
                numbered.number, numbered.fate, partition, offset, numbered.lines, numbered.checksum
            )
            self._ends[partition] = max(self._ends[partition], offset + 1)

        self._producer.produce(
            self._topic,
            partition=numbered.partition,
            key=numbered.key,
            value=numbered.value,
            headers=[*numbered.headers],
            on_delivery=acknowledged,
        )
        self._number += 1
