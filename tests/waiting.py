"""How tests wait: for what they mean, with a deadline."""

import time
from collections.abc import Callable
from typing import Any


def wait_for(done: Callable[[], Any], what: str, seconds: float = 30) -> None:
    """Ask until it is done. Fails after this time, and says what was waited for."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {what}"
        time.sleep(0.05)
