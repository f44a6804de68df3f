"""The watchdog, in processes of their own."""

import signal
import subprocess
import sys

import pytest

ARMED = """
import atexit, ctypes, time
from recording_worker.processes.supervisor.watchdog import Watchdog
watchdog = Watchdog()
watchdog.arm({seconds})
def hang():
    {hang}
{then}
"""


def run(hang: str, then: str, seconds: float = 0.2) -> subprocess.CompletedProcess[str]:
    code = ARMED.format(hang=hang, then=then, seconds=seconds)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    "hang",
    ["time.sleep(600)", "ctypes.PyDLL(None).pause()"],
    ids=["in Python", "in C with the GIL"],
)
@pytest.mark.parametrize("then", ["hang()", "atexit.register(hang)"], ids=["at work", "at its exit"])
def test_a_process_that_hangs_is_ended_with_its_stacks(hang: str, then: str) -> None:
    done = run(hang, then)
    assert done.returncode == signal.SIGALRM
    assert "in hang" in done.stderr


def test_a_process_that_arms_it_in_time_goes_on() -> None:
    done = run("time.sleep(0.3)", "watchdog.arm(600)\nhang()\nprint('done')")
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
