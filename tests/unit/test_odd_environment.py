"""What commands say if the environment lacks something: one line, and an exit code."""

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest

from recording_worker.errors import BootError, WorkerError
from recording_worker.operations.verify.run import VerifyRun
from recording_worker.playing import player
from tests.batch_files import block, line, write_batch_file
from tests.unit.command import run


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whom the system does not know, without HOME."""
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def home() -> NoReturn:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", home)


@pytest.mark.usefixtures("homeless")
def test_play_without_a_home_is_one_line(tmp_path: Path) -> None:
    write_batch_file(tmp_path, block([(1, [line(1)])]))
    done = run("play", tmp_path, "--session", "session-1")
    assert (done.code, done.out) == (3, "")
    assert done.err == ("recording-worker: error: there is no home folder to keep a cache in: set XDG_CACHE_HOME\n")
    with pytest.raises(BootError, match="set XDG_CACHE_HOME"):
        player.fetch()


@pytest.mark.usefixtures("homeless")
def test_other_commands_need_no_home(tmp_path: Path) -> None:
    write_batch_file(tmp_path, block([(1, [line(1)])]))
    for command in (["blocks"], ["sessions"], ["export", "--session", "session-1"]):
        assert run(*command, tmp_path).code == 0


def test_a_player_that_can_not_be_kept_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(shutil, "which", lambda _: "npm")
    with pytest.raises(WorkerError, match=r"can't write the player to .*: Not a directory"):
        player.fetch()


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.EROFS, os.strerror(errno.EROFS), "/some/file"), "/some/file: Read-only file system"),
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory found"), "No usable temporary directory found"),
        (OSError("something else"), "something else"),
        (
            sqlite3.OperationalError("unable to open database file"),
            "can't write to a temporary database (unable to open database file): set TMPDIR to a folder with room",
        ),
    ],
)
def test_what_the_system_refuses_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, text: str
) -> None:
    def fail(*_: Any) -> NoReturn:
        raise error

    monkeypatch.setattr(VerifyRun, "__init__", fail)
    done = run("verify", "--storage-dir", tmp_path)
    assert (done.code, done.out, done.err) == (1, "", f"recording-worker: error: {text}\n")


def test_reading_commands_need_no_folder_for_temporary_files(tmp_path: Path) -> None:
    """On a system whose every folder is read only, as far as this process can tell."""
    write_batch_file(tmp_path, block([(1, [line(1)])]))
    script = """
import os, resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
from recording_worker.cli import main
main()
"""
    for command in (["blocks"], ["sessions"], ["export", "--session", "session-1"]):
        done = subprocess.run(
            [sys.executable, "-B", "-c", script, *command, str(tmp_path)], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout
