"""Checks what the service takes of its host: settings that go together, files, a port, a folder for metrics."""

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from functools import partial

from recording_worker.errors import ConfigError
from recording_worker.extras import missing_extras_named
from recording_worker.http_tls import ServerTls
from recording_worker.operations.check.finding import Finding
from recording_worker.operations.check.run import Check
from recording_worker.recording.dictionary import configured_dictionary
from recording_worker.settings.cores import parse_cores
from recording_worker.settings.load import flag_of
from recording_worker.settings.memory import SUPERVISOR_BYTES, container_memory
from recording_worker.settings.model import Settings
from recording_worker.settings.secrets import read_token
from recording_worker.settings.units import size_text
from recording_worker.text import counted


def settings_check(settings: Settings) -> Check:
    """Return the check of settings that are missing, or don't fit each other and this host."""
    return Check("settings", lambda: _settings(settings))


def host_checks(settings: Settings) -> Iterator[Check]:
    """Yield the checks of what the service takes for itself alone."""
    yield Check("ops server", lambda: _port(settings))
    yield Check("temporary folder", _temporary_folder)


def _settings(settings: Settings) -> Iterator[Finding]:
    found: list[Finding] = []

    def wrong(text: str) -> None:
        found.append(Finding.problem("settings", ConfigError(text)))

    if settings.storage_dir is None and settings.storage is None:
        wrong(f"no storage: say where batch files go with {flag_of('storage_dir')} DIR")
    if settings.teams is None and settings.teams_postgres is None and not settings.any_token:
        wrong(
            f"no teams: give a file of teams with {flag_of('teams')} FILE, or a database with"
            f" {flag_of('teams_postgres')} URL, or accept every token as a team with {flag_of('any_token')}"
        )
    try:
        settings.check_memory()
    except ValueError as problem:
        wrong(str(problem))
    for use in _used(settings):
        try:
            use()
        except ConfigError as problem:
            wrong(str(problem))
    usable = os.sched_getaffinity(0)
    if settings.cpus is not None and (others := sorted({*parse_cores(settings.cpus)} - usable)):
        wrong(f"cpus names cores that this process may not use: {', '.join(map(str, others))}")
    limit, needed = container_memory(), settings.workers * settings.memory_bytes + SUPERVISOR_BYTES
    if limit is not None and needed > limit:
        text = f"{counted(settings.workers, 'worker')} and the supervisor may take {size_text(needed)} of memory"
        advice = "set less memory, or fewer workers, or give the container more"
        found.append(Finding.warning("settings", f"{text}, and the container has {size_text(limit)}", advice))
    each = f"{counted(settings.workers, 'worker')} with {size_text(settings.memory_bytes)} each"
    yield from found or [Finding.ok("settings", f"{each}, delivery {settings.delivery.value}")]


def _used(settings: Settings) -> Iterator[Callable[[], object]]:
    """Yield what uses files and libraries that the settings ask for. Each raises ConfigError if that can't be done."""
    yield partial(configured_dictionary, settings)
    if settings.ops_token_file is not None:
        yield partial(read_token, settings.ops_token_file)
    if settings.ops_tls_certificate is not None:
        yield partial(ServerTls, settings.ops_tls_certificate, settings.ops_tls_key, settings.ops_tls_client_ca)
    if settings.tracing:
        yield _import_tracing


def _import_tracing() -> None:
    with missing_extras_named():
        import recording_worker.tracing.spans  # noqa: F401 - workers use it; here its library must only be there


def _port(settings: Settings) -> Iterator[Finding]:
    name = f"{settings.ops_host}:{settings.ops_port}"
    try:
        with socket.create_server((settings.ops_host, settings.ops_port)):
            pass
    except OSError as error:
        text = f"ops server: can't listen on {name} now: {error.strerror}"
        yield Finding.warning("ops server", text, "unless the service itself runs there, set another ops_port")
        return
    yield Finding.ok("ops server", f"{name} is free")


def _temporary_folder() -> Iterator[Finding]:
    folder = tempfile.gettempdir()
    with tempfile.TemporaryFile() as file:
        file.write(bytes(4096))
        file.flush()
    room = os.statvfs(folder)
    yield Finding.ok("temporary folder", f"{folder}, {size_text(room.f_bavail * room.f_frsize)} free")
