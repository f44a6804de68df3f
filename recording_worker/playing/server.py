"""The server of the page: on this machine only, for anyone who knows its address."""

import secrets
import threading
from collections.abc import Sequence
from functools import partial

from recording_worker.http_server import HTML, JSON, Answer, HttpServer, Page
from recording_worker.playing.page import Page as PlayerPage
from recording_worker.playing.session import Recording

HOST = "127.0.0.1"

_LINES = "application/x-ndjson"


class PlayServer:
    """Serves the page and the data of one recording below `/{secret}/`. Port 0 takes any free port.

    Other users of the machine can connect too, so the address contains a secret. Requests that name another host are
    refused: a web site whose name points here (DNS rebinding) gets nothing. Raises BootError if the port is not free.
    """

    def __init__(self, page: PlayerPage, recording: Recording, port: int) -> None:
        secret = secrets.token_urlsafe(12)
        headers = [
            ("Content-Security-Policy", f"{page.policy}; frame-ancestors 'none'"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "no-store"),
        ]
        self._hosts: frozenset[str] = frozenset()
        pages = _pages(page, recording, f"/{secret}/")
        self._server = HttpServer(pages, HOST, port, lambda host: host in self._hosts, headers)
        bound = self._server.address[1]
        self._hosts = frozenset({f"{HOST}:{bound}", f"localhost:{bound}"})
        self._closed = threading.Event()
        self.url = f"http://{HOST}:{bound}/{secret}/"

    def run(self) -> None:
        """Serve until it is closed."""
        self._closed.wait()

    def close(self) -> None:
        self._closed.set()
        self._server.close()


def _pages(page: PlayerPage, recording: Recording, prefix: str) -> dict[str, Page]:
    pages = {
        prefix: Page(lambda: Answer(page.html.encode(), HTML)),
        f"{prefix}recording.json": Page(lambda: Answer(recording.as_json().encode(), JSON)),
    }
    for number, window in enumerate(recording.windows):
        pages[f"{prefix}windows/{number}.jsonl"] = Page(partial(_lines, window.lines))
    return pages


def _lines(lines: Sequence[bytes]) -> Answer:
    return Answer(b"\n".join(lines), _LINES)
