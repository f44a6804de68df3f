"""Operator: runs commands of recording-worker on what hosts record, past the proxies and doors of the hosts."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.integration.service import toml_text
from tests.servers.s3 import credentials


class Operator:
    """Has settings of its own."""

    def __init__(self, config: Path, settings: Mapping[str, Any]) -> None:
        config.write_text(toml_text(settings))
        self._config = config

    def verify(self) -> list[str]:
        """What `recording-worker verify` finds wrong, a line each."""
        done = self.run("verify", "--json", seconds=1800)
        if done.returncode not in (0, 1):
            return [f"verify: exit code {done.returncode}: {done.stderr}"]
        damages = json.loads(done.stdout)["damages"]
        assert bool(damages) == (done.returncode == 1), done
        return [f"verify: {damage}" for damage in damages]

    def run(self, command: str, *arguments: str, seconds: float) -> subprocess.CompletedProcess[str]:
        """Run a command. Raises subprocess.TimeoutExpired, and has killed it then."""
        return subprocess.run(
            [sys.executable, "-m", "recording_worker", command, "--config", str(self._config), *arguments],
            env=os.environ | credentials(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
