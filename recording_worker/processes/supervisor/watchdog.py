"""Watchdog: ends a process that hangs. It needs nothing that the system may refuse when it is armed."""

import ctypes
import faulthandler
import signal


class Watchdog:
    """An alarm of the kernel. A process that does not arm it again in time is ended, with all stacks on stderr.

    No thread, descriptor or memory is needed to arm it, so it also holds where the system grants no more of these. It
    needs no GIL, and it outlasts Python's own clean-up. The exit code is 14, the number of SIGALRM.
    """

    def __init__(self) -> None:
        """Prepare the alarm. Call it on the main thread, and once."""
        c = ctypes.CDLL(None)
        # by default a signal does not end the first process of a container
        c.signal(signal.SIGALRM, c["_exit"])
        faulthandler.register(signal.SIGALRM, chain=True)

    def arm(self, seconds: float) -> None:
        """End the process in `seconds`, instead of when it was armed for before."""
        signal.setitimer(signal.ITIMER_REAL, seconds)
