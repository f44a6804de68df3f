from collections.abc import Sequence

from recording_worker.lookups.redis_commands import Command


class ScriptedRedis:
    """Gives the replies of a test, one list per call, and keeps what it was asked."""

    def __init__(self, *replies: Sequence[object] | None) -> None:
        self._replies = list(replies)
        self.asked: list[list[Command]] = []

    def ask(self, commands: Sequence[Command]) -> list[object] | None:
        self.asked.append(list(commands))
        replies = self._replies.pop(0)
        return None if replies is None else list(replies)
