"""`dictionary train`: what it samples, what it makes of it, and when it refuses."""

import json
import random
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording_worker.formats.dictionary import Dictionary
from recording_worker.operations.dictionary import MAX_BLOCK_BYTES, Reservoir
from recording_worker.reading.batch_files import read_index
from recording_worker.storage.local.file import find_files
from tests.batch_files import block, line, make_dictionary, store_dictionary, write_batch_file
from tests.sample import SAMPLE
from tests.unit.command import run

PAGE = " ".join(f"page{random.Random(at).getrandbits(40):x}" for at in range(400))


def recordings(folder: Path, sessions: range) -> None:
    """A batch file for each session, with the same page, and a text of its own."""
    for number in sessions:
        own = f"{random.Random(number).getrandbits(2000):x}"
        write_batch_file(folder, block([(number, [line(1, page=PAGE, own=own)])], f"session-{number}"))


@given(st.lists(st.tuples(st.text(max_size=3), st.integers(0, 50)), max_size=60), st.integers(1, 300))
def test_a_sample_is_within_its_limit_and_does_not_depend_on_the_order(
    given: list[tuple[str, int]], limit: int
) -> None:
    unique = list({key: b"x" * size for key, size in given}.items())
    samples = []
    for order in (unique, unique[::-1], unique + unique):
        reservoir = Reservoir(limit)
        for key, lines in order:
            reservoir.add(key, f"session {key}", lines)
        assert reservoir.size == sum(map(len, reservoir.blocks)) <= limit
        samples.append((reservoir.blocks, reservoir.sessions))
    assert samples[0] == samples[2]
    if sum(len(lines) for _, lines in unique) <= limit:
        assert sorted(samples[0][0]) == sorted(lines for _, lines in unique)


def test_a_sample_is_fair() -> None:
    """Blocks that come late have the chance of those that come early."""
    reservoir = Reservoir(1000)
    for number in range(1000):
        reservoir.add(str(number), "session", number.to_bytes(10))
    kept = [int.from_bytes(lines) for lines in reservoir.blocks]
    assert len(kept) == 100
    assert 30 < sum(number < 500 for number in kept) < 70
    assert [number for number in range(1000) if reservoir.wants(str(number))] == []


def test_a_large_block_is_sampled_by_its_beginning() -> None:
    reservoir = Reservoir(2 * MAX_BLOCK_BYTES)
    reservoir.add("key", "session", b"1" + b"x" * MAX_BLOCK_BYTES)
    assert reservoir.size == MAX_BLOCK_BYTES


def test_a_dictionary_from_batch_files(tmp_path: Path) -> None:
    recordings(tmp_path / "recordings", range(40))
    out = tmp_path / "pages.dict"
    out.write_bytes(b"an earlier one")
    done = run("dictionary", "train", tmp_path / "recordings", "--out", out, "--size", "8KiB", "--json")
    assert (done.code, done.err) == (0, "")
    figures = json.loads(done.out)
    dictionary = Dictionary.parse(out.read_bytes())
    assert (figures["id"], figures["bytes"]) == (dictionary.id, len(dictionary.content))
    assert figures["bytes"] <= 8192
    assert figures["trained_on"]["sessions"] + figures["unseen"]["sessions"] == 40
    assert figures["trained_on"]["blocks"] == figures["trained_on"]["sessions"]
    assert 0 < figures["unseen"]["sessions"] < 20
    stored = figures["unseen_stored"]
    assert stored["level"] == 1
    assert stored["ratio"] == round(stored["with_dictionary"] / stored["without_dictionary"], 3) < 0.5
    assert sum(word.encode() in dictionary.content for word in PAGE.split()) > 360
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["pages.dict"]

    (listing := tmp_path / "lines").write_bytes(PAGE.encode() * 2)
    subprocess.run(["zstd", "-q", "-D", out, listing], check=True)
    read = subprocess.run(["zstd", "-D", out, "-dc", f"{listing}.zst"], check=True, capture_output=True)
    assert read.stdout == listing.read_bytes()


def test_a_table_where_json_is_not_asked_for(tmp_path: Path) -> None:
    recordings(tmp_path, range(40))
    done = run("dictionary", "train", tmp_path, "--out", tmp_path / "d", "--size", "8KiB", "--zstd-level", "5")
    assert (done.code, done.err) == (0, "")
    dictionary = Dictionary.parse((tmp_path / "d").read_bytes())
    assert done.out.startswith(f"Written to {tmp_path / 'd'}: dictionary {dictionary.id}\n")
    assert re.search(r"unseen stored: level\W+5\b", done.out)


