"""A TCP proxy that reads as much of Kafka's protocol as it takes to stop in the middle of a named request."""

import asyncio
import struct
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, TypeVar

T = TypeVar("T")

_LENGTH = struct.Struct(">i")
_REQUEST = struct.Struct(">hhi")
"""API key, API version, correlation id: how each request begins. A response begins with the correlation id alone."""


class Api(IntEnum):
    """The keys of the requests that are waited for."""

    PRODUCE = 0
    FETCH = 1
    ADD_PARTITIONS_TO_TXN = 24
    ADD_OFFSETS_TO_TXN = 25
    END_TXN = 26
    TXN_OFFSET_COMMIT = 28


class Side(StrEnum):
    """Which of the two frames of an exchange."""

    REQUEST = "request"
    RESPONSE = "response"


class Mode(StrEnum):
    """What the network does."""

    OPEN = "open"
    REFUSING = "refusing"
    """Connections are reset, and new ones as well."""
    SILENT = "silent"
    """Nothing arrives, and nothing says so."""


@dataclass(slots=True, eq=False)
class _Connection:
    client_port: int
    writers: tuple[asyncio.StreamWriter, ...]
    in_flight: dict[int, int] = field(default_factory=dict)
    """Correlation id → API key of the requests not answered yet."""

    def reset(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


@dataclass(slots=True)
class Trap:
    """What frame is waited for."""

    apis: frozenset[int]
    side: Side
    least_bytes: int
    caught: "Future[Caught]" = field(default_factory=Future)

    def wait(self, seconds: float = 60) -> "Caught":
        """Wait for the frame. Raises TimeoutError; then the trap holds nothing any more."""
        try:
            return self.caught.result(seconds)
        except TimeoutError:
            if self.caught.cancel():
                raise
            return self.caught.result()  # at the last moment


class Caught:
    """A frame that is held until it is said what becomes of it."""

    def __init__(self, api: int, frame: bytes, connection: _Connection, loop: asyncio.AbstractEventLoop) -> None:
        self.api = api
        self.frame = frame
        self.client_port = connection.client_port
        self._loop = loop
        self._fate: asyncio.Future[float | None] = loop.create_future()

    def forward(self) -> None:
        """Let it go on."""
        self._decide(None)

    def cut(self, share: float) -> None:
        """Forward this share of its bytes, and reset the connection."""
        self._decide(share)

    def keep_back(self) -> bytes:
        """Forward nothing of it, and reset the connection. Returns the frame, for `Proxy.deliver_late`."""
        self.cut(0)
        return self.frame

    def _decide(self, share: float | None) -> None:
        self._loop.call_soon_threadsafe(self._set_fate, share)

    def _set_fate(self, share: float | None) -> None:
        if not self._fate.done():
            self._fate.set_result(share)

    async def fate(self) -> float | None:
        return await self._fate


class Proxy:
    """One host's way to the broker. Runs in a thread; every method may be called from any other."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._trap: Trap | None = None
        self._mode = Mode.OPEN
        self.hits = 0
        """How many connections were reset or refused, and how many frames were held up, in all modes so far."""
        self._sounding = asyncio.Event()
        self._sounding.set()
        self._target = 0
        self._server = self._call(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]

    def connect_to(self, port: int) -> None:
        """The broker's port."""
        self._target = port

    def set_mode(self, mode: Mode) -> None:
        async def change() -> None:
            self._mode = mode
            if mode is Mode.SILENT:
                self._sounding.clear()
            else:
                self._sounding.set()
            if mode is Mode.REFUSING:
                self.hits += len(self._connections)
                for connection in list(self._connections):
                    connection.reset()

        self._call(change())

    def trap(self, *apis: Api, side: Side = Side.REQUEST, least_bytes: int = 0) -> "Trap":
        """Hold the next such frame of at least this many bytes, from now on. `Trap.wait` waits for it."""
        self._trap = Trap(frozenset(apis), side, least_bytes)
        return self._trap

    def catch(self, *apis: Api, side: Side = Side.REQUEST, least_bytes: int = 0, seconds: float = 60) -> "Caught":
        """Wait for the next such frame, and hold it: for requests that come again and again. Raises TimeoutError."""
        return self.trap(*apis, side=side, least_bytes=least_bytes).wait(seconds)

    def deliver_late(self, frame: bytes) -> bytes:
        """Bring a request that was kept back to the broker, on a connection of its own. Returns the whole answer."""

        async def deliver() -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._target)
            try:
                writer.write(frame)
                head = await reader.readexactly(_LENGTH.size)
                return head + await reader.readexactly(*_LENGTH.unpack(head))
            finally:
                writer.transport.abort()

        return self._call(deliver())

    def close(self) -> None:
        async def end() -> None:
            self._server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        self._call(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._carry(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # the broker is down, or the test is over
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._sounding.wait()
        if self._mode is Mode.REFUSING:
            self.hits += 1
            return
        from_broker, to_broker = await asyncio.open_connection("127.0.0.1", self._target)
        connection = _Connection(writer.get_extra_info("peername")[1], (writer, to_broker))
        self._connections.add(connection)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, to_broker, Side.REQUEST, connection))
                both.create_task(self._pump(from_broker, writer, Side.RESPONSE, connection))
        finally:
            connection.reset()
            self._connections.discard(connection)

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, side: Side, connection: _Connection
    ) -> None:
        """Carry frames until either end is gone."""
        try:
            while True:
                head = await source.readexactly(_LENGTH.size)
                frame = head + await source.readexactly(*_LENGTH.unpack(head))
                self.hits += not self._sounding.is_set()
                await self._sounding.wait()
                api = _api_of(frame, side, connection)
                share = await self._trapped(api, side, frame, connection)
                if share is not None:
                    sink.write(frame[: int(len(frame) * share)])
                    return
                sink.write(frame)
                await sink.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # an end of the connection is how these come to their own
        finally:
            connection.reset()

    async def _trapped(self, api: int, side: Side, frame: bytes, connection: _Connection) -> float | None:
        trap = self._trap
        if trap is None or side is not trap.side or api not in trap.apis or len(frame) < trap.least_bytes:
            return None
        self._trap = None
        if not trap.caught.set_running_or_notify_cancel():
            return None
        caught = Caught(api, frame, connection, self._loop)
        trap.caught.set_result(caught)
        return await caught.fate()


def _api_of(frame: bytes, side: Side, connection: _Connection) -> int:
    if side is Side.RESPONSE:
        (correlation,) = _LENGTH.unpack_from(frame, _LENGTH.size)
        return connection.in_flight.pop(correlation, -1)
    api, _version, correlation = _REQUEST.unpack_from(frame, _LENGTH.size)
    connection.in_flight[correlation] = api
    return int(api)
