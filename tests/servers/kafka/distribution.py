"""Kafka's jars: fetched once with Maven, and kept in the user's cache folder."""

import fcntl
import os
import subprocess
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

from tests.servers.child import ServerError, require

POM = Path(__file__).with_name("pom.xml")

_FETCH_SECONDS = 600
_DEPENDENCIES = "{http://maven.apache.org/POM/4.0.0}dependencies/{http://maven.apache.org/POM/4.0.0}dependency"


def version() -> str:
    """The version of Kafka that the pom names first."""
    found = ET.parse(POM).getroot().find(f"{_DEPENDENCIES}/{{http://maven.apache.org/POM/4.0.0}}version")
    assert found is not None
    assert found.text
    return found.text


def libraries() -> Path:
    """The folder of Kafka's jars, fetched if it is not there yet. Raises ServerError.

    It appears whole or not at all, and is fetched once however many processes ask at the same time.
    """
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "recording-worker"
    folder = caches / f"kafka-{version()}"
    if not folder.is_dir():
        caches.mkdir(parents=True, exist_ok=True)
        with (caches / "kafka.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.is_dir():
                _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    maven = require("mvn", "maven")
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        jars = Path(temporary) / "jars"
        command = [maven, "-q", "-B", "-f", str(POM), "dependency:copy-dependencies"]
        command += [f"-DoutputDirectory={jars}", "-DincludeScope=runtime"]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_FETCH_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as problem:
            raise ServerError(f"Kafka could not be fetched in {_FETCH_SECONDS} s") from problem
        if done.returncode:
            raise ServerError(f"Kafka could not be fetched: {' '.join(command)}\n{done.stdout}{done.stderr}")
        jars.rename(folder)
