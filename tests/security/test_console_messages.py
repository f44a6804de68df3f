"""Messages that are full of console messages: what a worker stores and sends of them, and the memory that it takes."""

import base64
import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.builders import NOW_MS, headers
from tests.integration.command import environment

MIB = 1 << 20
STORED = 10_000
"""Console messages of a session that a batch stores."""

LAUNCHER = """
import resource, subprocess, sys
subprocess.check_call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""A small process between the tests and the command: what a process forks counts as memory of its child."""


def console_message(session_id: str, texts: list[str]) -> bytes:
    """One line of a message file: a message with a console event for each text."""
    events = ",".join(
        f'{{"type":6,"timestamp":{NOW_MS},"data":{{"plugin":"rrweb/console@1","payload":{{"payload":["{text}"]}}}}}}'
        for text in texts
    )
    properties = f'"$session_id":{json.dumps(session_id)},"$window_id":"w","$snapshot_items":[{events}]'
    data = f'{{"event":"$snapshot_items","properties":{{{properties}}}}}'
    value = gzip.compress(json.dumps({"distinct_id": "user-1", "data": data}).encode())
    line = {
        "timestamp_ms": NOW_MS,
        "partition_key": session_id,
        "headers": [(key, text.decode()) for key, text in headers(session_id=None, distinct_id=None)],
        "value_b64": base64.b64encode(value).decode(),
    }
    return json.dumps(line).encode() + b"\n"


def ingest(folder: Path, lines: list[bytes], *arguments: str, poll_messages: int = 1) -> int:
    """Ingest a message file. Return the most memory that a process held, MiB."""
    file = folder / "messages.jsonl"
    file.write_bytes(b"".join(lines))
    command = ("recording_worker", "ingest", str(file), "--out", str(folder / "out"), "--any-token", *arguments)
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHER, sys.executable, "-m", *command],
        env=environment(RECORDING_WORKER_POLL_MESSAGES=str(poll_messages)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return int(done.stdout.splitlines()[-1]) // 1024


def topic(folder: Path, name: str) -> list[dict[str, Any]]:
    lines = (folder / "out" / "topics" / f"{name}.jsonl").read_bytes().splitlines()
    return [json.loads(line)["value"] for line in lines]


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> int:
    """What an ordinary message takes, MiB."""
    return ingest(tmp_path_factory.mktemp("usual"), [console_message("usual", ["a"])])


def test_half_a_million_console_messages_in_one_message(tmp_path: Path, usual: int) -> None:
    count = 540_000
    line = console_message("session-1", [f"{number:x}" for number in range(count)])
    peak = ingest(tmp_path, [line])
    [metadata] = topic(tmp_path, "clickhouse_session_replay_events")
    assert metadata["console_log_count"] == metadata["event_count"] == count
    assert [log["message"] for log in topic(tmp_path, "log_entries")] == [f"{number:x}" for number in range(STORED)]
    assert peak - usual < 300


def test_console_messages_fill_a_batch_with_the_records_that_they_become(tmp_path: Path, usual: int) -> None:
    """An id of control characters takes seven times its length in each record."""
    ids = [f"{number:02}" + "\x01" * 250 for number in range(10)]
    lines = [console_message(session_id, [f"{number:x}" for number in range(20_000)]) for session_id in ids]
    peak = ingest(tmp_path, lines, "--max-batch-bytes", "16MiB")
    metadata = topic(tmp_path, "clickhouse_session_replay_events")
    assert {block["console_log_count"] for block in metadata} == {20_000}
    assert len({block["batch_id"] for block in metadata}) == len(ids), "each session's records take more than a batch"
    logs = topic(tmp_path, "log_entries")
    assert len(logs) == STORED * len(ids)
    assert sum(len(json.dumps(log)) for log in logs[:STORED]) > 16 * MIB
    assert peak - usual < 100
