"""The pages of a WSGI application: which path leads to which answer."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple
from wsgiref.types import StartResponse, WSGIEnvironment

TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"


class Answer(NamedTuple):
    """What a request is answered with."""

    body: bytes
    kind: str = TEXT
    """The content type."""
    status: str = "200 OK"

    def send(
        self, environ: WSGIEnvironment, start_response: StartResponse, headers: Sequence[tuple[str, str]] = ()
    ) -> Iterable[bytes]:
        """Send it as WSGI does, with these headers too; without the body if only the head was asked for."""
        own = [("Content-Type", self.kind), ("Content-Length", str(len(self.body)))]
        start_response(self.status, [*own, *headers])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [self.body]


def find_answer(pages: Mapping[str, Callable[[], Answer]], environ: WSGIEnvironment) -> Answer:
    """Return the answer of the page that is asked for. `pages`: path → what makes its answer. Only GET and HEAD."""
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return Answer(b"only GET\n", status="405 Method Not Allowed")
    page = pages.get(environ.get("PATH_INFO", ""))
    return Answer(b"not found\n", status="404 Not Found") if page is None else page()
