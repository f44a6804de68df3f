"""Runs schedules by their seeds: `python -m tests.simulation.run --seeds 20000`, or `--seed n` to see one."""

import argparse
import logging
import os
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import structlog

from tests.simulation.world import Plan, World, draw

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Failure:
    """A schedule that showed something wrong."""

    plan: Plan
    problem: str


def try_plan(plan: Plan) -> Failure | None:
    """Run a plan. Return what is wrong, or None."""
    try:
        World(plan).run()
    except BaseException as problem:
        if isinstance(problem, KeyboardInterrupt):
            raise
        return Failure(plan, f"{type(problem).__name__}: {problem}")
    return None


def shrink(failure: Failure) -> Failure:
    """Leave out faults and messages, as long as the schedule still fails in some way."""
    smaller = True
    while smaller:
        smaller = False
        for plan in _smaller(failure.plan):
            found = try_plan(plan)
            if found is not None:
                failure, smaller = found, True
                break
    return failure


def _smaller(plan: Plan) -> Iterator[Plan]:
    for left_out in range(len(plan.faults)):
        yield replace(plan, faults=plan.faults[:left_out] + plan.faults[left_out + 1 :])
    for left_out in range(len(plan.sent)):
        yield replace(plan, sent=plan.sent[:left_out] + plan.sent[left_out + 1 :])


def tell(failure: Failure) -> str:
    """Return the history of a failed schedule, for people."""
    world = World(failure.plan)
    lines = [
        f"seed {failure.plan.seed}: {failure.problem}",
        f"{failure.plan.hosts} hosts with {failure.plan.workers} workers",
    ]
    with logged(world):
        try:
            world.run()
        except BaseException as problem:  # noqa: BLE001 - it is told
            lines += [*world.history, "".join(traceback.format_exception(problem)[-3:])]
    return "\n".join(lines)


@contextmanager
def logged(world: World | None = None) -> Iterator[None]:
    """Keep the product's log out, or in the history of a world."""

    def take(_logger: object, level: str, event: Any) -> str:
        if world is not None:
            task = world.scheduler.current
            who = task.process.name if task is not None else "-"
            world.note(f"{who}: {level}: {event.pop('event')} {event}")
        raise structlog.DropEvent

    before = structlog.get_config()
    level = logging.CRITICAL if world is None else logging.INFO
    structlog.configure(
        processors=[take],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: None,  # nothing gets that far, and a real one is costly to make
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)


def run_seeds(seeds: range) -> list[Failure]:
    """Run schedules; return the ones that failed."""
    with logged():
        return [failure for seed in seeds if (failure := try_plan(draw(seed))) is not None]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=1000, help="how many schedules to run")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="run this one, and print its history")
    parser.add_argument("--processes", type=int, default=1)
    given = parser.parse_args()
    if given.seed is not None:
        with logged():
            failure = try_plan(draw(given.seed))
        print(tell(failure or Failure(draw(given.seed), "all is well")))
        return 0
    began = time.monotonic()
    parts = [
        range(at, min(at + _AT_ONCE, given.first + given.seeds))
        for at in range(given.first, given.first + given.seeds, _AT_ONCE)
    ]
    failures: list[Failure] = []
    with ProcessPoolExecutor(given.processes) as pool:
        for found in pool.map(run_seeds, parts):
            failures += found
            for failure in found:
                print(f"seed {failure.plan.seed}: {failure.problem}", flush=True)
    cpu = os.times().children_user + os.times().children_system
    print(f"{given.seeds} schedules in {time.monotonic() - began:.0f} s, {cpu:.0f} s of CPU; {len(failures)} failed")
    if failures:
        with logged():
            smallest = shrink(failures[0])
        print(tell(smallest))
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
