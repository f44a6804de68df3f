"""Batch files that were written with a zstd dictionary, and their dictionaries."""

import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from recording_worker.errors import ConfigError
from recording_worker.formats.batch_file import FILE_NAME, BatchFileError
from recording_worker.formats.block import decompress_block
from recording_worker.formats.dictionary import DICTIONARY_ID, MAX_DICTIONARY_BYTES, Dictionary, dictionary_key
from recording_worker.reading.batch_files import read_blocks, read_index
from recording_worker.reading.dictionaries import Dictionaries, DictionaryError
from recording_worker.recording.dictionary import GENERAL_FILE, configured_dictionary
from recording_worker.settings.model import Settings
from recording_worker.storage.local.file import LocalFile, find_files
from recording_worker.storage.local.inventory import LocalInventory
from tests.batch_files import block, line, make_dictionary, store_dictionary, write_batch_file

DICTIONARY = make_dictionary()
FIRST, SECOND = block([(7, [line(1), line(2)]), (9, [line(3)])], "a"), block([(8, [line(4)])], "b")


def read(folder: Path) -> list[bytes]:
    """The lines of all blocks in the files below a folder. Raises what is wrong with the first file that is damaged."""
    found: list[bytes] = []
    for blocks in read_blocks(find_files([str(folder)])):
        if isinstance(blocks, BatchFileError):
            raise blocks
        found += [each.read() for each in blocks]
    return found


def test_an_id_keeps_dictionaries_apart_that_zstd_calls_the_same() -> None:
    one, other = make_dictionary(1, zstd_id=77), make_dictionary(2, zstd_id=77)
    assert one.zstd_id == other.zstd_id == 77
    assert one.id != other.id
    assert one.id.startswith("77-")
    assert all(DICTIONARY_ID.fullmatch(each.id) for each in (one, other, DICTIONARY))
    assert Dictionary.parse(one.content).id == one.id


def test_a_key_is_next_to_the_retention_periods_and_no_batch_files() -> None:
    assert dictionary_key("blocks", "1-ab") == dictionary_key("/blocks/", "1-ab") == "blocks/dictionaries/1-ab"
    assert dictionary_key("", "1-ab") == "dictionaries/1-ab"
    assert not FILE_NAME.fullmatch(DICTIONARY.id)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "it is not a zstd dictionary"),
        (b"text of some kind", "it is not a zstd dictionary"),
        (DICTIONARY.content[:4] + bytes(4) + DICTIONARY.content[8:], "the dictionary has no id"),
        (DICTIONARY.content[:40], "the dictionary is damaged"),
        (DICTIONARY.content + bytes(MAX_DICTIONARY_BYTES), "a dictionary has at most 16777216 bytes"),
    ],
)
def test_what_is_no_dictionary(tmp_path: Path, content: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}$"):
        Dictionary.parse(content)
    path = tmp_path / "some.dict"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"^{path} \\(zstd_dictionary\\): {problem}$"):
        configured_dictionary(Settings(zstd_dictionary=path))


