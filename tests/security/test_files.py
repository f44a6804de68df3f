"""Files that the worker writes: their rights, and links in their way."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from recording_worker.cli import cli
from recording_worker.errors import ConfigError, FlushError
from recording_worker.settings.load import load_settings
from recording_worker.settings.model import Settings
from recording_worker.storage.local.backend import LocalStorage
from tests.sample import SAMPLE

KEY = "blocks/30d/file"


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def rights_below(folder: Path) -> set[str]:
    """Return the rights of all files and folders below the folder, and its own: `file 0640`."""
    return {
        f"{'folder' if path.is_dir() else 'file'} {stat.S_IMODE(path.lstat().st_mode):04o}"
        for path in (folder, *folder.rglob("*"))
    }


@pytest.mark.parametrize(
    ("mode", "umask", "file", "folder"),
    [
        ("0640", 0o022, "0640", "0750"),
        ("0600", 0o022, "0600", "0700"),
        ("644", 0o022, "0644", "0755"),
        ("0660", 0o002, "0660", "0770"),
        ("0660", 0o022, "0640", "0750"),
        ("0644", 0o077, "0600", "0700"),
        ("0604", 0o022, "0604", "0705"),
    ],
)
def test_the_rights_that_the_setting_gives(tmp_path: Path, mode: str, umask: int, file: str, folder: str) -> None:
    os.umask(umask | Settings(storage_file_mode=mode).umask)
    LocalStorage(tmp_path / "root").write(KEY, [b"x"], {})
    assert rights_below(tmp_path / "root") == {f"file {file}", f"folder {folder}"}


@pytest.mark.parametrize("mode", ["0777", "0666 ", "0444", "0440", "06400", "rw-r-----", "0650", ""])
def test_rights_that_are_none(mode: str) -> None:
    with pytest.raises(ConfigError, match="--storage-file-mode"):
        load_settings({"storage_file_mode": mode}, None, {})


def test_what_ingest_writes_is_not_for_the_world(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = CliRunner().invoke(cli, ["ingest", str(SAMPLE), "--out", str(out), "--any-token", "--workers", "1"])
    assert done.exit_code == 0, done.output
    assert (out / "summary.json").is_file()
    assert any((out / "topics").iterdir())
    assert rights_below(out) == {"file 0640", "folder 0750"}


@pytest.mark.parametrize("linked", ["blocks", "blocks/30d", KEY])
@pytest.mark.parametrize("leads_somewhere", [True, False])
def test_no_link_below_the_root_is_followed(tmp_path: Path, linked: str, leads_somewhere: bool) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    (root / linked).parent.mkdir(parents=True)
    (root / linked).symlink_to(elsewhere)
    if leads_somewhere:
        elsewhere.write_bytes(b"x") if linked == KEY else elsewhere.mkdir()
    with pytest.raises(FlushError, match=f"can't write {root / KEY}: "):
        LocalStorage(root).write(KEY, [b"x"], {})
    assert (root / linked).is_symlink()
    if elsewhere.is_dir():
        assert list(elsewhere.iterdir()) == []
    assert elsewhere.exists() == leads_somewhere


def test_a_pipe_in_a_files_place_does_not_hang(tmp_path: Path) -> None:
    (tmp_path / KEY).parent.mkdir(parents=True)
    os.mkfifo(tmp_path / KEY)
    with pytest.raises(FlushError, match="File exists"):
        LocalStorage(tmp_path).write(KEY, [b"x"], {})


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "disk")
    LocalStorage(tmp_path / "root").write(KEY, [b"x"], {})
    assert (tmp_path / "disk" / KEY).read_bytes() == b"x"
