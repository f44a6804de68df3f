"""BlackholeStorage: takes batch files and forgets them, for benchmarks."""

from collections import deque
from collections.abc import Iterable, Mapping

from recording_worker.storage.base import Part


class BlackholeStorage:
    """Writes nothing. Its URLs name files that don't exist."""

    def check(self) -> None:
        """Do nothing: nothing can be wrong with it."""

    def probe(self) -> None:
        """Do nothing: it always answers."""

    def write(self, key: str, parts: Iterable[Part], metadata: Mapping[str, str]) -> str:  # noqa: ARG002 - a storage's signature
        deque(parts, maxlen=0)  # they are made while they are taken
        return f"blackhole:{key}"

    def close(self) -> None:
        """Do nothing: nothing is left behind."""
