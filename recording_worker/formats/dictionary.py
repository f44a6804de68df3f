"""zstd dictionaries: their ids, where they are stored, and which bytes are one. See docs/data/batch-files.md.

A dictionary is a file of zstd's dictionary format. It begins with a magic number and zstd's own id, 32 bits, which the
frames carry that were made with it.
"""

import hashlib
import re
import struct
from dataclasses import dataclass, field
from functools import cached_property

import zstandard

MAX_DICTIONARY_BYTES = 16 * 1024 * 1024
"""The largest dictionary that is written or read. Each worker and each reader holds it in memory."""
DICTIONARY_ID = re.compile(r"[1-9][0-9]{0,9}-[0-9a-f]{32}")
"""What a dictionary's id looks like."""

_FOLDER = "dictionaries"
_HEADER = struct.Struct("<II")
"""zstd's magic number of a dictionary, and the dictionary's id for zstd; little endian."""
_MAGIC = 0xEC30A437


@dataclass(frozen=True)
class Dictionary:
    """A dictionary, and its id: zstd's id of it, and 32 hex digits of the SHA-256 of its content.

    The hash keeps two dictionaries apart whose zstd ids happen to be equal. zstd's id comes first: with a block alone,
    which carries only that id, the dictionary can be found by listing.
    """

    id: str
    content: bytes = field(repr=False)

    @classmethod
    def parse(cls, content: bytes) -> "Dictionary":
        """Take the content of a file as a dictionary. Raises ValueError, which says what is wrong with it."""
        if len(content) > MAX_DICTIONARY_BYTES:
            raise ValueError(f"a dictionary has at most {MAX_DICTIONARY_BYTES} bytes")
        magic, zstd_id = _HEADER.unpack(content[: _HEADER.size]) if len(content) >= _HEADER.size else (0, 0)
        if magic != _MAGIC:
            raise ValueError("it is not a zstd dictionary")
        if zstd_id == 0:
            raise ValueError("the dictionary has no id")
        dictionary = cls(f"{zstd_id}-{hashlib.sha256(content).hexdigest()[:32]}", content)
        try:
            zstandard.ZstdCompressor(dict_data=dictionary.prepared).compress(b"")
        except zstandard.ZstdError as error:
            raise ValueError("the dictionary is damaged") from error
        return dictionary

    @property
    def zstd_id(self) -> int:
        """The id that zstd's frames carry."""
        return int(self.id.partition("-")[0])

    @cached_property
    def prepared(self) -> zstandard.ZstdCompressionDict:
        """The dictionary as zstandard takes it."""
        return zstandard.ZstdCompressionDict(self.content, dict_type=zstandard.DICT_TYPE_FULLDICT)


def dictionary_key(prefix: str, dictionary_id: str) -> str:
    """Return the key of a dictionary, next to the folders of the retention periods: `{prefix}/dictionaries/{id}`."""
    return "/".join(filter(None, (prefix.strip("/"), _FOLDER, dictionary_id)))
