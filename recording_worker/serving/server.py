"""run_server: the process of `recording-worker serve`."""

import asyncio
import hashlib
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import structlog
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from recording_worker.cache_folder import cache_folder
from recording_worker.clock import Clock, SystemClock
from recording_worker.errors import BootError, ConfigError
from recording_worker.keys.open import open_keys
from recording_worker.metrics import ServeMetrics
from recording_worker.reading.catalogue import Catalogue
from recording_worker.redaction import hide
from recording_worker.serving.api import Api
from recording_worker.serving.blocks import Blocks
from recording_worker.serving.place import Place
from recording_worker.serving.source import Source
from recording_worker.serving.storage_source import StorageSource
from recording_worker.serving.tokens import Tokens, read_secrets
from recording_worker.serving.upkeep import Upkeep
from recording_worker.settings.model import Settings
from recording_worker.storage.base import MAX_CONCURRENT_READS

log = structlog.get_logger()

_REQUEST_SECONDS = 10.0
"""Longest wait for a whole request, from its first byte, or from the connection on."""
_KEEP_ALIVE_SECONDS = 5
_STOP_SECONDS = 10
_HEAD_BYTES = 16 * 1024
_SPARE_CONNECTIONS = 64
"""Connections beyond the requests at a time: they are idle, or are told to come back."""


def run_server(settings: Settings, started: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. `started` is told the address. Raises WorkerError."""
    if settings.serve_secret_file is None:
        raise ConfigError("no secret: say with --serve-secret-file which file holds what tokens are signed with")
    secrets = read_secrets(settings.serve_secret_file)
    hide(secrets)
    clock, metrics = SystemClock(), ServeMetrics()
    place = Place(settings)
    if settings.clickhouse is not None and settings.serve_follow:
        raise ConfigError("clickhouse and serve_follow exclude each other")
    catalogue = Catalogue(settings.serve_index or _index_of(place, settings))
    source = source_of(settings, place, catalogue, metrics, clock)
    upkeep = Upkeep(source.tasks, settings.not_ready_after, clock)
    store = open_keys(settings)
    api = Api(settings, Blocks(place, source, store), source, upkeep, Tokens(secrets, clock))
    config = uvicorn.Config(
        api.app(metrics),
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=True,
        limit_concurrency=settings.serve_requests + _SPARE_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_STOP_SECONDS,
        h11_max_incomplete_event_size=_HEAD_BYTES,
    )
    with _listening(settings.serve_host, settings.serve_port) as listener, closing(upkeep):
        host, port = listener.getsockname()[:2]
        upkeep.start()
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        log.info("serving blocks", url=url, storage=str(place), source=" and ".join(task.name for task in source.tasks))
        started(url)
        try:
            asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))
        finally:
            if store is not None:
                store.close()


class _Protocol(H11Protocol):
    """uvicorn's protocol, which also ends a connection that does not send a whole request in time."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._await_request()

    def data_received(self, data: bytes) -> None:
        self._await_request()
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self._stop_waiting()
        super().on_response_complete()

    def _await_request(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(_REQUEST_SECONDS, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def source_of(settings: Settings, place: Place, catalogue: Catalogue, metrics: ServeMetrics, clock: Clock) -> Source:
    """Return what knows sessions and blocks, by the settings. Raises WorkerError."""
    if settings.clickhouse is None:
        return StorageSource(settings, place, catalogue, metrics, clock)
    from recording_worker.lookups.clickhouse import ClickHouse  # an extra brings its library
    from recording_worker.serving.clickhouse_source import ClickHouseSource

    clickhouse = ClickHouse(settings.clickhouse, settings, MAX_CONCURRENT_READS)
    return ClickHouseSource(clickhouse, settings.clickhouse_table, place, catalogue, metrics)


def _index_of(place: Place, settings: Settings) -> Path:
    """Return the file for the index of a storage, in the user's cache. Raises BootError.

    With ClickHouse it only holds some of the files, so it is another one.
    """
    text = f"{place}\0{settings.storage}\0{settings.s3_endpoint}\0{settings.clickhouse}"
    return cache_folder() / f"index-{hashlib.sha256(text.encode()).hexdigest()[:16]}.sqlite"


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        raise BootError(f"can't listen on {host}:{port}: {error.strerror or error}") from None
    else:
        return listener
