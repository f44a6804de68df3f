"""`delete`, killed before each thing that it changes: the next run finishes it, and nothing is half there."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from recording_worker.storage.local.file import find_files
from tests.integration.command import environment
from tests.integration.deletion_stage import Ingested, Stage
from tests.integration.test_encryption import MARKER
from tests.servers.kafka import KafkaServer
from tests.servers.redis import RedisServer
from tests.unit.command import run

DELETED = ("one", "three")


def killed_at(number: int, stage: Stage, *arguments: str) -> int:
    """Run `delete`, killed before its effect of this number. Return its exit code."""
    command = [sys.executable, "-m", "tests.integration.dying", str(number), "delete", "--config", str(stage.config)]
    return subprocess.run(
        [*command, *stage.recordings.key_settings, *arguments],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=False,
        timeout=60,
    ).returncode


def see_that_nothing_is_half_there(stage: Stage) -> None:
    """A session is hidden, and out of Redis, only once its key is destroyed. The others can be read from all files."""
    marked = {mark["session_id"] for mark in stage.marks()}
    for session_id in DELETED:
        if stage.has_key(session_id):
            assert session_id in stage.cached()
            assert session_id not in marked
    for file in find_files([str(stage.recordings.out / "blocks")]):
        read = run("export", file.name, "--session", "two", *stage.recordings.key_settings)
        assert (read.code, read.out.count(MARKER)) == (0, 4)


@pytest.mark.timeout(900)
def test_a_deletion_that_is_killed_anywhere_is_finished_by_the_next_one(
    ingested: Ingested,
    kafka: KafkaServer,
    redis_server: RedisServer,
    new_topic: Callable[..., str],
    tmp_path: Path,
) -> None:
    """Two sessions, which have blocks in the clear, too."""
    given = [
        "--team",
        str(ingested.recordings.team_id),
        "--by",
        "ann",
        "--yes",
        "--json",
        "--scan-storage",
        "--rewrite",
    ]
    given += [part for session_id in DELETED for part in ("--session", session_id)]
    given += ["--certificate", str(tmp_path / "certificate.json")]
    for number in count(1):
        ingested.restore()
        stage = Stage(ingested.recordings, kafka, redis_server, new_topic, tmp_path)
        ingested.put_clear_file()
        files = {file.name for file in find_files([str(stage.recordings.out / "blocks")])}
        code = killed_at(number, stage, *given)
        assert code in (0, -signal.SIGKILL)
        see_that_nothing_is_half_there(stage)
        done = stage.delete(*given)
        certificate = json.loads(done.out)
        assert (done.code, certificate["incomplete"]) == (0, []), number
        assert [each["session_id"] for each in certificate["sessions"]] == [*DELETED]
        results = [block["result"] for each in certificate["sessions"] for block in each["blocks"]]
        assert sorted(results) == ["erased", "erased", "unreadable", "unreadable"]
        assert not any(map(stage.has_key, DELETED))
        assert sorted(mark["session_id"] for mark in stage.marks()) == [*DELETED]
        assert stage.cached() == {"two"}
        assert {file.name for file in find_files([str(stage.recordings.out / "blocks")])} == files
        see_that_nothing_is_half_there(stage)
        if code == 0:
            break
    assert number > 8, "it was killed often"
