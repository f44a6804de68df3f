"""`recording-worker demo`: the round trip on one machine, and what ends it early."""

import json
import os
import re
import signal
from pathlib import Path

import pytest

from tests.integration.command import group_members, run, start
from tests.waiting import wait_for


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    result = run("demo", "--seconds", "2", "--workers", "2", "--out", out, RECORDING_WORKER_TOPIC="not-the-demo's")
    assert result.code == 0, result.out + result.err
    assert "PASS" in result.out
    assert "MISMATCH" not in result.out
    table = dict(re.findall(r"│ (all messages|their events) +│ +│ +([\d,]+) │ +\2 │ ✓ │", result.out))
    assert int(table["all messages"].replace(",", "")) > 100
    for kind in ("recorded", "dropped", "DLQ"):
        assert re.search(rf"│ {kind} ", result.out)

    # the commands it names next work, and find all that was recorded
    found = re.search(r"recording_worker (export .* --session \S+) \| head", result.out)
    assert found is not None
    exported = run(*found.group(1).split())
    assert exported.code == 0
    assert all(isinstance(json.loads(line)[1]["timestamp"], int) for line in exported.out.splitlines())
    listed = run("blocks", out / "blocks", "--json")
    events = sum(json.loads(line)["events"] for line in listed.out.splitlines())
    assert f"{events:,}" == table["their events"]

    # a second run replaces the folder of the first
    again = run("demo", "--seconds", "1", "--workers", "1", "--out", out)
    assert again.code == 0, again.out + again.err


def test_a_demo_that_sends_nothing_does_not_pass(tmp_path: Path) -> None:
    result = run("demo", "--seconds", "1e-9", "--workers", "1", "--out", tmp_path / "demo")
    assert result.code == 1
    assert result.error == "nothing was sent in 1e-09 s: give more time with --seconds"
    assert "PASS" not in result.out


def test_a_folder_that_no_demo_wrote_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    result = run("demo", "--out", tmp_path)
    assert result.code == 2
    assert result.error == f"{tmp_path} holds mine, which no earlier demo wrote: give another folder"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_it_without_leaving_a_process(tmp_path: Path, number: int, code: int) -> None:
    out = tmp_path / "demo"
    with start("demo", "--seconds", "60", "--out", out) as process:
        wait_for(lambda: list((out / "blocks").rglob("*-*")), "a first batch file")
        [service] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.killpg(process.pid, number)
        _, err = process.communicate(timeout=40)
    assert (process.returncode, err.strip()) == (code, "")
    wait_for(lambda: not group_members(int(service)), "the service and its workers to end", 10)


def test_it_says_so_when_the_service_ends(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    with start("demo", "--seconds", "60", "--out", out) as process:
        wait_for(lambda: list((out / "blocks").rglob("*-*")), "a first batch file")
        [service] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(service), signal.SIGKILL)
        _, err = process.communicate(timeout=40)
    assert process.returncode == 1
    assert err.startswith("recording-worker: error: the service ended with exit code -9")
