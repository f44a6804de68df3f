"""Serves pages over HTTP/1.1: GET and HEAD, one request a connection, and a bound on everything that a client may take.

h11 reads the requests and writes the heads of answers; asyncio does the waiting.
"""

import asyncio
import hmac
import os
import threading
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from http import HTTPStatus
from queue import SimpleQueue
from typing import NamedTuple, Protocol

import h11
import structlog

from recording_worker.errors import BootError
from recording_worker.http_tls import ServerTls

log = structlog.get_logger()

TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
CSS = "text/css; charset=utf-8"
JAVASCRIPT = "text/javascript; charset=utf-8"
JSON = "application/json"

_HEAD_BYTES = 16 * 1024
_READ_BYTES = 4 * 1024
_CHUNK_BYTES = 256 * 1024
_BACKLOG = 50


_STATUS_HEADERS = {
    HTTPStatus.METHOD_NOT_ALLOWED: (("Allow", "GET, HEAD"),),
    HTTPStatus.UNAUTHORIZED: (("WWW-Authenticate", 'Bearer, Basic realm="recording-worker"'),),
}


class Answer(NamedTuple):
    """What a request is answered with."""

    body: bytes
    kind: str = TEXT
    """The content type."""
    status: HTTPStatus = HTTPStatus.OK
    headers: Sequence[tuple[str, str]] = ()
    """Further ones, for this answer alone."""


class Page(NamedTuple):
    """A page: what makes its answer, and how it is served."""

    answer: Callable[[], Answer]
    at_once: bool = False
    """Whether the answer is made without waiting for other pages. It must not block."""
    any_host: bool = False
    """Whether the request may name any host."""
    for_all: bool = False
    """Whether the request needs no token and no certificate."""


class Pages(Protocol):
    """The pages of a server. A dictionary is one."""

    def get(self, path: str, /) -> Page | None:
        """Return the page of a path, as it stands in the request; None if there is none. It must not block."""


class Limits(NamedTuple):
    """What clients may take. Times are seconds."""

    connections: int = 200
    """Connections at a time. A further one ends the oldest."""
    request: float = 5.0
    """Longest wait for a whole request, from the connection on."""
    page: float = 30.0
    """Longest wait for a page to be made."""
    send: float = 10.0
    """Longest wait for the client to take the next part of an answer, and to close after the last one."""


LIMITS = Limits()


