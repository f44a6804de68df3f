"""Tracing: what a worker says about its polls and flushes while it works on them."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from recording_worker._native import HeaderColumn

Attributes = dict[str, str | int | float]
"""What a span says. Who works fills it in, and it is read when the work ends."""


class Tracing(Protocol):
    """Follows the work of a worker's loop (`poll`, `hand_over`) and of its flush thread (`flush`)."""

    def poll(self, topic: str, headers: HeaderColumn, /) -> AbstractContextManager[Attributes]:
        """Follow the steps over the messages of a poll. `headers`: the messages' headers."""

    def hand_over(self, batch_id: str, /) -> None:
        """Note that a session batch goes to the flush thread, with what was polled since the last one."""

    def flush(self, batch_id: str, reason: str, /) -> AbstractContextManager[Attributes]:
        """Follow the flush of a session batch that was handed over."""


class NoTracing:
    """Follows nothing."""

    def poll(self, _topic: str, _headers: HeaderColumn, /) -> AbstractContextManager[Attributes]:
        return nullcontext({})

    def hand_over(self, _batch_id: str, /) -> None:
        pass

    def flush(self, _batch_id: str, _reason: str, /) -> AbstractContextManager[Attributes]:
        return nullcontext({})
