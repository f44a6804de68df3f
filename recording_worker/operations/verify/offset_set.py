"""OffsetSet: a set of offsets that takes one bit each, since the messages of a partition lie close together."""

from collections.abc import Iterable

_PAGE = 1 << 15


class OffsetSet:
    """Offsets, in pages of bits. A page exists only if it holds an offset."""

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}

    def add(self, offset: int) -> bool:
        """Add an offset; return False if it is in the set already."""
        number, bit = divmod(offset, _PAGE)
        page = self._pages.get(number)
        if page is None:
            page = self._pages[number] = bytearray(_PAGE // 8)
        mask = 1 << (bit & 7)
        if page[bit >> 3] & mask:
            return False
        page[bit >> 3] |= mask
        return True


def ranges(offsets: Iterable[int]) -> list[tuple[int, int]]:
    """Ascending offsets as ranges (first, last), both inclusive."""
    found: list[tuple[int, int]] = []
    for offset in offsets:
        if found and found[-1][1] == offset - 1:
            found[-1] = found[-1][0], offset
        else:
            found.append((offset, offset))
    return found
