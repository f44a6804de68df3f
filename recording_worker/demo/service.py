"""Runs `recording-worker run` as a process of the demo, with settings from files in the demo's folder."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from http.client import HTTPResponse
from pathlib import Path
from types import TracebackType
from typing import Self

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from recording_worker.demo.traffic import RESTRICTIONS, TEAMS
from recording_worker.errors import ConfigError, WorkerError
from recording_worker.settings.load import ENV_PREFIX

_CONFIG, _TEAMS, _RESTRICTIONS, _LOG = "recording-worker.toml", "teams.toml", "restrictions.toml", "worker.log"
_BLOCKS = "blocks"
_MARK = "# Written by `recording-worker demo`. Its next run replaces this folder.\n"
_READY_SECONDS = 60.0
_STOP_SECONDS = 30.0
_ANY_PORT = 0


def prepare_folder(folder: Path) -> None:
    """Make the demo's folder, or clear it after an earlier demo. Raises ConfigError if it holds anything else."""
    config = folder / _CONFIG
    try:
        if config.is_file() and config.read_text().startswith(_MARK):
            shutil.rmtree(folder / _BLOCKS, ignore_errors=True)
            for name in (_CONFIG, _TEAMS, _RESTRICTIONS, _LOG):
                (folder / name).unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        if left := next(folder.iterdir(), None):
            raise ConfigError(f"{folder} holds {left.name}, which no earlier demo wrote: give another folder")
        config.write_text(_MARK)
    except OSError as error:
        raise ConfigError(f"can't write {folder}: {error.strerror}") from None


class Service:
    """The service. It runs from `__enter__` on, and is stopped at the exit if it still runs."""

    def __init__(self, folder: Path, settings: Mapping[str, object]) -> None:
        self.blocks = folder / _BLOCKS
        self.log = folder / _LOG
        self.config = folder / _CONFIG
        self._port = _free_port()
        files = {"storage_dir": folder, "teams": folder / _TEAMS, "restrictions": folder / _RESTRICTIONS}
        (folder / _TEAMS).write_text(TEAMS)
        (folder / _RESTRICTIONS).write_text(RESTRICTIONS)
        self.config.write_text(_MARK + _toml({**settings, **files, "ops_port": self._port}))

    def __enter__(self) -> Self:
        # the demo takes its settings from its folder alone, not from the environment
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "recording_worker", "run", "--config", str(self.config)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches only the demo, which then stops the service
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            finally:
                self._process.kill()  # the workers end with their supervisor
                self._process.wait()

    def check(self) -> None:
        """Raise WorkerError if the service has ended."""
        code = self._process.poll()
        if code is not None:
            last = self.log.read_text(errors="replace").strip().splitlines()[-1:]
            raise WorkerError(f"the service ended with exit code {code}: {' '.join(last)} (full log: {self.log})")

    def wait_until_ready(self) -> None:
        """Wait until its workers have their partitions. Raises WorkerError."""
        deadline = time.monotonic() + _READY_SECONDS
        while not self._is_ready():
            self.check()
            if time.monotonic() > deadline:
                raise WorkerError(f"the service was not ready within {_READY_SECONDS:.0f} s: see {self.log}")
            time.sleep(0.1)

    def metrics(self) -> list[Metric]:
        """Read /metrics. Raises WorkerError."""
        try:
            with self._open("/metrics") as response:
                return list(text_string_to_metric_families(response.read().decode()))
        except OSError as error:
            self.check()
            raise WorkerError(f"can't read the service's /metrics: {error}") from None

    def stop(self) -> None:
        """Send SIGTERM, and wait until the service has flushed, committed and ended. Raises WorkerError if it fails."""
        self._process.terminate()
        try:
            code = self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise WorkerError(f"the service did not stop within {_STOP_SECONDS:.0f} s: see {self.log}") from None
        if code:
            raise WorkerError(f"the service stopped with exit code {code}: see {self.log}")

    def _is_ready(self) -> bool:
        try:
            with self._open("/readyz"):
                return True
        except OSError:  # not listening yet, or 503
            return False

    def _open(self, path: str) -> HTTPResponse:
        opened = urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=5)
        assert isinstance(opened, HTTPResponse)
        return opened


def _toml(settings: Mapping[str, object]) -> str:
    def value(setting: object) -> str:
        plain = setting if isinstance(setting, bool | int | float) else str(setting)
        return json.dumps(plain, ensure_ascii=False)

    return "".join(f"{name} = {value(setting)}\n" for name, setting in settings.items())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", _ANY_PORT))
        port = probe.getsockname()[1]
        assert isinstance(port, int)
        return port
