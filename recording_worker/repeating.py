"""Something done again and again on a thread, while other work goes on."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeating(do: Callable[[], None], seconds: float, name: str) -> Iterator[None]:
    """Call `do` at this interval while the body runs, on a thread of this name, and once more when it ends."""
    ending = threading.Event()

    def run() -> None:
        while not ending.wait(seconds):
            do()

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
        do()
