"""The machine that a benchmark ran on: its name, its load, and which of its cores are whose."""

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tests.servers.kafka.distribution import version as kafka_version


@dataclass(frozen=True, slots=True)
class Cores:
    """Cores of the broker and cores of the consumer. The two are apart if there are at least two."""

    broker: tuple[int, ...]
    consumer: tuple[int, ...]

    @property
    def apart(self) -> bool:
        return not set(self.broker) & set(self.consumer)


def split_cores() -> Cores:
    """Give the first core to the broker and the rest to the consumer. A single core is shared."""
    first, *others = sorted(os.sched_getaffinity(0))
    return Cores((first,), tuple(others) or (first,))


def pinned(cores: Sequence[int]) -> list[str]:
    """Return the beginning of a command that runs on these cores only."""
    return ["taskset", "--cpu-list", ",".join(map(str, cores))]


def load_average() -> float:
    """Return the processes that ran or waited for a core, averaged over the last minute."""
    return round(os.getloadavg()[0], 2)


def describe() -> dict[str, object]:
    """Return what the machine is and which versions run on it."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.release()}",
        "versions": {
            "python": platform.python_version(),
            "kafka": kafka_version(),
            "confluent-kafka": version("confluent-kafka"),
            "node": _node_version(),
        },
    }


def _cpu_model() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _node_version() -> str | None:
    try:
        done = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip().removeprefix("v")