class HttpServer:
    """Serves pages in a thread of its own, until it is closed. Raises BootError if the address can't be used.

    Clients get no more than `limits`, whether they open many connections, send or read slowly, or send large requests.
    Bodies are not read. Pages with `at_once` are answered whatever the others do.
    """

    address: tuple[str, int]
    """Where it listens; the first one, if it has several addresses."""

    def __init__(
        self,
        pages: Pages,
        host: str,
        port: int,
        is_allowed: Callable[[str], bool],
        headers: Sequence[tuple[str, str]] = (),
        limits: Limits = LIMITS,
        token: str | None = None,
        tls: ServerTls | None = None,
    ) -> None:
        """`pages`: by path, without a query. Port 0 takes any. `is_allowed`: whether a request may name this host
        (`Host: …`).

        `headers` are sent with every answer. If there is a `token`, requests must have it: as a bearer token, or as the
        password of any user, which browsers ask for. With `tls` it speaks HTTPS, and clients may need a certificate.
        """
        self._pages = pages
        self._is_allowed = is_allowed
        self._headers = headers
        self._token = None if token is None else token.encode()
        self._tls = tls
        self._limits = limits
        self._connections: dict[asyncio.Task[None], None] = {}
        """The oldest first."""
        self._page_maker = _PageMaker()
        self._closing = asyncio.Event()
        listening: Future[tuple[asyncio.AbstractEventLoop, tuple[str, int]]] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(host, port, listening)), name="http server", daemon=True
        )
        self._thread.start()
        try:
            self._loop, self.address = listening.result()
        except (OSError, OverflowError) as error:
            raise BootError(f"can't listen on {host}:{port}: {_reason(error)}") from None

    def close(self) -> None:
        """End all connections, and stop listening."""
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()

    async def _run(
        self, host: str, port: int, listening: Future[tuple[asyncio.AbstractEventLoop, tuple[str, int]]]
    ) -> None:
        """Listen, say where, and serve until the server is closed."""
        try:
            server = await asyncio.start_server(self._serve, host, port, backlog=_BACKLOG, limit=_HEAD_BYTES)
        except Exception as error:  # noqa: BLE001 - the one who starts the server gets it
            self._page_maker.close()
            listening.set_exception(error)
            return
        listening.set_result((asyncio.get_running_loop(), server.sockets[0].getsockname()[:2]))
        await self._closing.wait()
        server.close()
        self._page_maker.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = None
        if len(self._connections) > self._limits.connections:
            next(iter(self._connections)).cancel()
        try:
            # the client left or is too slow, or its connection is the oldest of too many
            with suppress(OSError, TimeoutError, asyncio.CancelledError):
                await self._converse(reader, writer)
        finally:
            del self._connections[task]
            writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_BYTES)
        only_head = False
        try:
            async with asyncio.timeout(self._limits.request):
                if self._tls is not None:
                    # here and not in start_server, so that the limits hold for the handshake too
                    await writer.start_tls(self._tls.context())
                request = await _read_request(connection, reader)
        except h11.RemoteProtocolError as error:
            answer = _refusal(HTTPStatus(error.error_status_hint))
        else:
            if request is None:
                return
            only_head = request.method == b"HEAD"
            answer = await self._answer(request, has_certificate=bool(writer.get_extra_info("peercert")))
        writer.write(self._head(connection, answer))
        for start in range(0, 0 if only_head else len(answer.body), _CHUNK_BYTES):
            writer.write(answer.body[start : start + _CHUNK_BYTES])
            async with asyncio.timeout(self._limits.send):
                await writer.drain()
        await self._part(reader, writer)

    async def _part(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Let the client read the rest of the answer. It may still be sending a body: that must not cut it off."""
        async with asyncio.timeout(self._limits.send):
            if not writer.can_write_eof():  # TLS, which ends both ways at once
                writer.close()
                await writer.wait_closed()
                return
            writer.write_eof()
            while await reader.read(_READ_BYTES):
                pass

    async def _answer(self, request: h11.Request, *, has_certificate: bool) -> Answer:
        headers = dict(request.headers)
        if request.method not in (b"GET", b"HEAD"):
            return _refusal(HTTPStatus.METHOD_NOT_ALLOWED)
        if b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0":
            return _refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        path = request.target.partition(b"?")[0].decode("latin-1")
        page = self._pages.get(path)
        if not (page and page.any_host) and not self._is_allowed(headers.get(b"host", b"").decode("latin-1")):
            return _refusal(HTTPStatus.MISDIRECTED_REQUEST)
        if not (page and page.for_all):
            if self._tls is not None and self._tls.needs_certificates and not has_certificate:
                return _refusal(HTTPStatus.FORBIDDEN)
            if self._token is not None and not hmac.compare_digest(_given_token(headers), self._token):
                return _refusal(HTTPStatus.UNAUTHORIZED)
        if page is None:
            return _refusal(HTTPStatus.NOT_FOUND)
        try:
            if page.at_once:
                return page.answer()
            async with asyncio.timeout(self._limits.page):
                return await self._page_maker.make(page.answer)
        except TimeoutError:
            return _refusal(HTTPStatus.SERVICE_UNAVAILABLE)
        except Exception:
            log.exception("a page can't be made", path=path)
            return _refusal(HTTPStatus.INTERNAL_SERVER_ERROR)

    def _head(self, connection: h11.Connection, answer: Answer) -> bytes:
        headers = [
            ("Content-Type", answer.kind),
            ("Content-Length", str(len(answer.body))),
            ("Connection", "close"),
            *_STATUS_HEADERS.get(answer.status, ()),
            *self._headers,
            *answer.headers,
        ]
        response = h11.Response(status_code=answer.status, headers=headers, reason=answer.status.phrase)
        return connection.send(response) or b""


class _PageMaker:
    """Makes pages one after the other in a thread. The loop and the exit don't wait for it."""

    def __init__(self) -> None:
        self._orders: SimpleQueue[tuple[Future[Answer], Callable[[], Answer]] | None] = SimpleQueue()
        threading.Thread(target=self._run, name="pages", daemon=True).start()

    def make(self, page: Callable[[], Answer]) -> asyncio.Future[Answer]:
        """Order a page. If the future is cancelled before its turn comes, it is not made."""
        made: Future[Answer] = Future()
        self._orders.put((made, page))
        return asyncio.wrap_future(made)

    def close(self) -> None:
        """Let the thread end once it is idle."""
        self._orders.put(None)

    def _run(self) -> None:
        while order := self._orders.get():
            made, page = order
            if made.set_running_or_notify_cancel():
                try:
                    made.set_result(page())
                except Exception as error:  # noqa: BLE001 - the one who waits for the page gets it
                    made.set_exception(error)


async def _read_request(connection: h11.Connection, reader: asyncio.StreamReader) -> h11.Request | None:
    """Return the head of the request, or None if the client closes first. Raises h11.RemoteProtocolError."""
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await reader.read(_READ_BYTES))
    return event if isinstance(event, h11.Request) else None


def _given_token(headers: Mapping[bytes, bytes]) -> bytes:
    """Return the bearer token, or the password, that a request has; nothing if it has neither."""
    scheme, _, credentials = headers.get(b"authorization", b"").strip().partition(b" ")
    match scheme.lower():
        case b"bearer":
            return credentials.strip()
        case b"basic":
            try:
                return b64decode(credentials, validate=True).partition(b":")[2]
            except ValueError:
                return b""
    return b""


def _refusal(status: HTTPStatus) -> Answer:
    return Answer(f"{status.phrase}\n".encode(), status=status)


def _reason(error: Exception) -> str:
    """Return what is wrong, without asyncio's words around it."""
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number and number > 0 else str(error)
