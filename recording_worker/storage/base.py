"""What a storage backend does."""

from collections.abc import Sequence
from typing import Protocol

Part = bytes | bytearray | memoryview


class Storage(Protocol):
    """Stores batch files. A file appears whole or not at all."""

    def check(self) -> None:
        """Whether files can be written here. Raises ConfigError with one clear line where not."""

    def write(self, key: str, parts: Sequence[Part]) -> str:
        """Store the parts, one after the other, as one file; return its URL (no range). May block on the device.

        `key` is a path with forward slashes below the backend's root; nothing is overwritten. Raises FlushError.
        """
