"""rrweb's player: the part of its npm package that the page needs, kept in the user's cache.

    python -m recording_worker.playing.player

fetches it once, with npm. After that no network is needed.
"""

import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from recording_worker.cache_folder import cache_folder
from recording_worker.errors import BootError, WorkerError

NAME = "@rrweb/replay"
VERSION = "2.1.6"
INTEGRITY = "sha512-Ti7zPk3Lbp33N9rKtIPCCIbUm4ctJMRRIMG5/5uI70M0efpSC1cpo/Eq8ELVW/5zWrkiElgmnPR0+h+oS79ASA=="
"""The hash of the package's archive, as npm's lock files write it."""

_SCRIPT = "package/umd/replay.min.js"
_STYLE = "package/dist/style.min.css"
_HASHES = {
    _SCRIPT: "sha512-t0THSd9FoGjctqrZBUITtd639mnOvcB6jtb6aa5dDdy4CrhJ8+rzV1PomcQlgs8H1bP+dMglzoDrrD6YfdROcA==",
    _STYLE: "sha512-4c7KhJpGfxPzhro0FXxqFjCE8k7XjTziJC+6VpykaaiWanodNrBI/ykTTqqGBrMWkTZ+xJyX8loWhUMks5ujOw==",
}
"""The hashes of the files that are used, by their names in the package."""
_HOW_TO_FETCH = "`make player` or `python -m recording_worker.playing.player`"
_FETCH_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Player:
    """What the page needs: the script, which sets `rrwebReplay.Replayer`, and its style sheet."""

    script: str
    style: str


def folder() -> Path:
    """Return the folder of the player, which may not exist yet. Raises BootError if the user has no home folder."""
    return cache_folder() / f"player-{VERSION}"


def load() -> Player:
    """Read the player. If it was not fetched, or was changed, raises BootError, which says how to fetch it."""
    try:
        return Player(_load(_SCRIPT), _load(_STYLE))
    except OSError as error:
        problem = f"the player ({NAME} {VERSION}) is not in {folder()}"
        raise BootError(f"{problem}: fetch it once, with {_HOW_TO_FETCH}") from error


def _load(name: str) -> str:
    content = (folder() / Path(name).name).read_bytes()
    if _hash(content) != _HASHES[name]:
        raise BootError(f"the player in {folder()} was changed: remove this folder, and fetch it with {_HOW_TO_FETCH}")
    return content.decode()


def fetch() -> None:
    """Fetch the player if it is not there. It appears whole or not at all. Raises WorkerError."""
    target = folder()
    if target.is_dir():
        load()
        return
    npm = shutil.which("npm")
    if npm is None:
        raise WorkerError("fetching the player needs npm: install it, or run tools/system-packages python3 player")
    try:
        _fetch(npm, target)
    except OSError as error:
        raise WorkerError(f"can't write the player to {target}: {error.strerror}") from error


def _fetch(npm: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
        _pack(npm, Path(temporary))
        [archive] = Path(temporary).glob("*.tgz")
        check_integrity(archive)
        files = Path(temporary) / "player"
        files.mkdir()
        with tarfile.open(archive) as packed:
            for name in (_SCRIPT, _STYLE):
                content = packed.extractfile(name)
                assert content is not None
                (files / Path(name).name).write_bytes(content.read())
        try:
            files.rename(target)
        except OSError:
            if not target.is_dir():  # else another process was quicker
                raise


def check_integrity(archive: Path) -> None:
    """Raise WorkerError if the archive is not the one that this version was made for."""
    if _hash(archive.read_bytes()) != INTEGRITY:
        raise WorkerError(f"{NAME} {VERSION} from npm is not the package that this version knows, so it is not used")


def _hash(content: bytes) -> str:
    """Return the hash as npm writes it."""
    return f"sha512-{base64.b64encode(hashlib.sha512(content).digest()).decode()}"


def _pack(npm: str, into: Path) -> None:
    command = [npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", str(into), f"{NAME}@{VERSION}"]
    try:
        done = subprocess.run(
            command,
            cwd=into,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_FETCH_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as problem:
        raise WorkerError(f"the player could not be fetched in {_FETCH_SECONDS} s") from problem
    if done.returncode:
        raise WorkerError(f"the player could not be fetched: {' '.join(command)}: {done.stderr.strip() or done.stdout}")


if __name__ == "__main__":
    try:
        fetch()
        print(f"player: {NAME} {VERSION} is in {folder()}")  # noqa: T201
    except WorkerError as problem:
        sys.exit(f"error: {problem}")
