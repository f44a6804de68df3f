"""Encrypted blocks, and the keys of sessions as the key store keeps them."""

import base64
import re

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from recording_worker.formats.secretbox import FRAME_HEADER_BYTES, OVERHEAD_BYTES, seal, seal_all, unseal
from recording_worker.formats.wrapped_key import MasterKeys

KEY, OTHER_KEY = bytes(range(32)), bytes(32)
AT = 1_795_461_715


@given(st.binary(max_size=5000))
def test_a_block_is_a_secretbox_with_its_nonce_first(content: bytes) -> None:
    stored = bytes(seal(content, KEY))
    assert len(stored) == len(content) + OVERHEAD_BYTES
    assert SecretBox(KEY).decrypt(stored) == content
    assert unseal(stored, KEY) == content
    assert unseal(bytes(SecretBox(KEY).encrypt(content)), KEY) == content


def test_the_known_answer_of_nacl_is_opened() -> None:
    """Holds the format against a vector that another implementation made: NaCl's test secretbox."""
    key = bytes.fromhex("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389")
    nonce = bytes.fromhex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37")
    sealed = bytes.fromhex(
        "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186a"
        "c0dfc17c98dce87b4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae"
        "90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb45a74"
        "e355a5"
    )
    content = bytes.fromhex(
        "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c6129"
        "6cdc3c01233561f41db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde"
        "048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f937763848645e0705"
    )
    assert unseal(nonce + sealed, key) == content


def test_equal_blocks_look_different() -> None:
    assert seal(b"lines", KEY) != seal(b"lines", KEY)


@given(st.binary(max_size=50), st.data())
def test_a_block_that_was_changed_or_cut_does_not_open(content: bytes, data: st.DataObject) -> None:
    stored = bytearray(seal(content, KEY))
    at = data.draw(st.integers(0, len(stored) - 1))
    stored[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match="does not open it"):
        unseal(bytes(stored), KEY)
    with pytest.raises(ValueError, match=r"does not open it|no encrypted block"):
        unseal(bytes(seal(content, KEY)[:-1]), KEY)


def test_a_view_is_encrypted_and_a_short_key_is_refused() -> None:
    assert unseal(bytes(seal(memoryview(b"some lines")[5:], KEY)), KEY) == b"lines"
    for key in (b"", KEY[:-1], KEY + b"x"):
        with pytest.raises(ValueError, match="a key has 32 bytes"):
            seal(b"lines", key)


def test_only_the_sessions_key_opens_a_block() -> None:
    with pytest.raises(ValueError, match="does not open it"):
        unseal(bytes(seal(b"lines", KEY)), OTHER_KEY)
    with pytest.raises(CryptoError):
        SecretBox(OTHER_KEY).decrypt(bytes(seal(b"lines", KEY)))


def with_gaps(*blocks: bytes, framed: bool) -> bytearray:
    """Blocks as a compressor leaves them, with anything in the gaps."""
    gap = b"?" * (OVERHEAD_BYTES + (FRAME_HEADER_BYTES if framed else 0))
    return bytearray(b"".join(gap + block for block in blocks))


@given(blocks=st.lists(st.binary(max_size=500), min_size=1, max_size=5), framed=st.booleans())
def test_each_block_of_several_has_its_key_and_its_nonce(blocks: list[bytes], *, framed: bool) -> None:
    keys = [bytes([number]) * 32 for number, _ in enumerate(blocks)]
    stored = with_gaps(*blocks, framed=framed)
    seal_all(stored, [*map(len, blocks)], keys, framed=framed)
    at, nonces = 0, set()
    for block, key in zip(blocks, keys, strict=True):
        at += FRAME_HEADER_BYTES if framed else 0
        sealed = stored[at : at + OVERHEAD_BYTES + len(block)]
        assert SecretBox(key).decrypt(bytes(sealed)) == block
        nonces.add(bytes(sealed[:24]))
        at += len(sealed)
    assert at == len(stored)
    assert len(nonces) == len(blocks)


def test_a_key_of_another_length_encrypts_nothing() -> None:
    blocks = with_gaps(b"a", b"b", framed=False)
    before = bytes(blocks)
    with pytest.raises(ValueError, match="a key has 32 bytes, and this one 31"):
        seal_all(blocks, [1, 1], [KEY, KEY[1:]], framed=False)
    assert blocks == before


@pytest.mark.parametrize("lengths", [[5, 10], [5, 8], [14], [5, 9, 0]])
def test_lengths_that_are_not_those_of_the_blocks_are_refused(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match="110 bytes are not"):
        seal_all(with_gaps(b"lines", b" and more", framed=True), lengths, [KEY] * len(lengths), framed=True)


def test_zstd_passes_over_encrypted_blocks() -> None:
    stored = with_gaps(b"lines", b" and more", framed=True)
    seal_all(stored, [5, 9], [KEY, KEY], framed=True)
    clear = zstandard.ZstdCompressor().compress(b"in the clear")
    with zstandard.ZstdDecompressor().stream_reader(bytes(stored) + clear, read_across_frames=True) as reader:
        assert reader.read() == b"in the clear"


def masters(*keys: bytes) -> MasterKeys:
    return MasterKeys.parse("# ours\n\n" + "\n".join(base64.b64encode(key).decode() for key in keys), no_kms)


def no_kms(_ciphertext: bytes) -> bytes:
    raise AssertionError("nothing is encrypted")


def test_a_key_is_unwrapped_for_its_session_only() -> None:
    keys = masters(KEY)
    wrapped = keys.wrap(b"s" * 32, (2, "a"), AT)
    assert keys.unwrap(wrapped, (2, "a"), AT) == b"s" * 32
    for session, at in (((3, "a"), AT), ((2, "b"), AT), ((2, "a"), AT + 40 * 86_400)):
        with pytest.raises(ValueError, match="the row was changed"):
            keys.unwrap(wrapped, session, at)


def test_an_older_master_key_opens_what_it_wrapped() -> None:
    wrapped = masters(KEY).wrap(b"s" * 32, (2, "a"), AT)
    assert masters(OTHER_KEY, KEY).unwrap(wrapped, (2, "a"), AT) == b"s" * 32
    with pytest.raises(ValueError, match=r"wrapped with master key .*, which is not there"):
        masters(OTHER_KEY).unwrap(wrapped, (2, "a"), AT)


@pytest.mark.parametrize(
    "text", ["", "# only a comment", "c2hvcnQ=", "no base64!", base64.b64encode(KEY).decode()[:-4]]
)
def test_a_file_without_whole_keys_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ValueError, match=r"it holds no key|line 1 is not 32 bytes in base64") as refusal:
        MasterKeys.parse(text, no_kms)
    assert not text or not re.search(re.escape(text), str(refusal.value))
