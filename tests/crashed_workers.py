"""A plugin: if a process that runs tests dies, the report of its test says of what, with all stacks."""

import faulthandler
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session", autouse=True)
def _keep_the_stacks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let a fatal signal write the stacks to a file: among the output of several processes nobody finds them."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None:
        yield
        return
    path = _stacks(request.config, worker)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stacks:
        faulthandler.enable(stacks)
        yield
        faulthandler.disable()


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(report: Any) -> None:
    gateway = report.node.gateway
    path = _stacks(report.node.config, gateway.id)
    stacks = path.read_text() if path.exists() else ""
    report.longrepr += f"\n{_end(gateway._io.popen)}\n{stacks or 'It has left no stacks.'}"


def _stacks(config: pytest.Config, worker: str) -> Path:
    return config.rootpath / "build" / "crashed-workers" / f"{worker}.txt"


def _end(process: "subprocess.Popen[bytes]") -> str:
    try:
        code = process.wait(10)
    except subprocess.TimeoutExpired:
        return "Its process still runs: it has closed its connection."
    return f"It was ended by signal {-code}." if code < 0 else f"It ended with code {code}."