def test_a_dictionary_from_message_files_and_from_recordings_with_a_dictionary(tmp_path: Path) -> None:
    done = run("dictionary", "train", SAMPLE, "--out", tmp_path / "first", "--size", "16KiB", "--json")
    assert (done.code, done.err) == (0, "")
    first = json.loads(done.out)
    assert first["trained_on"]["blocks"] + first["unseen"]["blocks"] == 82
    assert first["unseen_stored"]["ratio"] < 0.95

    recordings(tmp_path / "more", range(30))
    dictionary = make_dictionary()
    write_batch_file(tmp_path / "more", block([(1, [line(1, page=PAGE)])], "another"), dictionary=dictionary)
    store_dictionary(tmp_path / "more", dictionary)
    out = tmp_path / "both"
    done = run("dictionary", "train", tmp_path / "more", SAMPLE, "--out", out, "--size", "16KiB", "--json")
    assert (done.code, done.err) == (0, "")
    both = json.loads(done.out)
    assert both["trained_on"]["blocks"] + both["unseen"]["blocks"] == 82 + 31
    assert both["id"] != first["id"]


def test_the_sample_is_bounded(tmp_path: Path) -> None:
    recordings(tmp_path / "recordings", range(60))
    assert sum(entry.size for file in find_files([str(tmp_path)]) for entry in read_index(file).blocks) > 200_000
    arguments = ["--out", tmp_path / "d", "--size", "4KiB", "--sample", "128KiB", "--json"]
    figures = json.loads(run("dictionary", "train", tmp_path / "recordings", *arguments).out)
    assert 100_000 < figures["trained_on"]["bytes"] <= 131_072
    assert figures["unseen"]["bytes"] <= 32_768


@pytest.mark.parametrize(
    ("sessions", "size", "problem"),
    [
        (0, "8KiB", "0 blocks of 0 sessions with 0B of lines, and 0 sessions kept apart"),
        (4, "1KiB", "sessions with .* A dictionary of 1KiB needs 5 sessions with 4KiB, and one to measure with$"),
        (12, "256KiB", "A dictionary of 256KiB needs 5 sessions with 1MiB, and one to measure with$"),
    ],
)
def test_too_little_is_refused_and_nothing_is_written(tmp_path: Path, sessions: int, size: str, problem: str) -> None:
    (tmp_path / "recordings").mkdir()
    recordings(tmp_path / "recordings", range(sessions))
    done = run("dictionary", "train", tmp_path / "recordings", "--out", tmp_path / "d", "--size", size)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("recording-worker: error: too little to train from: ")
    assert re.search(problem, done.err.strip())
    assert not (tmp_path / "d").exists()


def test_recordings_with_nothing_in_common_are_refused(tmp_path: Path) -> None:
    for number in range(20):
        noise = random.Random(number).randbytes(4000).hex()
        write_batch_file(tmp_path, block([(number, [noise.encode()])], f"session-{number}"))
    done = run("dictionary", "train", tmp_path, "--out", tmp_path / "d", "--size", "4KiB")
    problem = "the samples have too little in common, or the size is too small"
    assert (done.code, done.err) == (1, f"recording-worker: error: can't train a dictionary: {problem}\n")


def test_a_damaged_file_is_named_and_the_others_are_used(tmp_path: Path) -> None:
    recordings(tmp_path, range(40))
    damaged = next(find_files([str(tmp_path)])).path
    damaged.write_bytes(b"x" + damaged.read_bytes()[1:])
    done = run("dictionary", "train", tmp_path, "--out", tmp_path / "d", "--size", "8KiB")
    assert done.code == 1
    assert done.err.startswith(f"recording-worker: error: {damaged}: block at byte 0 is damaged: ")
    assert Dictionary.parse((tmp_path / "d").read_bytes())


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (["--size", "100"], 2, "must be from 1KiB to 16MiB"),
        (["--size", "1GiB"], 2, "must be from 1KiB to 16MiB"),
        (["--size", "much"], 2, "must be a size such as 4096, 512KiB or 64MiB"),
        (["--sample", "1KiB"], 2, "must be from 64KiB to 1GiB"),
        (["--out", "{folder}/none/d"], 2, "--out {folder}/none/d: there is no folder {folder}/none"),
        (["{folder}/none"], 2, "{folder}/none: No such file or directory"),
        (["{folder}/text"], 1, "{folder}/text:1: not JSON"),
    ],
)
def test_wrong_arguments(tmp_path: Path, arguments: list[str], code: int, error: str) -> None:
    (tmp_path / "text").write_text("text\n")
    given = [argument.format(folder=tmp_path) for argument in arguments]
    done = run("dictionary", "train", tmp_path / "text", "--out", tmp_path / "d", *given)
    assert (done.code, done.out) == (code, "")
    assert error.format(folder=tmp_path) in done.err
    assert not (tmp_path / "d").exists()


def test_the_group_alone_explains_itself() -> None:
    done = run("dictionary")
    assert (done.code, done.out) == (2, "")
    assert "Make a dictionary from recordings." in done.err
