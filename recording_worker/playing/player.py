"""rrweb's player: the part of its npm package that a page needs, fetched at set-up and kept in the user's cache.

    python -m recording_worker.playing.player

fetches it, with npm; afterwards no network is needed.
"""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from recording_worker.errors import BootError, WorkerError

NAME = "@rrweb/replay"
VERSION = "2.1.6"
INTEGRITY = "sha512-Ti7zPk3Lbp33N9rKtIPCCIbUm4ctJMRRIMG5/5uI70M0efpSC1cpo/Eq8ELVW/5zWrkiElgmnPR0+h+oS79ASA=="
"""Of the package's archive, as npm's lock files write it."""

_SCRIPT = "package/umd/replay.min.js"
_STYLE = "package/dist/style.min.css"
_FETCH_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Player:
    """What a page needs of it: the script, which sets `rrwebReplay.Replayer`, and its style sheet."""

    script: str
    style: str


def folder() -> Path:
    """Where it is kept, fetched or not."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "recording-worker" / f"player-{VERSION}"


def load() -> Player:
    """The player. Raises BootError, which says how to fetch it, where it is not there."""
    script, style = (folder() / Path(name).name for name in (_SCRIPT, _STYLE))
    try:
        return Player(script.read_text(encoding="utf-8"), style.read_text(encoding="utf-8"))
    except OSError as error:
        raise BootError(
            f"the player ({NAME} {VERSION}) is not in {folder()}: fetch it once, with `make player`"
            " or `python -m recording_worker.playing.player`"
        ) from error


def fetch() -> None:
    """Fetch the player unless it is there. It appears whole or not at all. Raises WorkerError."""
    target = folder()
    if target.is_dir():
        return
    npm = shutil.which("npm")
    if npm is None:
        raise WorkerError("fetching the player needs npm: install it, or run tools/system-packages python3 player")
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
            if not target.is_dir():  # else somebody else was quicker
                raise


def check_integrity(archive: Path) -> None:
    """Raise WorkerError where the archive is not the one this version was made for."""
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if f"sha512-{digest}" != INTEGRITY:
        raise WorkerError(f"{NAME} {VERSION} as npm gave it is not the package this version knows: it is not used")


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
