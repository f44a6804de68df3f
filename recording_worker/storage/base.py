"""What a storage backend does, and what keeps the parts of a file until it is stored."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, Protocol, TypeVar

Part = bytes | bytearray | memoryview
Item = TypeVar("Item")


class Storage(Protocol):
    """Stores batch files. A file appears whole or not at all."""

    def check(self) -> None:
        """Whether files can be written here. Raises ConfigError or BootError with one clear line where not."""

    def write(self, key: str, parts: Iterable[Part], metadata: Mapping[str, str]) -> str:
        """Store the parts, one after the other, as one file; return its URL (no range). May block on the device.

        `parts` may still be made while the first of them are written; each is asked for once, and kept until
        the file is stored. `key` is a path with forward slashes below the backend's root; nothing is
        overwritten. `metadata`, ASCII and of at most 2 KB, says what is in the file, where the backend has a place for
        it. Raises FlushError, and what `parts` raises.
        """

    def close(self) -> None:
        """Give up what is being written, and leave as little of it behind as can be. For a process that ends."""


class Retained(Generic[Item]):
    """An iterable that may be gone through several times over an iterator that may not: it keeps what it has given."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._rest = iter(items)
        self._kept: list[Item] = []

    def __iter__(self) -> Iterator[Item]:
        yield from self._kept
        for item in self._rest:
            self._kept.append(item)
            yield item
