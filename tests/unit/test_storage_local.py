import errno
import fcntl
import os
import random
import resource
import stat
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from structlog.testing import capture_logs
from tenacity import wait_none

from recording_worker.errors import ConfigError, FlushError
from recording_worker.formats.batch_file import file_key
from recording_worker.metrics import Metrics
from recording_worker.settings.model import Settings
from recording_worker.storage.base import Part
from recording_worker.storage.blackhole import BlackholeStorage
from recording_worker.storage.local.backend import ATTEMPTS, PIECE_BYTES, LocalStorage
from recording_worker.storage.local.file import find_files
from recording_worker.storage.open import open_storage

KEY = "blocks/30d/file"


def all_files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def failing(monkeypatch: pytest.MonkeyPatch, error: int, times: int, after: int = 0) -> list[int]:
    """Make fsync fail this many times, after some calls; return a list that grows by each call."""
    calls: list[int] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        calls.append(descriptor)
        if after < len(calls) <= after + times:
            raise OSError(error, os.strerror(error))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)  # there is no other way to a disk that fails
    return calls


def test_parts_become_one_file(tmp_path: Path) -> None:
    parts: list[Part] = [b"one ", bytearray(b"two "), memoryview(b"three")]
    url = LocalStorage(tmp_path / "root").write(KEY, parts, {})
    assert all_files(tmp_path) == [f"root/{KEY}"]
    assert (tmp_path / "root" / KEY).read_bytes() == b"one two three"
    assert url == (tmp_path / "root" / KEY).as_uri()


@pytest.mark.parametrize("name", ["plain", "with space", "ünïcode %41 #?"])
def test_the_url_leads_to_the_file(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    url = urlsplit(LocalStorage(Path(name)).write(KEY, [b"x"], {}))
    assert (url.scheme, url.netloc, url.query, url.fragment) == ("file", "", "", "")
    assert Path(unquote(url.path)).read_bytes() == b"x"


def test_urls_can_name_another_root(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / ".staging", url_root=tmp_path / "out")
    assert storage.write(KEY, [b"x"], {}) == (tmp_path / "out" / KEY).as_uri()
    assert all_files(tmp_path) == [f".staging/{KEY}"]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.write(KEY, [b"first"], {})
    with pytest.raises(FlushError, match=rf"{KEY}: File exists"):
        storage.write(KEY, [b"second"], {})
    assert (tmp_path / KEY).read_bytes() == b"first"
    assert all_files(tmp_path) == [KEY]


def test_the_same_content_again_counts_as_stored(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    assert storage.write(KEY, [b"first"], {}) == storage.write(KEY, [b"fir", b"st"], {})
    assert all_files(tmp_path) == [KEY]


def test_a_full_disk_fails_at_once_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / KEY).parent.mkdir(parents=True)
    calls = failing(monkeypatch, errno.ENOSPC, times=1)
    with pytest.raises(FlushError) as raised:
        LocalStorage(tmp_path).write(KEY, [b"x"], {})
    assert str(raised.value) == f"can't write {tmp_path / KEY}: No space left on device"
    assert len(calls) == 1
    assert all_files(tmp_path) == []


@pytest.mark.parametrize("error", [errno.EIO, errno.ESTALE])
def test_a_transient_error_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    (tmp_path / KEY).parent.mkdir(parents=True)
    failing(monkeypatch, error, times=ATTEMPTS - 1)
    with capture_logs() as logs:
        LocalStorage(tmp_path, retry_wait=wait_none()).write(KEY, iter([b"one ", b"two"]), {})
    assert (tmp_path / KEY).read_bytes() == b"one two"
    assert all_files(tmp_path) == [KEY]
    line = {"event": "writing a file failed, trying again", "path": str(tmp_path / KEY), "log_level": "warning"}
    assert logs == [line | {"error": str(OSError(error, os.strerror(error)))}] * (ATTEMPTS - 1)


@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 20_000_000])
@pytest.mark.parametrize("part_bytes", [9_999, 5_000_011, 20_000_000])
def test_a_file_of_any_size_has_all_its_bytes(tmp_path: Path, size: int, part_bytes: int) -> None:
    content = random.Random(size).randbytes(size)
    parts = (content[start : start + part_bytes] for start in range(0, size, part_bytes))
    LocalStorage(tmp_path).write(KEY, parts, {})
    assert (tmp_path / KEY).read_bytes() == content


