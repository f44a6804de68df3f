"""`python -m tests.faults.soak`: steady load and a rebalance a minute; memory, threads and descriptors must not grow.

Prints what each process has at the start (after a warm-up), in the middle and at the end. The exit code is 1 if any of
it grows, if a message is lost or doubled, or if a rebalance did not happen.
"""

import argparse
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.arena import Arena, Round
from tests.faults.surroundings import MEMBERSHIPS, Surroundings
from tests.faults.table import SOAK, made_by, publish

RATE = 20.0
"""Messages a second."""
WARM_UP_SECONDS = 120.0
REBALANCE_SECONDS = 60.0
"""A second host comes and goes in turn, this long after it last did."""
WINDOW_SECONDS = 2 * REBALANCE_SECONDS
"""In this time the second host comes and goes once: what a host has depends on how many partitions it owns."""
MIN_MINUTES = 3 * WINDOW_SECONDS / 60
"""In less time the windows at the start, in the middle and at the end overlap: one would be compared with itself."""
SAMPLE_SECONDS = 2.0
CHECK_SECONDS = 60.0
SETTINGS = {"max_batch_age": 10.0, "progress_deadline": 120.0, "drain_deadline": 30.0}
"""On a machine that is busy with other things a flush takes its time, and that is no fault here."""
BROKER_SESSION = 30.0
"""Seconds. For the same reason."""
MARGIN_MIB = 24.0
"""What a process's memory may be larger by at the end than at the start: what an allocator keeps, not what grows."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One process at one moment."""

    at: float
    rss_mib: float
    threads: int
    descriptors: int


def sample(pid: int, at: float) -> Sample:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    descriptors = len([*Path(f"/proc/{pid}/fd").iterdir()])
    return Sample(at, int(status["VmRSS"].split()[0]) / 1024, int(status["Threads"]), descriptors)


@dataclass(frozen=True, slots=True)
class Window:
    """A process over a while: medians, because a rebalance takes a thread and a connection for a moment."""

    rss_mib: float
    threads: int
    descriptors: int

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> "Window":
        return cls(
            statistics.median(one.rss_mib for one in samples),
            statistics.median_low(one.threads for one in samples),
            statistics.median_low(one.descriptors for one in samples),
        )

    def __str__(self) -> str:
        return f"{self.rss_mib:.0f} MiB, {self.threads}, {self.descriptors}"


def windows(samples: Sequence[Sample]) -> tuple[Window, Window, Window]:
    """The start, the middle and the end."""
    first, last = samples[0].at, samples[-1].at
    middle = (first + last - WINDOW_SECONDS) / 2
    begins = (first, middle, last - WINDOW_SECONDS)
    start, half, end = (
        Window.of([one for one in samples if begin <= one.at <= begin + WINDOW_SECONDS]) for begin in begins
    )
    return start, half, end


def growth(name: str, start: Window, end: Window) -> list[str]:
    """What has grown, a line each."""
    found = []
    if end.rss_mib > start.rss_mib + MARGIN_MIB:
        found.append(f"{name}: memory grew from {start.rss_mib:.0f} to {end.rss_mib:.0f} MiB")
    if end.threads > start.threads:
        found.append(f"{name}: threads grew from {start.threads} to {end.threads}")
    if end.descriptors > start.descriptors:
        found.append(f"{name}: file descriptors grew from {start.descriptors} to {end.descriptors}")
    return found


