"""`python -m tests.faults.run`: faults at random moments, each followed by recovery and a count of every message.

Prints each fault as it goes and tables at the end; exit code 1 if a message is lost, doubled or wrong. Ctrl-C and
SIGTERM end it: what it has found until then counts.
"""

import argparse
import itertools
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.faults.arena import Arena, Round
from tests.faults.bursts import NOT_RECOVERED, Draw, one_burst
from tests.faults.key_servers import KINDS as KEYS
from tests.faults.kinds import KINDS, Kind
from tests.faults.surroundings import MEMBERSHIPS, Surroundings
from tests.faults.table import FAULTS, Outcome, Sums, add_run, publish

ROUND_FAULTS = 8
"""Faults between two fresh starts: what `verify` reads at the end of a round stays bounded by it."""
RATE = 20.0
"""Messages a second."""
STORAGES = {"folder": ["folder"], "s3": ["s3"], "both": ["folder", "s3"]}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is to do."""

    faults: int
    seed: int
    brokers: int = 1
    concurrent: int = 1
    """The most faults that overlap."""
    storage: str = "folder"
    minutes: float = float("inf")
    """No fault begins later."""

    @property
    def command(self) -> str:
        chosen = f"BROKERS={self.brokers} CONCURRENT={self.concurrent} STORAGE={self.storage}"
        return f"make faults FAULTS={self.faults} {chosen} SEED={self.seed}"

    def surroundings(self, number: int) -> Surroundings:
        """What a round runs on: memberships and storages in turn, and a third of the rounds on Redis and PostgreSQL.

        In two thirds of the rounds sessions are encrypted.
        """
        storages = STORAGES[self.storage]
        return Surroundings(
            MEMBERSHIPS[(self.seed + number) % len(MEMBERSHIPS)],
            storages[(self.seed + number) % len(storages)],
            stores=(self.seed + number // len(MEMBERSHIPS) + number) % 3 == 0,
            keys=KEYS[(self.seed + number // 2) % len(KEYS)],
        )


def run_faults(plan: Plan, kinds: tuple[Kind, ...], folder: Path, say: Callable[[str], None]) -> Iterator[Outcome]:
    """Inject faults in rounds, and give what each led to."""
    end = time.monotonic() + plan.minutes * 60
    draw = Draw(random.Random(plan.seed), kinds)
    arena = Arena(folder, rate=RATE, brokers=plan.brokers)
    done = 0
    try:
        for number in itertools.count():
            if done >= plan.faults or time.monotonic() > end:
                return
            surroundings = plan.surroundings(number)
            say(f"round {number}: {surroundings}")
            chance = random.Random(f"{plan.seed}-{number}")
            wrong = False
            with arena.round(number, surroundings, chance) as current:
                for outcome in _round(current, plan, draw, min(ROUND_FAULTS, plan.faults - done), end, say):
                    wrong = wrong or bool(outcome.wrong)
                    done += 1
                    yield outcome
            if not wrong:
                shutil.rmtree(folder / f"round-{number}")
    finally:
        arena.close()


def _round(
    current: Round, plan: Plan, draw: Draw, faults: int, end: float, say: Callable[[str], None]
) -> Iterator[Outcome]:
    """The faults of a round. It ends with the first that leaves anything wrong, and its logs are kept then."""
    done = 0
    burst = 0
    while done < faults and time.monotonic() < end:
        kinds = draw.burst(current, current.chance.randint(1, min(plan.concurrent, faults - done)))
        burst += 1
        try:
            outcomes, misses = one_burst(current, kinds, f"{plan.seed}-{current.name}-{burst}")
        except NOT_RECOVERED as problem:
            outcomes, misses = [current.not_recovered(kind.name, problem) for kind in kinds], []
        done += len(outcomes)
        if outcomes and not any(outcome.wrong for outcome in outcomes) and (done >= faults or time.monotonic() > end):
            outcomes[-1].wrong += [*current.verify(), *current.check_history()]
        for miss in misses:
            draw.missed(miss.kind)
            say(f"      {miss.kind.name}: drawn again, for it has hit nothing: {miss.why}")
        for outcome in outcomes:
            say(
                f"      {outcome.kind:<52} {outcome.together} together, hits {outcome.hits}, lost {outcome.lost},"
                f" doubled {outcome.doubled}, recovered in {outcome.recovery:.1f} s; {current.load.messages} messages"
            )
            for line in outcome.wrong:
                say(f"      {line}")
        yield from outcomes
        if any(outcome.wrong for outcome in outcomes):
            return
        if current.brokers.size > 1:
            current.brokers.cluster.wait_until_whole(current.topics)  # or the next ones may leave too few replicas


def main(arguments: Iterable[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.run", description=__doc__)
    parser.add_argument("--faults", type=int, default=200, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="of all that is left to chance (default: any)")
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=1, help="(default: %(default)s)")
    parser.add_argument("--concurrent", type=int, default=1, help="most faults that overlap (default: %(default)s)")
    parser.add_argument("--storage", choices=STORAGES, default="folder", help="(default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no fault later")
    parser.add_argument("--only", default="", help="only kinds whose name matches this pattern")
    parser.add_argument("--publish", action="store_true", help="add the run to docs/operate/reliability.md")
    given = parser.parse_args([*arguments])
    seed = random.SystemRandom().randrange(1 << 32) if given.seed is None else given.seed
    plan = Plan(given.faults, seed, given.brokers, given.concurrent, given.storage, given.minutes)
    kinds = tuple(kind for kind in KINDS if re.search(given.only, kind.name))
    for ending in (signal.SIGINT, signal.SIGTERM):  # a shell has its background jobs ignore SIGINT
        signal.signal(ending, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    say = _Progress()
    say(f"{plan.command}; logs in {folder}")
    outcomes = []
    ended_early = False
    try:
        for outcome in run_faults(plan, kinds, folder, say):
            outcomes.append(outcome)  # noqa: PERF402 - what there is counts, if the run ends early
    except (KeyboardInterrupt, *NOT_RECOVERED) as problem:
        say(f"the run ends early: {problem!r}")
        ended_early = True
    if not outcomes:
        return 1
    print("\n".join(Sums.of(outcomes).lines()))
    if given.publish:
        runs, sums = add_run(f"`{plan.command}`: {len(outcomes)} faults", outcomes)
        publish(FAULTS, ["The sum of these runs:", "", *(f"- {run}" for run in runs), "", *sums.lines()])
    if ended_early or any(outcome.wrong for outcome in outcomes):
        return 1
    shutil.rmtree(folder)
    return 0


class _Progress:
    def __init__(self) -> None:
        self._start = time.monotonic()

    def __call__(self, text: str) -> None:
        print(f"{time.monotonic() - self._start:7.1f} s  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
