"""Reads several files or blocks at a time, ahead of their use, because each read may take a round trip."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

from recording_worker.storage.base import MAX_CONCURRENT_READS

Item = TypeVar("Item")
Content = TypeVar("Content")


def prefetch(read: Callable[[Item], Content], items: Iterable[Item]) -> Generator[Content, None, None]:
    """Yield `read(item)` for each item in order. Raises what `read` raises.

    Up to MAX_CONCURRENT_READS reads are under way at a time. The threads are daemons, so a read that waits for its
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
    waiting: deque[Future[Content]] = deque()
    try:
        for item in items:
            waiting.append(Future())
            jobs.put((waiting[-1], item))
            if len(waiting) == MAX_CONCURRENT_READS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
        for _ in range(MAX_CONCURRENT_READS):
            jobs.put(None)
