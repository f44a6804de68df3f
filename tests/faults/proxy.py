"""A TCP proxy that reads as much of Kafka's protocol as it takes to stop in the middle of a named request."""

import asyncio
import struct
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple, TypeVar

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


class Late(NamedTuple):
    """A request that was kept back, and the door that it came through."""

    frame: bytes
    door: int


@dataclass(slots=True, eq=False)
class _Connection:
    client_port: int
    door: int
    affected: bool
    """Whether the mode is for it."""
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
        self.door = connection.door
        self._loop = loop
        self._fate: asyncio.Future[float | None] = loop.create_future()

    def forward(self) -> None:
        """Let it go on."""
        self._decide(None)

    def cut(self, share: float) -> None:
        """Forward this share of its bytes, and reset the connection."""
        self._decide(share)

    def keep_back(self) -> Late:
        """Forward nothing of it, and reset the connection. Returns it for `Proxy.deliver_late`."""
        self.cut(0)
        return Late(self.frame, self.door)

    def _decide(self, share: float | None) -> None:
        self._loop.call_soon_threadsafe(self._set_fate, share)

    def _set_fate(self, share: float | None) -> None:
        if not self._fate.done():
            self._fate.set_result(share)

    async def fate(self) -> float | None:
        return await self._fate


def _everybody(_client_port: int) -> bool:
    return True


class Proxy:
    """The way to some servers, through a door for each. Runs in a thread; every method may be called from any other."""

    def __init__(self, doors: int = 1) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._traps: list[Trap] = []
        self._mode = Mode.OPEN
        self._is_affected: Callable[[int], bool] = _everybody
        self._changed = asyncio.Event()
        """Set when the mode ends, and then replaced."""
        self._delays = [0.0] * doors
        self.hits = 0
        """How many connections were reset or refused, and how many frames were held up, in all modes so far."""
        self.delayed = 0
        """How many frames were delayed."""
        self._targets = [0] * doors
        self._servers = [self._call(self._listen(door)) for door in range(doors)]
        self.ports: list[int] = [server.sockets[0].getsockname()[1] for server in self._servers]

    @property
    def port(self) -> int:
        """The port of the first door."""
        return self.ports[0]

    @property
    def address(self) -> str:
        """All doors, as bootstrap servers."""
        return ",".join(f"127.0.0.1:{port}" for port in self.ports)

    def connect_to(self, *ports: int) -> None:
        """The ports of the servers behind the doors."""
        self._targets = [*ports]

    def set_mode(self, mode: Mode, of: Callable[[int], bool] = _everybody) -> None:
        """`of`: which connections are affected, by the port that their client has."""

        async def change() -> None:
            self._mode, self._is_affected = mode, of
            for connection in list(self._connections):
                connection.affected = of(connection.client_port)
                if mode is Mode.REFUSING and connection.affected:
                    self.hits += 1
                    connection.reset()
            self._changed.set()
            self._changed = asyncio.Event()

        self._call(change())

    def set_delay(self, door: int, seconds: float) -> None:
        """How long each frame waits at a door, in both directions."""
        self._delays[door] = seconds

    def trap(self, *apis: Api, side: Side = Side.REQUEST, least_bytes: int = 0) -> "Trap":
        """Hold the next such frame of at least this many bytes, from now on. `Trap.wait` waits for it."""
        trap = Trap(frozenset(apis), side, least_bytes)
        self._traps.append(trap)
        return trap

    def catch(self, *apis: Api, side: Side = Side.REQUEST, least_bytes: int = 0, seconds: float = 60) -> "Caught":
        """Wait for the next such frame, and hold it: for requests that come again and again. Raises TimeoutError."""
        return self.trap(*apis, side=side, least_bytes=least_bytes).wait(seconds)

    def deliver_late(self, late: Late) -> bytes:
        """Bring a request that was kept back to the broker, on a connection of its own. Returns the whole answer."""

        async def deliver() -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._targets[late.door])
            try:
                writer.write(late.frame)
                head = await reader.readexactly(_LENGTH.size)
                return head + await reader.readexactly(*_LENGTH.unpack(head))
            finally:
                writer.transport.abort()

        return self._call(deliver())

    def close(self) -> None:
        async def end() -> None:
            for server in self._servers:
                server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        self._call(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _listen(self, door: int) -> asyncio.Server:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(door, reader, writer)

        return await asyncio.start_server(serve, "127.0.0.1", 0)

    async def _serve(self, door: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._carry(door, reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # the broker is down, or the test is over
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _carry(self, door: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client_port = writer.get_extra_info("peername")[1]
        while self._mode is not Mode.OPEN and self._is_affected(client_port):
            if self._mode is Mode.REFUSING:
                self.hits += 1
                return
            await self._changed.wait()
        from_broker, to_broker = await asyncio.open_connection("127.0.0.1", self._targets[door])
        affected = self._is_affected(client_port)
        connection = _Connection(client_port, door, affected, (writer, to_broker))
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
                await self._hold_up(connection)
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

    async def _hold_up(self, connection: _Connection) -> None:
        """Hold a frame up while the network is silent, or slow."""
        if delay := self._delays[connection.door]:
            self.delayed += 1
            await asyncio.sleep(delay)
        silent = self._mode is Mode.SILENT and connection.affected
        self.hits += silent
        while silent:
            await self._changed.wait()
            silent = self._mode is Mode.SILENT and connection.affected

    async def _trapped(self, api: int, side: Side, frame: bytes, connection: _Connection) -> float | None:
        for trap in self._traps:
            if side is trap.side and api in trap.apis and len(frame) >= trap.least_bytes:
                break
        else:
            return None
        self._traps.remove(trap)
        if not trap.caught.set_running_or_notify_cancel():
            return await self._trapped(api, side, frame, connection)
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
