"""MemoryBudget: the memory that requests may take together. They wait for each other in order."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any


class MemoryBudget:
    """For one event loop."""

    def __init__(self, size: int) -> None:
        """`size` in bytes."""
        self.size = size
        self.used = 0
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()

    async def take(self, size: int) -> "Held":
        """Wait until there is room for this many bytes, at most as many as the budget has."""
        if self._waiting or self.used + size > self.size:
            turn = asyncio.get_running_loop().create_future()
            place = turn, size
            self._waiting.append(place)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._give_back(size)
                else:
                    self._waiting.remove(place)
                    self._wake()
                raise
        else:
            self.used += size
        return Held(lambda: self._give_back(size))

    def _give_back(self, size: int) -> None:
        self.used -= size
        self._wake()

    def _wake(self) -> None:
        while self._waiting and self.used + self._waiting[0][1] <= self.size:
            turn, size = self._waiting.popleft()
            if not turn.cancelled():
                self.used += size
                turn.set_result(None)


class Held:
    """Memory that was taken. It is given back once."""

    def __init__(self, give_back: Callable[[], None]) -> None:
        self._give_back: Callable[[], None] | None = give_back
        self._loop = asyncio.get_running_loop()

    def release(self) -> None:
        """Give the memory back, on the thread of the loop."""
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()

    def release_after(self, work: Future[Any]) -> None:
        """Give the memory back once the work in a thread is done, which nobody can interrupt."""
        work.add_done_callback(lambda _: self._loop.call_soon_threadsafe(self.release))
