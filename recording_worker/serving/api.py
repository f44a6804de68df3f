"""The API: an ASGI application with the routes, statuses and headers of PostHog's recording API.

Its source is nodejs/src/session-replay/recording-api/recording-api.ts. `/sessions` is our own. Answers with blocks may
be kept by the caller for ever, since blocks never change, but by no cache that others share: PostHog says `public`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import parse_qs

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from recording_worker.errors import ClickHouseError, StoreError, WorkerError
from recording_worker.formats.timestamps import iso_text
from recording_worker.logs.folding import FOLD_BY
from recording_worker.metrics import ServeMetrics
from recording_worker.redaction import redact
from recording_worker.serving.blocks import Blocks, Body
from recording_worker.serving.memory import MemoryBudget
from recording_worker.serving.parameters import (
    ParameterError,
    Query,
    block_range,
    cursor_text,
    session_of,
    session_query,
    team_of,
)
from recording_worker.serving.source import MAX_LISTED, BlockPlace, Deletion, Source
from recording_worker.serving.tokens import Refusal, Tokens
from recording_worker.serving.upkeep import Upkeep
from recording_worker.settings.model import Settings
from recording_worker.storage.base import MAX_CONCURRENT_READS

log = structlog.get_logger()

IMMUTABLE = "private, max-age=2592000, immutable"
_CHUNK_BYTES = 256 * 1024
_SEND_SECONDS = 10.0
"""Longest wait for the client to take the next part of an answer."""
_MAX_PARAMETERS = 20
_NO_STORE = {"Cache-Control": "no-store"}
_LATER = {"Retry-After": "1", **_NO_STORE}
_PROJECT = "/api/projects/{team_id}"
_ROUTES = ("sessions", "blocks", "block")

Made = TypeVar("Made")


class _SessionId(StringConvertor):
    """A session id in a path: any text, with slashes and line breaks too."""

    regex = r"[\s\S]*"


register_url_convertor("session", _SessionId())


class Api:
    """Answers requests. What blocks runs in threads, as many as the storage has connections for."""

    def __init__(self, settings: Settings, blocks: Blocks, source: Source, upkeep: Upkeep, tokens: Tokens) -> None:
        self._settings = settings
        self._blocks = blocks
        self._source = source
        self._upkeep = upkeep
        self._tokens = tokens
        self._memory = MemoryBudget(settings.serve_memory_bytes)
        self._threads = ThreadPoolExecutor(MAX_CONCURRENT_READS, thread_name_prefix="serve")
        self._open = 0

    def app(self, metrics: ServeMetrics) -> "Recorded":
        """Return the ASGI application."""

        async def show_metrics(_request: Request) -> Response:
            metrics.serve_memory_bytes.set(self._memory.used)
            return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

        routes = [
            Route("/healthz", self._health, name="other"),
            Route("/readyz", self._ready, name="other"),
            Route("/metrics", show_metrics, name="other"),
            Route(f"{_PROJECT}/sessions", self._guarded(self._list_sessions), name="sessions"),
            Route(
                f"{_PROJECT}/recordings/{{session_id:session}}/blocks", self._guarded(self._list_blocks), name="blocks"
            ),
            Route(f"{_PROJECT}/recordings/{{session_id:session}}/block", self._guarded(self._block), name="block"),
        ]
        return Recorded(Starlette(routes=routes), metrics)

    async def _health(self, _request: Request) -> Response:
        return PlainTextResponse("ok\n", headers=_NO_STORE)

    async def _ready(self, _request: Request) -> Response:
        reasons = self._upkeep.reasons()
        if reasons:
            return PlainTextResponse(redact("\n".join(reasons)) + "\n", 503, headers=_NO_STORE)
        return PlainTextResponse("ready\n", headers=_NO_STORE)

    def _guarded(self, answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """Return the same for callers with a good token only, within the limits on requests and time."""

        async def guarded(request: Request) -> Response:
            authorization = request.headers.get("authorization", "")
            refusal = self._tokens.refusal(authorization, request.path_params["team_id"])
            if refusal is Refusal.UNAUTHORIZED:
                return _error(401, refusal, {"WWW-Authenticate": "Bearer", **_NO_STORE})
            if refusal is not None:
                return _error(403, refusal)
            if self._open >= self._settings.serve_requests or not self._upkeep.can_serve:
                return _error(503, "Try again later", _LATER)
            self._open += 1
            try:
                async with asyncio.timeout(self._settings.serve_timeout):
                    return await answer(request)
            except ParameterError as error:
                return _error(400, str(error))
            except TimeoutError:
                return _error(503, "This takes too long", _LATER)
            except StoreError as error:
                log.warning("a request has to wait", path=request.url.path, error=str(error))
                silent = "ClickHouse" if isinstance(error, ClickHouseError) else "The key store"
                return _error(503, f"{silent} does not answer", _LATER)
            except WorkerError as error:
                log.error("a request failed", path=request.url.path, error=str(error))
                return _error(500, "Failed to read from the storage")
            finally:
                self._open -= 1

        return guarded

    async def _list_sessions(self, request: Request) -> Response:
        team_id, query = team_of(request.path_params["team_id"]), session_query(_query_of(request))
        found = await self._in_thread(self._source.sessions, team_id, query)
        last = found[-1] if len(found) == query.limit else None
        keys = [(team_id, session.session_id) for session in found]
        deleted = await self._in_thread(self._blocks.deleted_keys, keys)
        listed = [
            {
                "session_id": session.session_id,
                "distinct_id": session.distinct_id,
                "start_timestamp": iso_text(session.first_timestamp),
                "end_timestamp": iso_text(session.last_timestamp),
                "blocks": session.blocks,
                "events": session.events,
                "size": session.size,
                "playable": session.playable,
            }
            for session in found
            if session.session_id not in deleted
        ]
        cursor = None if last is None else cursor_text(last.first_timestamp, last.session_id)
        return JSONResponse({"sessions": listed, "next": cursor}, headers=_NO_STORE)

    async def _list_blocks(self, request: Request) -> Response:
        team_id, session_id = team_of(request.path_params["team_id"]), session_of(request.path_params["session_id"])
        found = await self._in_thread(self._blocks.listed, team_id, session_id)
        if isinstance(found, Deletion):
            found = []  # as for a session that never was
        if len(found) > MAX_LISTED:
            return _error(413, f"The session has more than {MAX_LISTED} blocks")
        return JSONResponse({"blocks": [self._listed(block) for block in found]}, headers=_NO_STORE)

    def _listed(self, block: BlockPlace) -> dict[str, object]:
        """Return a block as `RecordingBlock` of PostHog's recording-api/types.ts has it."""
        return {
            "key": self._blocks.place.key_of(block.file),
            "start_byte": block.start,
            "end_byte": block.start + block.length - 1,
            "start_timestamp": iso_text(block.first_timestamp),
            "end_timestamp": iso_text(block.last_timestamp),
        }

    async def _block(self, request: Request) -> Response:
        team_id, session_id = team_of(request.path_params["team_id"]), session_of(request.path_params["session_id"])
        wanted = block_range(_query_of(request))
        if self._blocks.place.name_of(wanted.key) is None:
            return _error(400, "Invalid key format: must be the key of a batch file")
        where = wanted.key, wanted.start, wanted.end
        found = await self._in_thread(self._blocks.find, team_id, session_id, *where)
        if isinstance(found, Deletion):
            return _gone(found)
        if found is None:
            return _error(404, "Block not found")
        weight = self._blocks.weight(found, decompress=wanted.decompress)
        if weight > self._memory.size:
            return _error(413, f"The block takes {weight} bytes of memory, and serve_memory_bytes allows less")
        held = await self._memory.take(weight)
        read = self._threads.submit(self._blocks.read, found, decompress=wanted.decompress)
        try:
            body = await asyncio.wrap_future(read)
            deletion = await self._in_thread(self._blocks.deletion, team_id, session_id)  # it may be deleted meanwhile
        except BaseException:
            held.release_after(read)
            raise
        if deletion is not None or body is None:
            held.release()
            return _error(404, "Block not found") if deletion is None else _gone(deletion)
        return _Block(body, held.release)

    async def _in_thread(self, work: Callable[..., Made], *arguments: Any) -> Made:
        future: Future[Made] = self._threads.submit(work, *arguments)
        return await asyncio.wrap_future(future)


