"""`python -m tests.faults.run`: faults at random moments, each followed by recovery and a count of every message.

Prints each fault as it goes and a table at the end; exit code 1 where a message is lost, doubled or wrong.
"""

import argparse
import contextlib
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.faults.arena import MEMBERSHIPS, Arena, Round
from tests.faults.kinds import KINDS, Kind
from tests.faults.table import FAULTS, Outcome, add_run, publish, summary, table

ROUND_FAULTS = 8
"""Faults between two fresh starts: what `verify` reads after each fault stays bounded by it."""
RATE = 20.0
"""Messages a second."""
_AFTER_SECONDS = 0.3
"""What is sent for so long after the end of a fault has to be committed before the group counts as recovered."""
_ATTEMPTS = 3
"""A fault that hits nothing is tried so often, each time with other random choices."""


def plan(faults: int, chance: random.Random) -> list[Kind]:
    """Each kind once, then by weight, in any order."""
    more = chance.choices(KINDS, [kind.weight for kind in KINDS], k=max(0, faults - len(KINDS)))
    kinds = [*KINDS, *more][:faults]
    chance.shuffle(kinds)
    return kinds


def run_faults(
    kinds: list[Kind], folder: Path, seed: int, *, verify_each: bool, say: Callable[[str], None]
) -> list[Outcome]:
    """Inject these faults in this order; what each led to."""
    outcomes: list[Outcome] = []
    arena = Arena(folder, rate=RATE)
    try:
        for start in range(0, len(kinds), ROUND_FAULTS):
            number = start // ROUND_FAULTS
            membership = MEMBERSHIPS[(seed + number) % len(MEMBERSHIPS)]
            chance = random.Random(f"{seed}-{number}")
            part = kinds[start : start + ROUND_FAULTS]
            with arena.round(number, membership, chance) as current:
                say(f"round {number}: {membership}")
                for place, kind in enumerate(part):
                    try:
                        outcome = one_fault(current, kind, verify=verify_each or place == len(part) - 1)
                    except (AssertionError, TimeoutError) as problem:
                        outcome = Outcome(kind.name, float("inf"), 0, wrong=[f"not recovered: {problem}"])
                    if place == len(part) - 1 and not outcome.wrong:
                        outcome.wrong += current.check_history()
                    outcomes.append(outcome)
                    say(
                        f"{len(outcomes):4}  {kind.name:<48} hits {outcome.hits}, lost {outcome.lost},"
                        f" doubled {outcome.doubled}, recovered in {outcome.recovery:.1f} s;"
                        f" {current.load.messages} messages"
                    )
                    for line in outcome.wrong:
                        say(f"      {line}")
                    if outcome.wrong:
                        break  # and on to a fresh start; the logs are kept
            if not any(outcome.wrong for outcome in outcomes[start:]):
                shutil.rmtree(folder / f"round-{number}")
    finally:
        arena.close()
    return outcomes


def one_fault(current: Round, kind: Kind, *, verify: bool) -> Outcome:
    current.load.resume()
    time.sleep(current.chance.uniform(0, 1))
    hits = _inject(current, kind)
    over = time.monotonic()
    time.sleep(_AFTER_SECONDS)
    current.recover(current.load.ends)
    recovery = time.monotonic() - over
    current.load.pause()
    current.recover(current.load.ends)
    outcome = current.check(kind.name, recovery, hits)
    if verify:
        outcome.wrong += current.verify()
    return outcome


def _inject(current: Round, kind: Kind) -> int:
    for _attempt in range(1, _ATTEMPTS):
        with contextlib.suppress(TimeoutError):
            return kind.inject(current)
    return kind.inject(current)


def main(arguments: Iterable[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.run", description=__doc__)
    parser.add_argument("--faults", type=int, default=200, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="of all that is left to chance (default: any)")
    parser.add_argument("--only", default="", help="only kinds whose name matches this pattern")
    parser.add_argument("--publish", action="store_true", help="write the table into docs/operate/reliability.md")
    given = parser.parse_args([*arguments])
    seed = random.SystemRandom().randrange(1 << 32) if given.seed is None else given.seed
    chance = random.Random(seed)
    kinds = [kind for kind in plan(given.faults, chance) if re.search(given.only, kind.name)]
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    say = _Progress()
    say(f"{len(kinds)} faults, seed {seed}; logs in {folder}")
    outcomes = run_faults(kinds, folder, seed, verify_each=True, say=say)
    print("\n".join([table(outcomes), "", summary(outcomes)]))
    if given.publish:
        runs, all_outcomes = add_run(f"`make faults FAULTS={given.faults} SEED={seed}`", outcomes)
        made = "\n".join(f"- {run}" for run in runs)
        publish(FAULTS, [f"The sum of these runs:\n\n{made}\n", table(all_outcomes), "", summary(all_outcomes)])
    if any(outcome.wrong for outcome in outcomes):
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
