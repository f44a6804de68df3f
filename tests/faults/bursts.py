"""Bursts: one to three faults that overlap, or that follow so closely that the hosts still recover from the first."""

import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from confluent_kafka import KafkaException

from tests.faults.arena import Round
from tests.faults.kinds import KINDS, Kind
from tests.faults.table import Outcome
from tests.servers.child import ServerError

_AFTER_SECONDS = 0.3
"""What is sent for so long after the end of a fault has to be committed before the group counts as recovered."""
_ATTEMPTS = 3
"""A fault that hits nothing is tried so often, each time with other random choices."""
NOT_RECOVERED = (AssertionError, TimeoutError, ServerError, KafkaException)
"""What a wait ends with that is in vain.

A fault ends so too if another one has made it impossible: there is no worker to kill on a host that is frozen.
"""


class Draw:
    """Draws kinds: each that is possible once, then by weight."""

    def __init__(self, chance: random.Random, kinds: tuple[Kind, ...] = KINDS) -> None:
        self._chance = chance
        self._kinds = kinds
        self._drawn: Counter[str] = Counter()

    def burst(self, at: Round, size: int) -> list[Kind]:
        """Kinds that can happen together; less than asked for if the first one can't overlap with any."""
        kinds = [self._kind(at, lambda _kind: True)]
        while len(kinds) < size and not kinds[0].alone:
            kinds.append(self._kind(at, lambda kind: not kind.alone))
        return kinds

    def missed(self, kind: Kind) -> None:
        """It has hit nothing, so it counts as not drawn."""
        self._drawn[kind.name] -= 1

    def _kind(self, at: Round, fits: Callable[[Kind], bool]) -> Kind:
        possible = [kind for kind in self._kinds if kind.is_possible(at) and fits(kind)]
        fresh = [kind for kind in possible if not self._drawn[kind.name]]
        weights = [kind.weight for kind in possible]
        drawn = self._chance.choice(fresh) if fresh else self._chance.choices(possible, weights)[0]
        self._drawn[drawn.name] += 1
        return drawn


@dataclass(frozen=True, slots=True)
class Hit:
    """A fault that has hit something."""

    kind: Kind
    hits: int


@dataclass(frozen=True, slots=True)
class Miss:
    """A fault that has hit nothing, and why."""

    kind: Kind
    why: str


def suffer(at: Round, kinds: list[Kind], seed: str) -> list[Hit | Miss]:
    """Inject these faults. Each begins a moment after the one before, or just after its end. Returns when all are over.

    Raises AssertionError if a single fault does not show what it must.
    """
    if len(kinds) == 1:
        return [_inject(at, kinds[0])]
    done: list[Future[Hit | Miss]] = []
    with ThreadPoolExecutor(len(kinds)) as pool:
        for number, kind in enumerate(kinds):
            if done:
                if at.chance.random() < 0.5:
                    done[-1].result()
                time.sleep(at.chance.uniform(0, 2))
            done.append(pool.submit(_inject_beside_others, at.for_fault(f"{seed}-{number}"), kind))
    return [future.result() for future in done]


def _inject(at: Round, kind: Kind) -> Hit | Miss:
    why = ""
    for _attempt in range(_ATTEMPTS):
        try:
            return Hit(kind, kind.inject(at))
        except (TimeoutError, KafkaException) as problem:
            why = str(problem)
    return Miss(kind, why)


def _inject_beside_others(at: Round, kind: Kind) -> Hit | Miss:
    try:
        return _inject(at, kind)
    except NOT_RECOVERED as problem:
        return Miss(kind, str(problem))


def one_burst(at: Round, kinds: list[Kind], seed: str) -> tuple[list[Outcome], list[Miss]]:
    """Inject faults, wait until the hosts have recovered, and count all messages.

    What was lost or doubled is in the first outcome. There is one even if no fault has hit anything, but something is
    wrong. Raises AssertionError or TimeoutError if the hosts don't recover.
    """
    at.load.resume()
    time.sleep(at.chance.uniform(0, 1))
    results = suffer(at, kinds, seed)
    over = time.monotonic()
    time.sleep(_AFTER_SECONDS)
    at.recover(at.load.ends)
    recovery = time.monotonic() - over
    at.load.pause()
    at.recover(at.load.ends)
    hits = [one for one in results if isinstance(one, Hit)]
    counted = at.check(" and ".join(kind.name for kind in kinds), recovery)
    counted.together = len(hits)
    outcomes = [replace(counted, kind=hit.kind.name, hits=hit.hits) for hit in hits]
    for other in outcomes[1:]:
        other.messages, other.lost, other.doubled, other.wrong = 0, 0, 0, []
    if counted.wrong and not hits:
        outcomes = [counted]
    return outcomes, [one for one in results if isinstance(one, Miss)]
