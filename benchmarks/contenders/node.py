"""Prepare the Node contender: its npm packages, at the versions of the lock file."""

import shutil
import subprocess
from pathlib import Path

from benchmarks.contenders.process import ROOT, ContenderError

_FOLDER = ROOT / "benchmarks" / "node"
_INSTALLED = _FOLDER / "node_modules" / ".package-lock.json"
_OLDEST_NODE = 20


def prepare_node() -> tuple[str, Path]:
    """Return the contender's command. Raises ContenderError if Node, npm or the packages are not available."""
    node = shutil.which("node")
    if node is None:
        raise ContenderError("node is not installed")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").split(".")[0]) < _OLDEST_NODE:
        raise ContenderError(f"node is {version}, older than v{_OLDEST_NODE}")
    if not _is_installed():
        _install()
    return node, _FOLDER / "consume.js"


def _is_installed() -> bool:
    """Return whether the packages were installed after the lock file last changed."""
    return _INSTALLED.exists() and _INSTALLED.stat().st_mtime >= (_FOLDER / "package-lock.json").stat().st_mtime


def _install() -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise ContenderError("npm is not installed")
    done = subprocess.run([npm, "ci"], cwd=_FOLDER, capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "error" in line] or ["npm ci failed"]
        raise ContenderError(errors[0])
