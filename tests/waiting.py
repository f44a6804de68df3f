"""How tests wait: for what they mean, with a deadline."""

import time
from collections.abc import Callable
from typing import Any


def wait_for(
    done: Callable[[], Any], what: str, seconds: float = 30, signs: Callable[[], object] = lambda: None
) -> None:
    """Ask until it is done. Fails after this time, and says what was waited for.

    `signs` tells how far it is: if that changes, the time begins again. On a busy machine, much takes long.
    """
    seen, deadline = signs(), time.monotonic() + seconds
    while not done():
        if (now := signs()) != seen:
            seen, deadline = now, time.monotonic() + seconds
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {what}"
        time.sleep(0.05)