def test_only_the_piece_that_failed_is_written_again_and_no_part_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Block(bytearray):
        """A part that can be looked for."""

    (tmp_path / KEY).parent.mkdir(parents=True)
    blocks: list[weakref.ref[Block]] = []
    held = []

    def parts() -> Iterator[Part]:
        for number in range(20):
            held.append(sum(block() is not None for block in blocks))
            block = Block(bytes([number]) * 1_000_000)
            blocks.append(weakref.ref(block))
            yield block
            del block

    calls = failing(monkeypatch, errno.EIO, times=1, after=1)
    LocalStorage(tmp_path, retry_wait=wait_none()).write(KEY, parts(), {})
    assert (tmp_path / KEY).read_bytes() == b"".join(bytes([number]) * 1_000_000 for number in range(20))
    assert max(held) <= 1
    assert len(calls) == 3 + 1 + 1  # three pieces, one of them twice, and the folder


def test_a_rename_that_worked_and_says_it_failed_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.rename

    def rename(*args: Any, **options: Any) -> None:
        real(*args, **options)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "rename", rename)  # there is no other way to a file system that loses an answer
    LocalStorage(tmp_path, retry_wait=wait_none()).write(KEY, [b"x"], {})
    assert (tmp_path / KEY).read_bytes() == b"x"
    assert all_files(tmp_path) == [KEY]


@pytest.mark.parametrize("refused", ["the flag", "the write"])
def test_a_file_system_without_a_way_past_the_page_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    content = random.Random(1).randbytes(10_000)
    past_the_cache: list[bool] = []
    set_flags, write = fcntl.fcntl, os.pwrite

    def set_or_refuse(file: int, command: int, flags: int = 0) -> int:
        if flags & os.O_DIRECT and refused == "the flag":
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return set_flags(file, command, flags)

    def write_or_refuse(file: int, data: memoryview, start: int) -> int:
        past_the_cache.append(bool(set_flags(file, fcntl.F_GETFL) & os.O_DIRECT))
        if past_the_cache[-1]:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return write(file, data, start)

    monkeypatch.setattr(fcntl, "fcntl", set_or_refuse)  # which file system the tests have is not known
    monkeypatch.setattr(os, "pwrite", write_or_refuse)
    LocalStorage(tmp_path).write(KEY, [content], {})
    assert (tmp_path / KEY).read_bytes() == content
    assert past_the_cache == ([] if refused == "the flag" else [True]) + [False, False]


def test_a_transient_error_that_stays_fails_the_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / KEY).parent.mkdir(parents=True)
    calls = failing(monkeypatch, errno.EIO, times=1000)
    with pytest.raises(FlushError, match="Input/output error"):
        LocalStorage(tmp_path, retry_wait=wait_none()).write(KEY, [b"x"], {})
    assert len(calls) == ATTEMPTS
    assert all_files(tmp_path) == []


def test_file_and_folders_are_on_the_disk_before_the_url_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[int, list[str]]] = []

    def fsync(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_ino, all_files(tmp_path)))

    monkeypatch.setattr(os, "fsync", fsync)
    LocalStorage(tmp_path).write(KEY, [b"x"], {})
    inodes = [(tmp_path / name).stat().st_ino for name in (".", "blocks", KEY, "blocks/30d")]
    assert [inode for inode, _ in synced] == inodes
    # the file is synced while its name is hidden, and has its own name when its folder is synced
    (hidden,) = synced[2][1]
    assert Path(hidden).name.startswith(".file.")
    assert synced[3][1] == [KEY]


