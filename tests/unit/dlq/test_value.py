import gzip
import json
from collections.abc import Callable

import cramjam
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from recording_worker.operations.dlq.value import unpack
from tests.builders import value
from tests.reference.decompress import CorruptError, TooLargeError, decompress, encoding_of

CAP = 100_000
PACKED: dict[str | None, Callable[[bytes], bytes]] = {
    None: bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "lz4": lambda content: bytes(cramjam.lz4.compress_block(content, store_size=True)),
}


def reference(packed: bytes, encoding: str | None) -> bytes | None:
    try:
        return decompress(packed, encoding_of(packed, encoding), CAP)
    except (CorruptError, TooLargeError):
        return None


@given(
    st.binary(max_size=300) | st.binary(min_size=1, max_size=30).map(lambda part: part * 5000),
    st.sampled_from(list(PACKED)),
    st.booleans(),
    st.integers(0, 40),
    st.binary(max_size=8),
)
def test_a_value_is_unpacked_as_the_worker_does(
    content: bytes, encoding: str | None, named: bool, cut: int, added: bytes
) -> None:
    for packed in (
        PACKED[encoding](content),
        PACKED[encoding](content)[: -cut or None],
        PACKED[encoding](content) + added,
        PACKED[encoding](content) * 2,
    ):
        name = encoding if named else None
        found = unpack(packed, name, CAP)
        assert found.content == reference(packed, name)
        assert bool(found.problem) == (found.content is None)


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "lz4"])
def test_a_bomb_is_not_unpacked(encoding: str) -> None:
    found = unpack(PACKED[encoding](bytes(50_000_000)), encoding, CAP)
    assert found.content is None
    assert found.text is None
    assert found.problem == "it decompresses to more than 100,000 bytes"


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "lz4"])
def test_what_is_cut_off_is_said_to_be(encoding: str) -> None:
    found = unpack(PACKED[encoding](b"text")[:-1], encoding, CAP)
    assert (found.encoding, found.content) == (encoding, None)
    assert found.problem == f"it can't be decompressed: its {encoding} is damaged or cut off"


@pytest.mark.parametrize("name", ["br", "", "GZIP"])
def test_an_unknown_encoding_is_named(name: str) -> None:
    found = unpack(b"x", name, CAP)
    assert (found.encoding, found.content) == (name, None)
    assert found.problem == f"it can't be decompressed: unknown content-encoding {name!r}"


def test_json_is_laid_out_unchanged_also_the_json_inside_data() -> None:
    text = unpack(value(), None, CAP).text
    assert text is not None
    assert json.loads(text)["data"]["event"] == "$snapshot_items"
    big = '{"data": "no json", "number": 123456789012345678901234567890, "half": "\\ud83d"}'
    for content in (big, '{"data": "{"}'):
        text = unpack(content.encode(), None, CAP).text
        assert text is not None
        assert json.loads(text) == json.loads(content)


@pytest.mark.parametrize("content", ["not json", "[" * 100_000, ""])
def test_content_that_is_not_json_is_shown_as_text(content: str) -> None:
    text = unpack(content.encode(), None, CAP * 2).text
    assert text is not None
    assert text.split() == content.split()


def test_content_that_is_not_text_is_not_shown_as_text() -> None:
    found = unpack(b"\xff\xfe", None, CAP)
    assert (found.content, found.text, found.problem) == (b"\xff\xfe", None, "")
