"""Training of dictionaries: zstd takes what comes out, and it holds what the samples have in common."""

import random
import threading

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from recording_worker._native import train_dictionary
from recording_worker.formats.dictionary import Dictionary


def words(seed: int, count: int) -> bytes:
    return " ".join(f"{random.Random(seed * 1000 + at).getrandbits(40):x}" for at in range(count)).encode()


COMMON, RARE = words(1, 60), words(2, 60)


def samples_of(common: int, rare: int) -> list[bytes]:
    """Forty samples of words of their own. The first `common` also hold COMMON, and the first `rare` hold RARE."""
    return [
        words(100 + at, 30) + (COMMON if at < common else b"") + words(200 + at, 30) + (RARE if at < rare else b"")
        for at in range(40)
    ]


def stored(dictionary: bytes | None, text: bytes) -> int:
    prepared = None if dictionary is None else zstandard.ZstdCompressionDict(dictionary)
    return len(zstandard.ZstdCompressor(dict_data=prepared).compress(text))


def share(text: bytes, dictionary: bytes) -> float:
    """The share of the words of a text that are in a dictionary."""
    found = [word in dictionary for word in text.split()]
    return sum(found) / len(found)


def test_what_most_samples_hold_is_taken_first_and_stands_last() -> None:
    dictionary = train_dictionary(samples_of(common=40, rare=10), 4096)
    assert share(COMMON, dictionary) > 0.9
    assert share(RARE, dictionary) > 0.9
    assert dictionary.index(COMMON[300:340]) > dictionary.index(RARE[300:340])
    small = train_dictionary(samples_of(common=40, rare=10), 256 + len(COMMON))
    assert share(COMMON, small) > 0.7
    assert share(RARE, small) < 0.1


def test_what_one_sample_repeats_is_worth_nothing() -> None:
    alone = words(5, 40)
    dictionary = train_dictionary([*samples_of(common=40, rare=0), alone * 50], 4096)
    assert alone[:50] not in dictionary


def test_what_it_knows_takes_less() -> None:
    dictionary = train_dictionary(samples_of(common=40, rare=40), 4096)
    unseen = words(7, 20) + COMMON + words(8, 20) + RARE
    assert stored(dictionary, unseen) < 0.6 * stored(None, unseen)


def test_the_same_samples_give_the_same_dictionary_and_others_another_id() -> None:
    first = train_dictionary(samples_of(40, 10), 4096)
    assert train_dictionary(iter(samples_of(40, 10)), 4096) == first
    assert Dictionary.parse(train_dictionary(samples_of(40, 20), 4096)).id != Dictionary.parse(first).id


@given(st.lists(st.binary(max_size=2_000), max_size=20), st.integers(0, 8_192), st.integers(1, 4))
def test_any_samples(samples: list[bytes], size: int, copies: int) -> None:
    """A dictionary of pieces of the samples that zstd can use, or none."""
    try:
        dictionary = train_dictionary(samples * copies, size)
    except ValueError:
        assert size < 512 or copies == 1 or sum(map(len, samples)) < 4_096
        return
    assert len(dictionary) <= size
    parsed = Dictionary.parse(dictionary)
    for sample in samples:
        frame = zstandard.ZstdCompressor(dict_data=parsed.prepared).compress(sample)
        assert zstandard.ZstdDecompressor(dict_data=parsed.prepared).decompress(frame) == sample
        if sample:
            assert zstandard.get_frame_parameters(frame).dict_id == parsed.zstd_id


@pytest.mark.parametrize("samples", [[], [b""], [b"short"] * 100, [words(1, 500)], [words(at, 50) for at in range(2)]])
def test_too_little_in_common(samples: list[bytes]) -> None:
    with pytest.raises(ValueError, match="the samples have too little in common, or the size is too small"):
        train_dictionary(samples, 4096)


@pytest.mark.unsanitized
def test_other_threads_run_meanwhile() -> None:
    samples = [words(at % 7, 20_000) for at in range(14)]
    turns, done = 0, threading.Event()

    def train() -> None:
        train_dictionary(samples, 65_536)
        done.set()

    thread = threading.Thread(target=train)
    thread.start()
    while not done.wait(0.001):
        turns += 1
    thread.join()
    assert turns > 5


def test_wrong_arguments() -> None:
    with pytest.raises(TypeError):
        train_dictionary(["text"], 4096)  # type: ignore[list-item]
    with pytest.raises(TypeError):
        train_dictionary([None], 4096)  # type: ignore[list-item]
