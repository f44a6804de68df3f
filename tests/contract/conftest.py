"""The contract suite runs over both decoders."""

import pytest

from tests.decoders import Decode, decode_native, decode_reference


@pytest.fixture(params=[decode_native, decode_reference], ids=["native", "reference"])
def decode(request: pytest.FixtureRequest) -> Decode:
    """A decoder under test."""
    decoder: Decode = request.param
    return decoder