class _Block(Response):
    """An answer with a block, sent in parts. Its memory is given back when it is sent."""

    def __init__(self, body: Body, done: Callable[[], None]) -> None:
        super().__init__(headers={"Cache-Control": IMMUTABLE, "Vary": "Authorization"}, media_type=body.kind)
        self.headers["Content-Length"] = str(len(body.content))
        self._content = memoryview(body.content)
        self._done = done

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            parts = range(0, 0 if scope["method"] == "HEAD" else len(self._content), _CHUNK_BYTES)
            for start in parts:
                part = bytes(self._content[start : start + _CHUNK_BYTES])
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._done()


class Recorded:
    """The application, with a line of the log and metrics for each request, and a limit on slow readers."""

    def __init__(self, app: Starlette, metrics: ServeMetrics) -> None:
        self._app = app
        self._metrics = metrics
        self._number = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, sent = time.monotonic(), 500, 0

        async def counted(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
            sent += len(message.get("body", b""))
            async with asyncio.timeout(_SEND_SECONDS):
                await send(message)

        try:
            await self._app(scope, receive, counted)
        except TimeoutError:
            status = 499
            raise
        finally:
            seconds = time.monotonic() - began
            self._number += 1
            route = _route_of(scope)
            self._metrics.serve_requests.labels(route, str(status)).inc()
            self._metrics.serve_request_seconds.labels(route).observe(seconds)
            self._metrics.serve_sent_bytes.labels(route).inc(sent)
            if route != "other" or status >= 400:
                client = scope.get("client")
                log.info(
                    "request",
                    method=scope["method"],
                    path=scope["path"],
                    query=scope["query_string"].decode("latin-1"),
                    status=status,
                    bytes=sent,
                    seconds=round(seconds, 4),
                    client=client[0] if client else "",
                    **{FOLD_BY: self._number},
                )


def _route_of(scope: Scope) -> str:
    """Return the route that was taken, by the end of the path; other for all else."""
    params = scope.get("path_params") or {}
    end = scope["path"].rpartition("/")[2]
    return end if "team_id" in params and end in _ROUTES else "other"


def _query_of(request: Request) -> Query:
    """Raises ParameterError if there are too many parameters, or if one is no UTF-8."""
    text = request.scope["query_string"].decode("latin-1")
    try:
        return parse_qs(text, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS, errors="strict")
    except ValueError:
        raise ParameterError("Invalid query") from None


def _gone(deletion: Deletion) -> Response:
    answer = {"error": "recording_deleted", "deleted_at": deletion.at, "deleted_by": deletion.by}
    return JSONResponse(answer, 410, _NO_STORE)


def _error(status: int, text: str, headers: dict[str, str] = _NO_STORE) -> Response:
    return JSONResponse({"error": str(text)}, status, headers)
