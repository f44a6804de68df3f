"""rrweb's player: the part of its npm package that the page needs, kept in the user's cache.

    python -m recording_worker.playing.player

fetches it once, with npm. After that no network is needed.
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
"""The hash of the package's archive, as npm's lock files write it."""

_SCRIPT = "package/umd/replay.min.js"
_STYLE = "package/dist/style.min.css"
_FETCH_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Player:
    """What the page needs: the script, which sets `rrwebReplay.Replayer`, and its style sheet."""

    script: str
    style: str


def folder() -> Path:
    """Return the folder of the player, which may not exist yet."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "recording-worker" / f"player-{VERSION}"


def load() -> Player:
    """Read the player. If it was not fetched, raises BootError, which says how to fetch it."""
    script, style = (folder() / Path(name).name for name in (_SCRIPT, _STYLE))
    try:
        return Player(script.read_text(encoding="utf-8"), style.read_text(encoding="utf-8"))
    except OSError as error:
        raise BootError(
            f"the player ({NAME} {VERSION}) is not in {folder()}: fetch it once, with `make player`"
            " or `python -m recording_worker.playing.player`"
        ) from error


def fetch() -> None:
    """Fetch the player if it is not there. It appears whole or not at all. Raises WorkerError."""
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
            if not target.is_dir():  # else another process was quicker
                raise


def check_integrity(archive: Path) -> None:
    """Raise WorkerError if the archive is not the one that this version was made for."""
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if f"sha512-{digest}" != INTEGRITY:
        raise WorkerError(f"{NAME} {VERSION} from npm is not the package that this version knows, so it is not used")


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
