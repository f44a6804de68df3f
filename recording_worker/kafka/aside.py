"""A call of librdkafka that may never end."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Answer = TypeVar("Answer")


def call_aside(call: Callable[[], Answer]) -> "Future[Answer]":
    """Make a call on a thread of its own, which is left behind if the call never ends.

    librdkafka's synchronous commit and close have no time-out. With a broker that is up but silent they took minutes
    (librdkafka issue 3740). If there is no thread for it, the answer is a RuntimeError.
    """
    answer: Future[Answer] = Future()

    def run() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised again by the reader of the answer
            answer.set_exception(error)

    try:
        threading.Thread(target=run, name="Kafka group", daemon=True).start()
    except RuntimeError as refused:  # the system grants no more threads
        answer.set_exception(refused)
    return answer
