"""Reads several files or blocks at a time, ahead of their use, because each read may take a round trip."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

from recording_worker.storage.base import MAX_CONCURRENT_READS

MAX_BYTES_AHEAD = 64 * 1024 * 1024
"""The bytes that items ahead of their use may take."""

Item = TypeVar("Item")
Content = TypeVar("Content")


def prefetch(
    read: Callable[[Item], Content], items: Iterable[Item], weight: Callable[[Item], int] = lambda _: 0
) -> Generator[Content, None, None]:
    """Yield `read(item)` for each item in order. Raises what `read` raises.

    Up to MAX_CONCURRENT_READS reads are under way at a time, and fewer if they take more than MAX_BYTES_AHEAD, and one
    item, together. `weight` says what an item takes, in bytes. The threads are daemons, so a read that waits for its
    server does not keep the command from ending.
    """
    jobs: SimpleQueue[tuple[Future[Content], Item] | None] = SimpleQueue()

    def work() -> None:
        while (job := jobs.get()) is not None:
            future, item = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(read(item))
            except Exception as error:  # noqa: BLE001 - raised again by `result`
                future.set_exception(error)

    for number in range(MAX_CONCURRENT_READS):
        threading.Thread(target=work, name=f"read-{number}", daemon=True).start()
    waiting: deque[tuple[Future[Content], int]] = deque()
    ahead = 0
    try:
        for item in items:
            future = Future[Content]()
            waiting.append((future, weight(item)))
            ahead += waiting[-1][1]
            jobs.put((future, item))
            while len(waiting) == MAX_CONCURRENT_READS or (waiting and ahead > MAX_BYTES_AHEAD):
                future, bytes_of_item = waiting.popleft()
                yield future.result()
                ahead -= bytes_of_item
        while waiting:
            yield waiting.popleft()[0].result()
    finally:
        for future, _ in waiting:
            future.cancel()
        for _ in range(MAX_CONCURRENT_READS):
            jobs.put(None)
