"""The reader in docs/data/batch-files.md reads what the worker writes, as the page has it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from recording_worker.reading.batch_files import Block, read_index
from recording_worker.storage.local.file import LocalFile
from tests.batch_files import block, line, make_dictionary, write_batch_file
from tests.sample import SAMPLE
from tests.unit.command import run

PAGE = Path(__file__).parents[2] / "docs" / "data" / "batch-files.md"
SESSION = "01a209e4-1327-71c0-9917-96265f43c414"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    path = tmp_path / "read_session.py"
    path.write_text(code)
    return path


@pytest.mark.parametrize("kind", ["zstd", "snappy", "dictionary", "general"])
def test_it_prints_each_event_of_a_session_once(
    kind: str, program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECORDING_WORKER_POLL_MESSAGES", "5")
    options: list[str | Path] = ["--codec", "snappy"] if kind == "snappy" else []
    if kind == "dictionary":
        (dictionary := tmp_path / "pages.dict").write_bytes(make_dictionary().content)
        options = ["--zstd-dictionary", dictionary]
    elif kind == "general":
        options = ["--zstd-dictionary", "general"]
    done = run("ingest", SAMPLE, "--out", tmp_path / "out", "--any-token", "--max-batch-bytes", "256KiB", *options)
    assert done.code == 0, done.err
    paths = [path for path in sorted((tmp_path / "out" / "blocks").glob("*/*")) if path.parent.name != "dictionaries"]
    indexes = [read_index(LocalFile(path)) for path in paths]
    assert all((index.dictionary is not None) is (kind in {"dictionary", "general"}) for index in indexes)
    blocks = [
        Block(LocalFile(path), index, entry).read()
        for path, index in zip(paths, indexes, strict=True)
        for entry in index.blocks
        if entry.session_id == SESSION
    ]
    assert len(blocks) > 1, "the session is in several files"
    assert print_session(program, *paths, *paths) == b"".join(blocks)


def test_it_refuses_a_file_that_was_cut(program: Path, tmp_path: Path) -> None:
    path = write_batch_file(tmp_path, block([(7, [line(1)])]))
    path.write_bytes(path.read_bytes()[:-1])
    ended = subprocess.run([sys.executable, program, "session-1", path], capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (1, f"{path} does not end in an index\n".encode())


def print_session(program: Path, *paths: Path) -> bytes:
    return subprocess.run([sys.executable, program, SESSION, *paths], check=True, capture_output=True).stdout