def test_a_write_that_the_system_refuses_half_way_leaves_nothing(tmp_path: Path) -> None:
    """Runs in another process, which may only write files of up to 64 KiB."""
    script = """
import resource, sys
from pathlib import Path
from recording_worker.errors import FlushError
from recording_worker.storage.local.backend import LocalStorage
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
try:
    LocalStorage(Path(sys.argv[1])).write("blocks/30d/file", [b"x" * 50_000] * 3, {})
except FlushError as error:
    print(error)
"""
    assert resource.RLIM_INFINITY in resource.getrlimit(resource.RLIMIT_FSIZE)
    done = subprocess.run([sys.executable, "-c", script, tmp_path], check=True, capture_output=True, text=True)
    assert done.stdout == f"can't write {tmp_path / KEY}: File too large\n"
    assert all_files(tmp_path) == []


def test_a_process_killed_while_it_writes_leaves_no_batch_file(tmp_path: Path) -> None:
    script = """
import sys, time
from pathlib import Path
from recording_worker.storage.local.backend import PIECE_BYTES, LocalStorage

def parts():
    yield b"x" * PIECE_BYTES
    print("half", flush=True)
    time.sleep(60)

LocalStorage(Path(sys.argv[1])).write(sys.argv[2], parts(), {})
"""
    key = file_key("blocks", "30d", 1, "01890a5d-ac96-774b-bcce-b302099a8057")
    writer = subprocess.Popen([sys.executable, "-c", script, tmp_path, key], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"half\n"
    writer.kill()
    writer.wait()
    writer.stdout.close()
    assert len(all_files(tmp_path)) == 1
    assert list(find_files([str(tmp_path)])) == []
    LocalStorage(tmp_path).write(key, [b"again"], {})
    assert [file.name for file in find_files([str(tmp_path)])] == [str(tmp_path / key)]


def test_check_makes_the_folder_and_leaves_nothing_in_it(tmp_path: Path) -> None:
    LocalStorage(tmp_path / "a" / "b").check()
    assert (tmp_path / "a" / "b").is_dir()
    assert all_files(tmp_path) == []


def test_check_says_in_one_line_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError) as raised:
        LocalStorage(tmp_path / "file" / "root").check()
    assert str(raised.value) == f"can't write to the storage folder {tmp_path / 'file' / 'root'}: Not a directory"
    failing(monkeypatch, errno.ENOSPC, times=1)
    with pytest.raises(ConfigError, match="No space left on device"):
        LocalStorage(tmp_path).check()


def test_check_finds_a_folder_without_write_permission(tmp_path: Path) -> None:
    """Runs in another process, which gives up root's rights if it has them."""
    script = """
import os, sys
from pathlib import Path
from recording_worker.errors import ConfigError
from recording_worker.storage.local.backend import LocalStorage
if os.geteuid() == 0:
    os.setegid(65534)
    os.seteuid(65534)
try:
    LocalStorage(Path(sys.argv[1])).check()
except ConfigError as error:
    print(error)
"""
    for folder in [tmp_path, *tmp_path.parents]:
        if folder.is_relative_to(tempfile.gettempdir()):
            folder.chmod(folder.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    (locked := tmp_path / "locked").mkdir(mode=0o555)
    done = subprocess.run([sys.executable, "-c", script, locked], check=True, capture_output=True, text=True)
    assert done.stdout == f"can't write to the storage folder {locked}: Permission denied\n"


def test_the_settings_choose_the_backend(tmp_path: Path) -> None:
    local = open_storage(Settings(storage_dir=tmp_path), Metrics())
    assert isinstance(local, LocalStorage)
    blackhole = open_storage(Settings(storage="blackhole:"), Metrics())
    assert isinstance(blackhole, BlackholeStorage)
    blackhole.check()
    assert blackhole.write(KEY, [b"x"], {}) == f"blackhole:{KEY}"
    with pytest.raises(ConfigError, match="no storage"):
        open_storage(Settings(), Metrics())
