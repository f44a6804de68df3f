"""FaultyProxy: a proxy in front of an S3 server that makes requests fail at random."""

import contextlib
import random
import socket
import threading
import time
from collections import Counter
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Fault(StrEnum):
    FAILS = "500"
    SLOW_DOWN = "503"
    NEVER_ARRIVES = "no answer, and the server never saw the request"
    NEVER_ANSWERED = "no answer, though the server has carried it out"
    CUT_REQUEST = "the connection is cut at a random byte of the request"
    CUT_ANSWER = "the connection is cut at a random byte of the answer"
    DENIED = "403"


WRITES = frozenset({"put", "create", "part", "complete"})
_ANSWERS = {
    Fault.FAILS: (500, "InternalError", ""),
    Fault.SLOW_DOWN: (503, "SlowDown", "Retry-After: 0\r\n"),
    Fault.DENIED: (403, "AccessDenied", ""),
}


def operation_of(method: str, path: str) -> str:
    """Return the name of a request's operation."""
    query = parse_qs(urlsplit(path).query, keep_blank_values=True)
    if "uploadId" in query:
        return {"PUT": "part", "POST": "complete", "DELETE": "abort"}[method]
    if "uploads" in query:
        return {"POST": "create", "GET": "list uploads"}[method]
    return method.lower()


class FaultyProxy:
    """Passes requests on, one per connection. Some fail. Each operation meets all faults about equally often.

    The first request of each operation fails, if any of its kind are to fail. The rest is chance.

    The same seed gives the same faults to the same requests in the same order.
    """

    def __init__(self, port: int, seed: int, *, writes: float, others: float) -> None:
        """`writes`, `others`: the share of the requests that write, and of all others, that fail, 0 to 1."""
        self._rates = {True: writes, False: others}
        self.delay = 0.0
        """Seconds that each request waits first."""
        self.done: Counter[tuple[str, Fault]] = Counter()
        self.answered = 0
        """Bytes of all answers of the server, with their headers."""
        self._port = port
        self._faults = list(Fault)
        self._met: set[str] = set()
        """The operations that a fault has hit."""
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        proxy = self

        class Handler(S3Request):
            def forward(self) -> None:
                proxy.forward(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.endpoint = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, name="proxy", daemon=True).start()

    def never(self, fault: Fault) -> None:
        """Don't make this fault from now on."""
        self._faults.remove(fault)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def forward(self, handler: "S3Request") -> None:
        """Carry out one request, or make it fail."""
        request = handler.whole_request()
        time.sleep(self.delay)
        with self._lock:
            fault = self._draw(operation_of(handler.command, handler.path))
            cut = self._random.random()
        match fault:
            case Fault.FAILS | Fault.SLOW_DOWN | Fault.DENIED:
                handler.wfile.write(error_answer(*_ANSWERS[fault], body=handler.command != "HEAD"))
            case Fault.NEVER_ARRIVES:
                handler.rfile.read(1)  # until the client gives up
            case Fault.NEVER_ANSWERED:
                self._ask(request)
                handler.rfile.read(1)
            case Fault.CUT_REQUEST:
                self._ask(request[: int(cut * len(request))], whole=False)
            case Fault.CUT_ANSWER:
                answer = self._ask(request)
                handler.wfile.write(answer[: int(cut * len(answer))])
            case None:
                handler.wfile.write(self._ask(request))

    def _draw(self, operation: str) -> Fault | None:
        """Choose a fault, or None. Requests that don't write are never denied, or uploads could not be aborted."""
        writes = operation in WRITES
        rate = self._rates[writes]
        chance = self._random.random()
        if chance >= (rate if operation in self._met else bool(rate)):
            return None
        self._met.add(operation)
        fault = min(
            (fault for fault in self._faults if writes or fault is not Fault.DENIED),
            key=lambda fault: (self.done[operation, fault], self._random.random()),
        )
        self.done[operation, fault] += 1
        return fault

    def _ask(self, request: bytes, *, whole: bool = True) -> bytes:
        """Return the server's answer; an empty one if it is down."""
        answer = b""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 10) as server:
            server.settimeout(10)
            server.sendall(request)
            while whole and (received := server.recv(65536)):
                answer += received
        with self._lock:
            self.answered += len(answer)
        return answer


class S3Request(BaseHTTPRequestHandler):
    """A request that has arrived, to be forwarded."""

    protocol_version = "HTTP/1.1"

    def whole_request(self) -> bytes:
        """Return the request as it goes to the server: without Expect, and the last of its connection."""
        headers = [
            f"{name}: {value}\r\n"
            for name, value in self.headers.items()
            if name.lower() not in ("expect", "connection")
        ]
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return f"{self.requestline}\r\n{''.join(headers)}Connection: close\r\n\r\n".encode("latin-1") + body

    def forward(self) -> None:
        raise NotImplementedError

    def handle_one_request(self) -> None:
        with contextlib.suppress(OSError):  # the client has gone
            super().handle_one_request()
        self.close_connection = True

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = lambda self: self.forward()  # noqa: N815 - names the base class asks for

    def log_message(self, *_: object) -> None:
        pass


def error_answer(status: int, code: str, headers: str, *, body: bool = True) -> bytes:
    """Return an answer as S3 gives it, its `headers` with their line ends."""
    text = f"<Error><Code>{code}</Code><Message>by the proxy</Message></Error>" if body else ""
    return (
        f"HTTP/1.1 {status} {code}\r\n{headers}Connection: close\r\nContent-Type: application/xml\r\n"
        f"Content-Length: {len(text)}\r\n\r\n{text}"
    ).encode()
