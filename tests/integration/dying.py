"""`python -m tests.integration.dying N COMMAND …`: run a command that is killed before the Nth thing that it changes.

What changes something is a call of one of EFFECTS, which Python tells a profiler of.
"""

import os
import signal
import sys
from types import FrameType
from typing import Any

from recording_worker.cli import main

EFFECTS = {
    *("destroy", "remove_keys"),  # in key store and Redis
    *("init_transactions", "begin_transaction", "produce", "commit_transaction"),  # in Kafka
    *("_write_file", "_take_over", "rename", "fsync", "writelines"),  # in files
}


def die_at(number: int) -> None:
    """Be killed before the effect of this number, counted from 1."""
    done = 0

    def watch(frame: FrameType, event: str, what: Any) -> None:
        nonlocal done
        name = frame.f_code.co_name if event == "call" else what.__name__ if event == "c_call" else ""
        if name in EFFECTS:
            done += 1
            if done == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(watch)


if __name__ == "__main__":
    die_at(int(sys.argv.pop(1)))
    main()
