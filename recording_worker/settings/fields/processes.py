"""Settings of the processes, the ops server and the log."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from recording_worker.settings.choices import LogLevel
from recording_worker.settings.cores import parse_cores, usable_cores
from recording_worker.settings.fields.base import Fields
from recording_worker.settings.types import LOWERED, Bytes, Cores, PositiveInt, Seconds


def _default_workers(given: Mapping[str, Any]) -> int:
    """Return the number of workers for the settings before it."""
    cpus = given.get("cpus")
    return usable_cores() if cpus is None else min(usable_cores(), len(parse_cores(cpus)))


class ProcessFields(Fields):
    """Settings of the processes, the ops server and the log."""

    cpus: Cores | None = Field(
        None,
        description="Cores that the workers are pinned to, such as 0-15,32-47: divided among them in this order. If not"
        " set, the system moves workers between cores.",
    )
    workers: PositiveInt = Field(
        default_factory=_default_workers,
        description="Worker processes; if not set, the cores of cpus, or else the host's cores, or the CPU quota of the"
        " container.",
    )
    memory: Bytes | None = Field(
        None,
        description="Memory of each worker process, which the sizes of batches and queues follow from; if not set,"
        " 512MiB, or less if the container has less for each worker.",
    )
    poll_messages: PositiveInt = Field(2000, description="Largest number of messages in a poll.")
    poll_timeout: Seconds = Field(0.2, description="Longest wait of a poll.")
    drain_deadline: Seconds = Field(
        20.0, description="Longest flush when partitions are revoked, and when the service stops."
    )
    progress_deadline: Seconds = Field(120.0, description="Kill a worker that makes no progress for this long.")
    debug_partition: Annotated[int, Field(ge=0)] | None = Field(
        None, description="Log every batch of this partition at debug level."
    )
    ops_host: str = Field("127.0.0.1", description="Address of the ops server (/metrics, /healthz, /readyz, /).")
    ops_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        9600, description="Port of the ops server; 0 takes any free one."
    )
    ops_host_names: str | None = Field(
        None,
        description="Names by which requests may call the ops server, separated by commas. Its addresses, localhost,"
        " ops_host and the host's own name are always allowed.",
    )
    ops_token_file: Path | None = Field(
        None,
        description="File with a token that requests to the ops server need, except for /healthz and /readyz.",
    )
    ops_tls_certificate: Path | None = Field(
        None, description="PEM file with the certificate of the ops server, which then speaks HTTPS."
    )
    ops_tls_key: Path | None = Field(
        None, description="PEM file with the key of that certificate; if not set, it is in the same file."
    )
    ops_tls_client_ca: Path | None = Field(
        None,
        description="PEM file of the authorities that sign clients' certificates. Requests to the ops server then need"
        " one, except for /healthz and /readyz.",
    )
    log_level: Annotated[LogLevel, LOWERED] = Field(LogLevel.INFO, description="Least serious log messages shown.")
    tracing: bool = Field(
        False, description="Send OpenTelemetry spans of polls and flushes. The OTEL_… variables say where to."
    )
    log_json: bool = Field(False, description="Log JSON lines instead of text.")
