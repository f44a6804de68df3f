"""`recording-worker profile` on a service that runs, and workers that are pinned to cores."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

from recording_worker.settings.cores import cores_of
from tests.integration.conftest import StartService
from tests.integration.service import Service, Traffic


def profiled(service: Service, *arguments: object) -> subprocess.CompletedProcess[str]:
    host, _, port = service.address.rpartition(":")
    command = [sys.executable, "-m", "recording_worker", "profile", "--ops-host", host, "--ops-port", port]
    return subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, check=False)


def affinities(pid: int) -> set[frozenset[int]]:
    """The cores that the threads of a process may use."""
    return {frozenset(os.sched_getaffinity(int(task.name))) for task in Path(f"/proc/{pid}/task").iterdir()}


def test_a_worker_is_watched_while_it_works(start: StartService, traffic: Traffic, tmp_path: Path) -> None:
    cores = sorted(os.sched_getaffinity(0))
    service = start(workers=2, cpus=",".join(map(str, cores)))
    service.wait_until_ready()
    for worker, pid in service.worker_pids().items():
        assert affinities(pid) == {frozenset(cores_of(worker, 2, cores))}, "each thread is on its worker's cores"
    assert frozenset(cores) in affinities(service.process.pid), "the supervisor is not pinned"

    done = threading.Event()

    def send() -> None:
        while not done.wait(0.05):
            traffic.send(50)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        graph = tmp_path / "worker.svg"
        shown = profiled(service, "--worker", 1, "--seconds", 2, "--out", graph)
        assert shown.returncode == 0, shown.stderr
        profile = tmp_path / "worker.json"
        known = profiled(service, "--worker", 0, "--seconds", 2, "--out", profile, "--json")
        assert known.returncode == 0, known.stderr
    finally:
        done.set()
        sender.join()

    assert "step: parse_session_recording_message" in shown.stdout
    assert f"(process {service.worker_pids()[1]})" in shown.stdout
    text = graph.read_text()
    assert "recording_worker/processes/worker/loop.py" in text
    assert "rd_kafka_" in text, "native frames"
    found = json.loads(known.stdout)
    assert found["messages"] > 0
    assert found["cpu_seconds"] > 0
    stages = {stage["name"]: stage["seconds"] for stage in found["stages"]}
    assert stages["loop: poll"] > 0
    assert stages["step: record_session_event"] > 0
    assert json.loads(profile.read_text())["profiles"]
    assert service.stop() == 0


def test_cores_that_are_not_there_end_the_start(start: StartService) -> None:
    service = start(cpus="9999")
    assert service.process.wait(60) == 2
    assert any("cpus names cores that this process may not use: 9999" in line for line in service.errors())
