"""BlackholeStorage: takes batch files and forgets them, for benchmarks."""

from collections import deque
from collections.abc import Iterable, Mapping

from recording_worker.storage.base import Part


class BlackholeStorage:
    """Writes nothing. Its URLs name a file that never was."""

    def check(self) -> None:
        """Nothing can be wrong with it."""

    def write(self, key: str, parts: Iterable[Part], metadata: Mapping[str, str]) -> str:  # noqa: ARG002 - a storage's signature
        deque(parts, maxlen=0)  # they are made as they are taken
        return f"blackhole:{key}"

    def close(self) -> None:
        """Nothing is left behind."""
