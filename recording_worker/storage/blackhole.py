"""BlackholeStorage: takes batch files and forgets them, for benchmarks."""

from collections.abc import Sequence

from recording_worker.storage.base import Part


class BlackholeStorage:
    """Writes nothing. Its URLs name a file that never was."""

    def check(self) -> None:
        """Nothing can be wrong with it."""

    def write(self, key: str, parts: Sequence[Part]) -> str:  # noqa: ARG002 - a storage's signature
        return f"blackhole:{key}"