class Visitor:
    """A second host, which comes and goes in turn. Each time, the first one gives partitions away or gets some."""

    def __init__(self, current: Round) -> None:
        self._first = current.running[0]
        self._host = current.hosts[1]
        self.turns = 0
        self.rebalances = 0
        """Turns after which the first host was seen to rebalance."""
        self._expected = ("", 0)
        """The event that the first host is to log after the last turn, and how often it had before."""

    def turn(self) -> None:
        """Come, or go."""
        self.settle()
        comes = self.turns % 2 == 0
        event = "partitions revoked" if comes else "partitions placed"
        self._expected = event, self._first.logged(event)
        self.turns += 1
        if comes:
            self._host.start()
        else:
            self._host.stop()

    def settle(self) -> None:
        """Count what became of the last turn."""
        event, before = self._expected
        if event and self._first.logged(event) > before:
            self.rebalances += 1
        self._expected = "", 0

    def wrong(self) -> list[str]:
        """Return what did not go as it should."""
        found = []
        if self.rebalances < self.turns:
            found.append(f"{self.turns - self.rebalances} of {self.turns} rebalances did not happen")
        if bad := [code for code in self._host.exits if code != 0]:
            found.append(f"the second host ended with {bad}")
        return found


def soak(current: Round, visitor: Visitor, seconds: float) -> tuple[dict[str, list[Sample]], list[str]]:
    """Load for so long. Return the samples by process, and what is wrong with the messages."""
    host = current.running[0]
    pids = {"supervisor": host.pid}
    pids |= {f"worker {number}": pid for number, pid in enumerate(sorted(host.workers()))}
    samples: dict[str, list[Sample]] = {name: [] for name in pids}
    wrong: list[str] = []
    begin = time.monotonic()
    end = begin + WARM_UP_SECONDS + seconds
    check_at, turn_at = begin + CHECK_SECONDS, begin + REBALANCE_SECONDS / 2
    while (now := time.monotonic()) < end:
        if now >= begin + WARM_UP_SECONDS:
            try:
                for name, pid in pids.items():
                    samples[name].append(sample(pid, now))
            except FileNotFoundError:
                return {}, [*wrong, "a process ended"]
        if now >= check_at:
            wrong += _check(current)
            check_at = now + CHECK_SECONDS
        if turn_at <= now < end - REBALANCE_SECONDS / 2:
            visitor.turn()
            turn_at = now + REBALANCE_SECONDS
        time.sleep(SAMPLE_SECONDS)
    visitor.settle()
    wrong += [*_check(current), *current.verify()]
    if {host.pid, *host.workers()} != {*pids.values()}:
        wrong.append("processes were started again")
    return samples, [*wrong, *visitor.wrong()]


def _check(current: Round) -> list[str]:
    current.load.pause()
    current.recover(current.load.ends)
    outcome = current.check("soak", 0)
    current.load.resume()
    return outcome.wrong


def main(arguments: Iterable[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20, help="beyond the warm-up (default: %(default)s)")
    parser.add_argument("--publish", action="store_true", help="write the table into docs/operate/reliability.md")
    given = parser.parse_args([*arguments])
    if given.minutes < MIN_MINUTES:
        parser.error(
            f"--minutes must be at least {MIN_MINUTES:g}: what is compared are two minutes at the start and at the end"
        )
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    print(f"soak for {given.minutes:g} minutes after {WARM_UP_SECONDS / 60:g} of warm-up; logs in {folder}", flush=True)
    arena = Arena(folder, rate=RATE, broker_session=BROKER_SESSION)
    try:
        with arena.round(0, Surroundings(MEMBERSHIPS[0]), random.Random(0), hosts=1, **SETTINGS) as current:
            visitor = Visitor(current)
            samples, wrong = soak(current, visitor, given.minutes * 60)
            messages = current.load.messages
    finally:
        arena.close()
    lines = ["| process | start | middle | end |", "|---|---|---|---|"]
    for name, taken in samples.items():
        start, middle, end = windows(taken)
        lines.append(f"| {name} | {start} | {middle} | {end} |")
        wrong += growth(name, start, end)
    done = f"{given.minutes:g} minutes, {messages:,} messages, {visitor.rebalances} rebalances"
    lines.append(f"\n{done}; what grew, was lost, doubled or did not happen: {len(wrong)}.")
    print("\n".join([*lines, *wrong]))
    if given.publish:
        publish(SOAK, [f"{made_by(f'`make soak MINUTES={given.minutes:g}`')}:", "", *lines])
    if wrong:
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
