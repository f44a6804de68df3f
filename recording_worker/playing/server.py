"""The server of the page: on this machine only, for anyone who knows its address."""

import os
import secrets
import socket
from collections.abc import Callable, Iterable
from functools import partial
from wsgiref.types import StartResponse, WSGIEnvironment

from waitress.server import create_server

from recording_worker.errors import BootError
from recording_worker.playing.page import Page
from recording_worker.playing.session import Recording
from recording_worker.wsgi import HTML, Answer, find_answer

HOST = "127.0.0.1"

_JSON = "application/json"
_LINES = "application/x-ndjson"


class PlayApp:
    """The page and its data below `/{secret}/`, as a WSGI application.

    Other users of the machine can connect too, so the address contains a secret. Requests that name another host are
    refused: a web site whose name points here (DNS rebinding) gets nothing.
    """

    def __init__(self, page: Page, recording: Recording, secret: str) -> None:
        self.hosts: frozenset[str] = frozenset()
        """The allowed values of the Host header."""
        self._headers = [
            ("Content-Security-Policy", f"{page.policy}; frame-ancestors 'none'"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "no-store"),
        ]
        prefix = f"/{secret}/"
        self._pages: dict[str, Callable[[], Answer]] = {
            prefix: lambda: Answer(page.html.encode(), HTML),
            f"{prefix}recording.json": lambda: Answer(recording.as_json().encode(), _JSON),
        }
        for number, window in enumerate(recording.windows):
            self._pages[f"{prefix}windows/{number}.jsonl"] = partial(_lines, window.lines)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self._answer(environ).send(environ, start_response, self._headers)

    def _answer(self, environ: WSGIEnvironment) -> Answer:
        if environ.get("HTTP_HOST") not in self.hosts:
            return Answer(b"not a host of this server\n", status="421 Misdirected Request")
        return find_answer(self._pages, environ)


def _lines(lines: list[bytes]) -> Answer:
    return Answer(b"\n".join(lines), _LINES)


class PlayServer:
    """Serves one recording. Port 0 takes any free port. Raises BootError if the port is not free."""

    def __init__(self, page: Page, recording: Recording, port: int) -> None:
        secret = secrets.token_urlsafe(12)
        app = PlayApp(page, recording, secret)
        try:
            listener = socket.create_server((HOST, port))
        except OSError as error:
            raise BootError(f"can't listen on {HOST}:{port}: {os.strerror(error.errno or 0)}") from error
        self._server = create_server(app, sockets=[listener], threads=4, ident="recording-worker")
        bound = listener.getsockname()[1]
        app.hosts = frozenset({f"{HOST}:{bound}", f"localhost:{bound}"})
        self.url = f"http://{HOST}:{bound}/{secret}/"

    def run(self) -> None:
        """Serve until Ctrl-C, or a signal that ends like it."""
        self._server.run()

    def close(self) -> None:
        self._server.close()
