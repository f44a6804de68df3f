"""When a worker collects garbage. In a process of its own: it turns off the collections of the process."""

import subprocess
import sys

SCRIPT = """
import gc
from recording_worker.processes.worker.garbage import GarbageCollector
from tests.builders import FakeClock

collections, given_back = [], []
clock = FakeClock()
collector = GarbageCollector(clock, lambda: given_back.append(clock.monotonic() - start))
gc.callbacks.append(lambda phase, _: collections.append(clock.monotonic() - start) if phase == "start" else None)
start = clock.monotonic()
kept = [[] for _ in range(100_000)]
assert not collections, "making objects starts none"
for idle in [False] * 1900 + [True] * 130:
    clock.ms += 1000
    collector.turn(idle)
assert collections == [1800.0, 1901.0, 1961.0, 2021.0], collections
assert given_back == [1920.0], given_back
for idle in [False] + [True] * 19 + [False] + [True] * 21:
    clock.ms += 1000
    collector.turn(idle)
assert given_back == [1920.0, 2071.0], given_back
"""


def test_a_worker_collects_and_gives_back_when_it_is_idle() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
