"""Commands on a system whose every file system is read-only, as a hardened container has it.

The kernel refuses each write: the commands run in a mount namespace of their own.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from recording_worker.kafka.embedded import EmbeddedBroker
from tests.batch_files import block, line, write_batch_file
from tests.security.test_console_messages import console_message

_UNSHARE = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
_REMOUNT = """
mount --make-rprivate / || exit 99
writable=$1
shift
cut -d" " -f2 /proc/mounts | while read -r at; do mount -o remount,bind,ro "$at" 2>/dev/null; done
if touch "$writable/probe" 2>/dev/null; then exit 99; fi
case "$writable" in */nothing) ;; *) mount -t tmpfs tmpfs "$writable" || exit 99 ;; esac
exec "$@"
"""


class Done:
    """A command that ended."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr


def run(*arguments: object, writable: Path | None = None, **variables: str) -> Done:
    """Run a command. It can write nowhere, or only to an empty folder that is in memory."""
    folder = "/nothing" if writable is None else str(writable)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RECORDING_WORKER_")}
    done = subprocess.run(
        [*_UNSHARE, "sh", "-c", _REMOUNT, "sh", folder, sys.executable, "-B", "-m", "recording_worker"]
        + [str(argument) for argument in arguments],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        env={**environment, "TMPDIR": folder, **variables},
        timeout=100,
        check=False,
    )
    if done.returncode == 99 or done.stderr.startswith("unshare:"):
        pytest.skip(f"no file system can be made read-only here: {done.stderr}")
    return Done(done)


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    write_batch_file(tmp_path / "storage", block([(1, [line(1)])]))
    return tmp_path / "storage"


@pytest.fixture
def writable(tmp_path: Path) -> Path:
    folder = tmp_path / "writable"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("command", [["blocks"], ["sessions"], ["export", "--session", "session-1"]])
def test_what_only_reads_works(storage: Path, command: list[str]) -> None:
    done = run(*command, storage)
    assert (done.code, done.err) == (0, "")
    assert done.out


@pytest.mark.parametrize("command", [["ingest", "messages.jsonl", "--any-token", "--out"], ["demo", "--out"]])
def test_a_folder_that_can_not_be_made_is_one_line(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "messages.jsonl").write_bytes(console_message("s", ["a"]))
    out = tmp_path / "out"
    done = run(*(tmp_path / part if part.endswith(".jsonl") else part for part in command), out)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"recording-worker: error: can't write {out}: Read-only file system\n"


def test_ingest_needs_only_the_folder_that_it_writes_to(tmp_path: Path, writable: Path) -> None:
    (tmp_path / "messages.jsonl").write_bytes(console_message("s", ["a"]))
    done = run("ingest", tmp_path / "messages.jsonl", "--any-token", "--out", writable / "out", writable=writable)
    assert (done.code, done.err) == (0, "")


@pytest.fixture(scope="module")
def service() -> Iterator[list[str]]:
    """The command that runs the service on a broker of its own."""
    with EmbeddedBroker() as broker:
        broker.create_topic("session_recording_snapshot_item_events", 1)
        flags = ["--any-token", "--delivery", "at_least_once", "--ops-port", "0"]
        yield ["run", "--bootstrap-servers", broker.bootstrap_servers, *flags]


def test_a_service_without_a_temporary_folder_says_so(service: list[str]) -> None:
    done = run(*service, "--storage", "blackhole:")
    assert done.code == 1
    assert "Traceback" not in done.err
    [said] = [text for text in done.err.splitlines() if "[error" in text]
    assert "can't make a folder for metrics (No usable temporary directory found in " in said
    assert "set TMPDIR to one with room" in said


def test_a_service_with_a_storage_that_is_read_only_says_so(storage: Path, writable: Path, service: list[str]) -> None:
    done = run(*service, "--storage-dir", storage, writable=writable)
    assert done.code == 2
    assert "Traceback" not in done.err
    last = done.err.splitlines()[-1]
    assert last == f"recording-worker: error: can't write to the storage folder {storage}: Read-only file system"
