"""The hooks that crash and hang the native core: where they are, and where they are not."""

import gzip
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from recording_worker import _native
from tests import builders, hooks

DECODE = """
import os, sys, threading
from array import array
from recording_worker._native import ByteColumn, Decoder, TextColumn
decoder = Decoder(max_decompressed_bytes=1 << 20, max_timestamp_diff_ms=1 << 40, max_decoded_bytes=1 << 20)
done = threading.Event()
def watch():
    if not done.wait(1):
        os.write(1, b"hangs")
        os._exit(0)
threading.Thread(target=watch).start()
values, nothing = ByteColumn([sys.stdin.buffer.read()]), TextColumn([None])
decoder.decode(values, nothing, nothing, nothing, array("q", [0]), 0, bytearray(1), bytearray(1))
done.set()
print("decoded")
"""


@pytest.fixture(scope="module")
def with_hooks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return os.environ | hooks.environment(tmp_path_factory.mktemp("hooks"))


def decode(environment: dict[str, str], text: str) -> subprocess.CompletedProcess[bytes]:
    """Decode one message with this text in an event, in a process of its own."""
    value = gzip.compress(builders.value([builders.event(1, type=5, text=text)]))
    return subprocess.run(
        [sys.executable, "-c", DECODE], input=value, stdout=subprocess.PIPE, env=environment, check=False
    )


def test_other_builds_hold_nothing_of_them() -> None:
    assert b"test-hook" not in Path(_native.__file__).read_bytes()
    built = hooks.build().read_bytes()
    assert hooks.CRASH.encode() in built
    assert hooks.HANG.encode() in built


def test_crash(with_hooks: dict[str, str]) -> None:
    done = decode(with_hooks, f"a {hooks.CRASH} b")
    assert (done.returncode, done.stdout) == (-signal.SIGSEGV, b"")


def test_hang_leaves_the_other_threads_running(with_hooks: dict[str, str]) -> None:
    assert decode(with_hooks, hooks.HANG).stdout == b"hangs"


def test_other_messages_are_decoded(with_hooks: dict[str, str]) -> None:
    done = decode(with_hooks, "a recording-worker-test-hook: nothing")
    assert (done.returncode, done.stdout) == (0, b"decoded\n")
