"""profile: what a running worker does, as a flame graph, and what its stages took meanwhile.

py-spy looks at the process from outside: it stops it for a moment, reads its stacks, and lets it go on.
"""

import json
import os
import shutil
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from recording_worker.errors import ConfigError, WorkerError
from recording_worker.metrics import FOLDER_VARIABLE, Metrics, counts_of_worker
from recording_worker.settings.model import Settings
from recording_worker.settings.secrets import read_token

_ASK_SECONDS = 10.0
_START_SECONDS = 60.0
"""What py-spy may take in addition: it reads the symbols of all libraries first."""
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where to ask a server that listens everywhere."""
_FORMATS = {".svg": "flamegraph", ".json": "speedscope"}
_TICKS = os.sysconf("SC_CLK_TCK")

_STAGES = (
    ("loop", Metrics.loop_seconds, Metrics.loop_cpu_seconds),
    ("step", Metrics.step_seconds, Metrics.step_cpu_seconds),
    ("flush", Metrics.flush_stage_seconds, None),
)
"""Part of the work, and its times on the clock and on the CPU."""


class Stage(NamedTuple):
    """What a stage of the work took."""

    name: str
    seconds: float
    cpu_seconds: float | None
    """CPU time of the worker's loop; None for stages of the flush, which other threads do."""


class Profile(NamedTuple):
    """What was measured next to the flame graph."""

    pid: int
    seconds: float
    cpu_seconds: float
    """CPU time of all threads of the process."""
    messages: float
    bytes: float
    """Size of the messages, uncompressed."""
    stages: tuple[Stage, ...]


def format_of(path: Path) -> str:
    """Return py-spy's name of the format that a file's ending stands for. Raises ConfigError."""
    if path.suffix not in _FORMATS:
        raise ConfigError(f"{path} must end in .svg (a flame graph) or .json (for https://speedscope.app)")
    return _FORMATS[path.suffix]


def find_tool() -> str:
    """Return the path of py-spy. Raises ConfigError if it is not installed."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which("py-spy", path=places)
    if found is None:
        raise ConfigError("a profile needs py-spy, which is not installed: pip install 'recording-worker[profile]'")
    return found


def find_worker(settings: Settings, worker: int) -> int:
    """Ask the service on this machine for the process id of a worker. Raises ConfigError, WorkerError."""
    workers = {each["number"]: each["pid"] for each in _status(settings)["workers"]}
    if worker not in workers:
        raise ConfigError(f"there is no worker {worker}: the service has workers 0 to {len(workers) - 1}")
    pid = workers[worker]
    if pid is None:
        raise WorkerError(f"worker {worker} does not run at the moment")
    assert isinstance(pid, int)
    return pid


def profile(settings: Settings, worker: int, seconds: int, rate: int, out: Path, pid: int | None = None) -> Profile:
    """Watch a worker for some seconds, and write the flame graph to `out`. `rate`: looks a second.

    `pid`: its process; the ops server is asked if it is not given. Raises ConfigError for what is missing or wrong,
    WorkerError if the process can't be watched.
    """
    file_format, tool = format_of(out), find_tool()
    pid = find_worker(settings, worker) if pid is None else pid
    folder = _metrics_folder(pid)
    command = [tool, "record", "--pid", str(pid), "--native", "--threads", "--duration", str(seconds)]
    command += ["--rate", str(rate), "--format", file_format, "--output", str(out)]
    before, cpu_before, began = counts_of_worker(folder, worker), _cpu_seconds(pid), time.monotonic()
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds + _START_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise WorkerError(f"py-spy did not end within {seconds + _START_SECONDS:.0f} s") from None
    spent = time.monotonic() - began
    if done.returncode:
        raise WorkerError(_failure(done.stderr, pid, worker))
    try:
        after, cpu_after = counts_of_worker(folder, worker), _cpu_seconds(pid)
    except OSError:
        raise WorkerError(f"worker {worker} (process {pid}) ended meanwhile: {out} shows what it did before") from None
    grown = {sample: value - before.get(sample, 0.0) for sample, value in after.items()}
    return Profile(
        pid=pid,
        seconds=spent,
        cpu_seconds=cpu_after - cpu_before,
        messages=sum(value for (name, _), value in grown.items() if name == Metrics.messages_received.series[0]),
        bytes=sum(value for (name, _), value in grown.items() if name == Metrics.uncompressed_bytes.series[0]),
        stages=tuple(_stages(grown)),
    )


def _stages(grown: dict[tuple[str, str], float]) -> Iterator[Stage]:
    """Yield all stages that took any time."""
    for part, clock, cpu in _STAGES:
        series = f"{clock.name}_sum" if cpu is None else clock.series[0]
        for (name, stage), seconds in grown.items():
            if name == series and seconds > 0:
                cpu_seconds = None if cpu is None else grown.get((cpu.series[0], stage), 0.0)
                yield Stage(f"{part}: {stage}", seconds, cpu_seconds)


def _status(settings: Settings) -> dict[str, Any]:
    host = _EVERYWHERE.get(settings.ops_host, settings.ops_host)
    scheme = "http" if settings.ops_tls_certificate is None else "https"
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.ops_port}/status.json"
    request = urllib.request.Request(url)
    if settings.ops_token_file is not None:
        request.add_header("Authorization", f"Bearer {read_token(settings.ops_token_file)}")
    try:
        with urllib.request.urlopen(request, timeout=_ASK_SECONDS, context=_trust(settings)) as response:
            found = json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            hint = ": it needs its token (ops_token_file)" if error.code == 401 else ""
            raise WorkerError(f"the service at {url} answers {error.code}{hint}") from None
    except (OSError, ValueError) as error:
        why = error.reason if isinstance(error, urllib.error.URLError) else error
        raise WorkerError(f"no service at {url} ({why}): is this its machine, and its ops_host and ops_port?") from None
    if not isinstance(found, dict) or "workers" not in found:
        raise WorkerError(f"{url} is not the ops server of recording-worker")
    return found


def _trust(settings: Settings) -> ssl.SSLContext | None:
    """Return what the ops server is known by: its certificate itself, for any name and of any authority."""
    if settings.ops_tls_certificate is None:
        return None
    if settings.ops_tls_client_ca is not None:
        raise ConfigError("the ops server wants a certificate of its clients: say which process it is with --pid")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(settings.ops_tls_certificate)
    return context


def _metrics_folder(pid: int) -> str:
    """Return the folder in which a worker counts: it is named in the environment that it was started with."""
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except PermissionError:
        raise WorkerError(_no_rights(pid)) from None
    except FileNotFoundError:
        raise WorkerError(
            f"there is no process {pid} here: run this on the worker's machine, in its container"
        ) from None
    named = [
        variable.partition(b"=")[2] for variable in variables if variable.startswith(FOLDER_VARIABLE.encode() + b"=")
    ]
    if not named:
        raise WorkerError(f"process {pid} is no worker here: run this on the worker's machine, in its container")
    return os.fsdecode(named[0])


def _failure(stderr: str, pid: int, worker: int) -> str:
    if "ermission denied" in stderr.lower() or "operation not permitted" in stderr.lower():
        return _no_rights(pid)
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return f"py-spy can't watch worker {worker} (process {pid}): {lines[-1] if lines else 'it does not say why'}"


def _no_rights(pid: int) -> str:
    return (
        f"this user may not look into process {pid}: run as root, or as the service's user with"
        " kernel.yama.ptrace_scope = 0, or in a container with the capability SYS_PTRACE"
    )


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
