"""ClickHouse's HTTP interface over chdb, which has none: queries with parameters, a user and a password."""

import socket
import ssl
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from tests.servers.clickhouse import ClickHouse, ClickHouseError

USER, PASSWORD = "reader", "päss: wörd 🔑"
NO_SETTINGS = {"wait_end_of_query"}
"""Parameters of a request that change no setting."""


class ClickHouseHttp:
    """A server on a free port, for a user with `readonly = 1`.

    It answers as ClickHouse does: 200, 403 or 500, an error as text.
    """

    def __init__(self, clickhouse: ClickHouse, certificate: Path | None = None) -> None:
        """`certificate`: a PEM file with its key, for HTTPS."""
        self._clickhouse = clickhouse
        self._certificate = certificate
        self._lock = threading.Lock()
        self._connections: list[socket.socket] = []
        self._server = self._listening(0)
        self.port = self._server.server_address[1]
        self.url = f"http{'' if certificate is None else 's'}://127.0.0.1:{self.port}"

    def _listening(self, port: int) -> ThreadingHTTPServer:
        server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        server.daemon_threads = True
        if self._certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return server

    def stop(self) -> None:
        """Stop listening, and end the connections that clients keep."""
        self._server.shutdown()
        self._server.server_close()
        while self._connections:
            with suppress(OSError):  # the client has ended it
                self._connections.pop().shutdown(socket.SHUT_RDWR)

    def start(self) -> None:
        """Listen again, on the same port."""
        self._server = self._listening(self.port)

    def answer(self, query: str, given: dict[str, str], authorization: str) -> tuple[int, str]:
        user, _, password = b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        if (user, password) != (USER, PASSWORD):
            return 403, f"Code: 516. DB::Exception: {user}: Authentication failed"
        parameters = {name.removeprefix("param_"): text for name, text in given.items() if name.startswith("param_")}
        for name in given.keys() - {f"param_{name}" for name in parameters} - NO_SETTINGS:
            return 500, f"Code: 164. DB::Exception: Cannot modify '{name}' setting in readonly mode. (READONLY)"
        with self._lock:
            try:
                return 200, self._clickhouse.text(f"{query}\nSETTINGS readonly = 1", **parameters)
            except ClickHouseError as error:
                return 500, str(error)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                outer._connections.append(self.request)
                super().setup()

            def do_POST(self) -> None:
                query = self.rfile.read(int(self.headers["Content-Length"])).decode()
                given = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
                status, text = outer.answer(query, given, self.headers["Authorization"])
                content = text.encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_arguments: object) -> None:
                return

        return Handler


@contextmanager
def clickhouse_http(clickhouse: ClickHouse, certificate: Path | None = None) -> Iterator[ClickHouseHttp]:
    server = ClickHouseHttp(clickhouse, certificate)
    try:
        yield server
    finally:
        server.stop()
