"""What the pipeline asks Redis. Needs no Redis library, so that files are ingested without one."""

from collections.abc import Sequence
from typing import Protocol

Command = tuple[str | int, ...]


class Redis(Protocol):
    """What the steps need of a RedisCircuitBreaker."""

    def ask(self, commands: Sequence[Command]) -> list[object] | None: ...
