"""Prepare the Node contender: its npm packages, at the versions of the lock file."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.contenders.process import ROOT, ContenderError

_FOLDER = ROOT / "benchmarks" / "node"
_INSTALLED = _FOLDER / "node_modules" / ".package-lock.json"
_OLDEST_NODE = 20
_CLIENT = _FOLDER / "node_modules" / "node-rdkafka" / "build" / "Release" / "node-librdkafka.node"


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
    _npm("ci")


def prepare_kafka_client() -> None:
    """Build node-rdkafka against the system's librdkafka, unless it is built. Raises ContenderError.

    It is the only package whose install script runs.
    """
    if not _CLIENT.exists():
        _npm("rebuild", "node-rdkafka", "--ignore-scripts=false")
    if not _CLIENT.exists():
        raise ContenderError("node-rdkafka can't be built: it needs a C++ compiler, make, and librdkafka-dev")


def _npm(*arguments: str) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise ContenderError("npm is not installed")
    # node-rdkafka is built against the system's librdkafka and the headers that come with Node
    prefix = Path(shutil.which("node") or npm).resolve().parents[1]
    environment = {**os.environ, "BUILD_LIBRDKAFKA": "0", "npm_config_nodedir": str(prefix)}
    done = subprocess.run([npm, *arguments], cwd=_FOLDER, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.splitlines()
        errors = [line for line in lines if "error" in line] or [f"npm {arguments[0]} failed"]
        raise ContenderError(errors[0])


def main() -> None:
    """Prepare all of it, and say where it is missing: the tests of benchmarks then go without Node."""
    try:
        prepare_node()
        prepare_kafka_client()
    except ContenderError as error:
        sys.stderr.write(f"node: {error}; the benchmarks' tests go without it\n")


if __name__ == "__main__":
    main()
