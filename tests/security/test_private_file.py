"""Exports of recordings are for their owner, and are not written through links."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recording_worker.cli.dlq.showing import _write as write_value
from recording_worker.cli.play import _write as write_page
from recording_worker.errors import WorkerError
from recording_worker.operations.dictionary import write_dictionary
from recording_worker.private_file import write_private
from tests.batch_files import make_dictionary

Write = Callable[[Path], None]
WRITERS: dict[str, Write] = {
    "page": lambda path: write_page(path, ["a page"]),
    "value": lambda path: write_value(b"a value", path),
    "dictionary": lambda path: write_dictionary(make_dictionary(), path),
}


@pytest.fixture(params=list(WRITERS))
def write(request: pytest.FixtureRequest) -> Write:
    return WRITERS[request.param]


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def test_only_the_owner_may_read_it(tmp_path: Path, write: Write) -> None:
    path = tmp_path / "export"
    write(path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    path.write_bytes(b"before")
    write(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes() != b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_no_link_is_followed_and_nothing_but_a_file_is_replaced(tmp_path: Path, write: Write) -> None:
    (victim := tmp_path / "victim").write_bytes(b"untouched")
    link, dangling, pipe = (tmp_path / name for name in ("link", "dangling", "pipe"))
    link.symlink_to(victim)
    dangling.symlink_to(tmp_path / "made")
    os.mkfifo(pipe)
    for path in (link, dangling, pipe):
        with pytest.raises(WorkerError, match="not a regular file; a link is not followed"):
            write(path)
    assert victim.read_bytes() == b"untouched"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling", "link", "pipe", "victim"]


def test_a_file_that_can_not_be_written_is_one_line(tmp_path: Path, write: Write) -> None:
    with pytest.raises(WorkerError, match="No such file or directory"):
        write(tmp_path / "nowhere" / "export")


def test_what_fails_half_way_leaves_the_file_before_it(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise ValueError("no more")

    (path := tmp_path / "export").write_bytes(b"before")
    with pytest.raises(ValueError, match="no more"):
        write_private(path, pieces())
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]
