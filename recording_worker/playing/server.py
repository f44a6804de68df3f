"""The server of the pages: on this machine only, for anyone who knows its address."""

import secrets
import threading
from collections.abc import Sequence
from functools import partial

from recording_worker.http_server import HTML, JSON, LIMITS, Answer, HttpServer, Page, Pages
from recording_worker.playing.page import Page as HtmlPage
from recording_worker.playing.session import Recording

HOST = "127.0.0.1"

_LINES = "application/x-ndjson"
_PAGE_SECONDS = 300.0
"""Longest wait for a page: a large recording in S3 takes its time."""


class PlayServer:
    """Serves pages below `/{secret}/`, by their paths there. Port 0 takes any free port.

    Other users of the machine can connect too, so the address contains a secret. Requests that name another host are
    refused: a web site whose name points here (DNS rebinding) gets nothing. Raises BootError if the port is not free.
    """

    def __init__(self, pages: Pages, port: int) -> None:
        secret = secrets.token_urlsafe(12)
        headers = [
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "no-store"),
        ]
        self._hosts: frozenset[str] = frozenset()
        below = _Below(f"/{secret}/", pages)
        limits = LIMITS._replace(page=_PAGE_SECONDS)
        self._server = HttpServer(below, HOST, port, lambda host: host in self._hosts, headers, limits)
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


class _Below:
    """Pages whose paths have something before them."""

    def __init__(self, prefix: str, pages: Pages) -> None:
        self._prefix = prefix
        self._pages = pages

    def get(self, path: str, /) -> Page | None:
        return self._pages.get(path.removeprefix(self._prefix)) if path.startswith(self._prefix) else None


def html_page(page: HtmlPage) -> Page:
    """Return an HTML page as one of a server's."""
    headers = [("Content-Security-Policy", f"{page.policy}; frame-ancestors 'none'")]
    return Page(lambda: Answer(page.html.encode(), HTML, headers=headers))


def recording_pages(page: HtmlPage, recording: Recording) -> dict[str, Page]:
    """Return the pages of one recording. `page` plays it."""
    return {"": html_page(page), **data_pages(recording)}


def data_pages(recording: Recording) -> dict[str, Page]:
    """Return what the page that plays a recording asks for."""
    pages = {"recording.json": Page(lambda: Answer(recording.as_json().encode(), JSON))}
    for number, window in enumerate(recording.windows):
        pages[f"windows/{number}.jsonl"] = Page(partial(_lines, window.lines))
    return pages


def _lines(lines: Sequence[bytes]) -> Answer:
    return Answer(b"\n".join(lines), _LINES)
