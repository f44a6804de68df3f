"""Decoding: from message values in memory to lines of validated events, one call per batch of about 5 MB."""

import pytest

from benchmarks.conftest import Measure
from benchmarks.inputs import ENCODINGS, SIZES, columns, made_up, real
from recording_worker._native import Decoder


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_decode(measure: Measure, encoding: str, size: str) -> None:
    """Generated messages of one encoding and size: what inflating costs, and what each message costs."""
    decoder, given = Decoder(), columns(made_up(1, SIZES[size], encoding))
    measure(lambda: given.decode(decoder), given.bytes, given.check)


@pytest.mark.parametrize("unpack", [False, True], ids=["packed", "unpacked"])
def test_decode_real(measure: Measure, unpack: bool) -> None:
    """The sample of real recordings, in its mix of encodings and sizes, with and without unpacking."""
    decoder, given = Decoder(unpack_client_compression=unpack), columns(real())
    measure(lambda: given.decode(decoder), given.bytes, given.check)
