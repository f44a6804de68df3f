"""Commands whose standard output fails them."""

import subprocess
import sys
from pathlib import Path

from tests.batch_files import block, line, write_batch_file


def test_a_reader_that_has_gone_ends_it_quietly(tmp_path: Path) -> None:
    write_batch_file(tmp_path, *[block([(n, [line(n, text="x" * 1000)] * 50)]) for n in range(1, 101)])
    for command in (["export", "--session", "session-1"], ["blocks", "--json"], ["blocks"]):
        writer = subprocess.Popen(
            [sys.executable, "-m", "recording_worker", *command, tmp_path],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert writer.stdout is not None
        assert writer.stderr is not None
        writer.stdout.read(10)
        writer.stdout.close()
        assert writer.stderr.read() == b""
        writer.stderr.close()
        assert writer.wait() in (0, 1)


def test_a_full_disk_is_said_in_one_line(tmp_path: Path) -> None:
    write_batch_file(tmp_path, block([(1, [line(1)])]))
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "recording_worker", "export", tmp_path, "--session", "session-1"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "recording-worker: error: can't write to standard output: No space left on device\n"
