"""What all models of librdkafka's clients have. Their interface is the one that the product uses."""

import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from confluent_kafka import KafkaError

from tests.simulation.broker import Broker
from tests.simulation.network import Link, error
from tests.simulation.scheduler import Scheduler


def timed_out(what: str) -> Exception:
    return error(KafkaError._TIMED_OUT, f"{what} timed out", retriable=True)


class Client:
    """What all clients have: a way to the brokers, and requests that a caller waits for."""

    def __init__(self, scheduler: Scheduler, broker: Broker, link: Link, rng: random.Random) -> None:
        self.scheduler = scheduler
        self.broker = broker
        self.link = link
        self.rng = rng

    def ask(self, what: str, effect: Callable[[], Any], timeout: float | None = None) -> Any:
        """Send a request and wait for its answer. After a time-out it is on its way still."""
        answer = self.link.request(effect)
        if not answer.wait(timeout):
            raise timed_out(what)
        return answer.result()


def metadata(broker: Broker, topic: str) -> Any:
    found = broker.topic_now()
    return SimpleNamespace(
        controller_id=1,
        brokers={1: None},
        topics={topic: SimpleNamespace(partitions=dict.fromkeys(range(len(found.logs))))},
    )
