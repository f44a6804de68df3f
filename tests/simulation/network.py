"""A model of the network between processes and brokers: delays, cut links, requests that arrive though nobody waits."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException

from tests.simulation.scheduler import Future, Process, Scheduler

_SLOW = 20.0
"""How much longer slow brokers take. A client would ask again after a minute: no answer may take that long."""


def error(code: int, text: str, *, fatal: bool = False, retriable: bool = False, abort: bool = False) -> KafkaException:
    return KafkaException(KafkaError(code, text, fatal, retriable, abort))


class Link:
    """A process's way to the brokers."""

    def __init__(self, network: "Network", process: Process, host: "HostLink") -> None:
        self._network = network
        self.process = process
        self.host = host

    @property
    def is_up(self) -> bool:
        return not self._network.down and not self.host.cut

    def request(self, effect: Callable[[], object]) -> "Future[object]":
        """Send a request. Its answer comes once the link is up. What is sent arrives even if the sender is dead."""
        return self._network.request(self, effect)


@dataclass(slots=True)
class HostLink:
    cut: int = 0
    """How many faults cut it off now."""


class Busy(Exception):  # noqa: N818 - not an error
    """The broker can't answer yet: the request is sent again."""


class Network:
    """Carries requests and answers, each with a delay. Links that are cut hold them up."""

    def __init__(self, scheduler: Scheduler, rng: random.Random) -> None:
        self._scheduler = scheduler
        self._rng = rng
        self.down = 0
        """How many faults keep the brokers away now."""
        self.slow = 0
        """How many faults keep the brokers slow now."""

    def delay(self) -> float:
        fast = self._rng.random() < 0.97
        return self._rng.uniform(0.001, 0.01 if fast else 2.5) * (_SLOW if self.slow else 1)

    def request(self, link: Link, effect: Callable[[], object]) -> "Future[object]":
        answer: Future[object] = Future(self._scheduler)
        self._scheduler.call(self.delay(), lambda: self._arrive(link, effect, answer))
        return answer

    def _arrive(self, link: Link, effect: Callable[[], object], answer: "Future[object]") -> None:
        if not link.is_up:
            if link.process.alive:  # the client sends it again, unless it is dead
                self._scheduler.call(self._rng.uniform(0.1, 0.3), lambda: self._arrive(link, effect, answer))
            return
        result: object = None
        problem: Exception | None = None
        try:
            result = effect()
        except Busy:
            if link.process.alive:
                self._scheduler.call(self._rng.uniform(0.02, 0.1), lambda: self._arrive(link, effect, answer))
            return
        except KafkaException as refused:
            problem = refused
        self._scheduler.call(self.delay(), lambda: self._answer(link, answer, result, problem))

    def _answer(self, link: Link, answer: "Future[object]", result: object, problem: Exception | None) -> None:
        if not link.process.alive:
            return
        if not link.is_up:
            self._scheduler.call(self._rng.uniform(0.1, 0.3), lambda: self._answer(link, answer, result, problem))
        elif problem is not None:
            answer.set_exception(problem)
        else:
            answer.set_result(result)