def test_a_dictionary_of_the_settings(tmp_path: Path) -> None:
    path = store_dictionary(tmp_path, DICTIONARY)
    assert configured_dictionary(Settings(zstd_dictionary=path)) == DICTIONARY
    assert configured_dictionary(Settings()) is None
    general = configured_dictionary(Settings(zstd_dictionary=Path("general")))
    assert general is not None
    assert general.content == GENERAL_FILE.read_bytes()
    for wrong, problem in ((tmp_path / "none", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError, match=f"^can't read the dictionary {wrong} .*: {problem}$"):
            configured_dictionary(Settings(zstd_dictionary=wrong))


def test_a_reader_finds_the_dictionary_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_batch_file(tmp_path, FIRST, SECOND, dictionary=DICTIONARY)
    store_dictionary(tmp_path, DICTIONARY)
    assert read_index(LocalFile(path)).dictionary == DICTIONARY.id
    assert read(tmp_path) == read(path) == [FIRST[1], SECOND[1]]
    (link := tmp_path / "link").symlink_to(path.parent)
    assert read(link) == [FIRST[1], SECOND[1]]
    monkeypatch.chdir(path.parent)
    assert read(Path(path.name)) == read(Path("..") / path.parent.name / path.name) == [FIRST[1], SECOND[1]]


def test_zstd_reads_the_file_with_the_dictionary(tmp_path: Path) -> None:
    path = write_batch_file(tmp_path, FIRST, SECOND, dictionary=DICTIONARY)
    stored = store_dictionary(tmp_path, DICTIONARY)
    printed = subprocess.run(["zstd", "-D", stored, "-dc", path], check=True, capture_output=True).stdout
    assert printed == FIRST[1] + SECOND[1]
    assert subprocess.run(["zstd", "-dc", path], capture_output=True, check=False).returncode != 0


def test_files_with_several_dictionaries_and_with_none(tmp_path: Path) -> None:
    other = make_dictionary(3)
    for session, dictionary in (("a", DICTIONARY), ("b", other), ("c", None), ("d", DICTIONARY)):
        write_batch_file(tmp_path, block([(1, [line(1, session=session)])], session), dictionary=dictionary)
        if dictionary is not None:
            store_dictionary(tmp_path, dictionary)
    assert sorted(read(tmp_path)) == sorted(line(1, session=session) + b"\n" for session in "abcd")


def test_a_dictionary_is_fetched_once(tmp_path: Path) -> None:
    paths = [write_batch_file(tmp_path, FIRST, dictionary=DICTIONARY) for _ in range(2)]
    stored = store_dictionary(tmp_path, DICTIONARY)
    dictionaries = Dictionaries()
    found = [dictionaries.of(LocalFile(paths[0]), DICTIONARY.id)]
    stored.unlink()
    found += [dictionaries.of(LocalFile(path), DICTIONARY.id) for path in paths]
    assert found[0] == DICTIONARY
    assert found[0] is found[1] is found[2]


def damaged(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, r"it is not there \({stored}: No such file or directory\)"),
        (b"text", "{stored} can't be used: it is not a zstd dictionary"),
        (damaged(DICTIONARY.content), "{stored} holds another one, or is damaged"),
        (make_dictionary(5).content, "{stored} holds another one, or is damaged"),
        (DICTIONARY.content + bytes(MAX_DICTIONARY_BYTES), "{stored} can't be used: a dictionary has at most"),
    ],
)
def test_a_dictionary_that_is_gone_or_damaged(tmp_path: Path, content: bytes | None, problem: str) -> None:
    """The error names the file, the dictionary, and where it was looked for."""
    path = write_batch_file(tmp_path, FIRST, dictionary=DICTIONARY)
    stored = store_dictionary(tmp_path, DICTIONARY)
    stored.unlink()
    if content is not None:
        stored.write_bytes(content)
    expected = f"{path}: its blocks need dictionary {DICTIONARY.id}: {problem.format(stored=stored)}"
    with pytest.raises(DictionaryError, match=f"^{expected}"):
        read(tmp_path)


@pytest.mark.parametrize(
    "wrong", ["../../secret", "..", "", "1-" + "a" * 31, "0-" + "a" * 32, "1-" + "a" * 32 + "/..", "1-" + "A" * 32]
)
def test_an_id_that_is_none_makes_no_path(tmp_path: Path, wrong: str) -> None:
    path = write_batch_file(tmp_path, FIRST, dictionary=replace(DICTIONARY, id=wrong))
    store_dictionary(tmp_path, DICTIONARY)
    expected = f"{path}: the index names a dictionary by what is no id of one: {wrong!r}"
    with pytest.raises(BatchFileError, match=f"^{re.escape(expected)}$"):
        read(tmp_path)


def test_a_block_that_needs_a_dictionary_says_so(tmp_path: Path) -> None:
    path = write_batch_file(tmp_path, FIRST, dictionary=DICTIONARY)
    frame = path.read_bytes()[: FIRST[0].length]
    assert decompress_block(frame, "zstd", FIRST[0].size, DICTIONARY) == FIRST[1]
    for other in (None, make_dictionary(9)):
        with pytest.raises(ValueError, match=f"^it needs the dictionary that zstd calls {DICTIONARY.zstd_id}, which"):
            decompress_block(frame, "zstd", FIRST[0].size, other)


def test_a_dictionary_is_no_batch_file_but_what_is_left_of_writing_it_is_swept(tmp_path: Path) -> None:
    path = write_batch_file(tmp_path, FIRST, dictionary=DICTIONARY)
    stored = store_dictionary(tmp_path, DICTIONARY)
    (left := stored.with_name(f".{stored.name}.0a1b2c3d.tmp")).write_bytes(b"half")
    assert [file.name for file in find_files([str(tmp_path)])] == [str(path)]
    listed = {file.name: file.temporary for file in LocalInventory(tmp_path).files()}
    assert listed == {str(path): False, str(left): True}
    assert os.path.commonpath([path, stored]) == str(tmp_path / "blocks")
