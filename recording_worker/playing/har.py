"""HAR: the requests of a session as an HTTP archive, which the developer tools of browsers open.

HAR 1.2: http://www.softwareishard.com/blog/har-12-spec/. What a recording does not know is -1, 0 or empty there.
"""

import json
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from recording_worker import __version__
from recording_worker.formats.rrweb import Event, url_of
from recording_worker.formats.timestamps import iso_text
from recording_worker.playing.network import Request, requests_of

HAR_HEAD = f'{{"log":{{"version":"1.2","creator":{{"name":"recording-worker","version":"{__version__}"}}'.encode()
MAX_NAMED = 10_000
"""The most events with the address of their page that count."""
_MAX_QUERY = 1000
"""The most parameters of an address that a HAR takes apart."""


def har_entries(events: Iterable[tuple[str, Event, float]], pages: "Pages") -> Iterator[bytes]:
    """Yield the requests that the network events report. The events are (window, event, time), in order of time."""
    for window, event, at in events:
        pages.see(window, event, at)
        for request in requests_of(event, at):
            page = pages.of(window, request)
            reference = {} if page is None else {"pageref": page.name}
            entry = {**reference, **_entry(request), "_window": window}
            yield json.dumps(entry, allow_nan=False).encode()


@dataclass(slots=True)
class _Page:
    """A page that a window showed."""

    name: str
    url: str
    window: str
    at: float
    """When it began to load, if a request says so; otherwise when an event first named it."""


@dataclass(slots=True)
class _Window:
    times: list[float] = field(default_factory=list)
    """When an event named the page."""
    pages: list[_Page] = field(default_factory=list)
    """The page that it named."""


class Pages:
    """The pages of a session. Each window shows one after the other; a page ends if another address is named."""

    def __init__(self) -> None:
        self._windows = defaultdict[str, _Window](_Window)
        self._pages: list[_Page] = []
        self._room = MAX_NAMED

    @property
    def is_full(self) -> bool:
        """Whether there were MAX_NAMED events with an address. Requests after them have no page."""
        return self._room == 0

    def see(self, window: str, event: Event, at: float) -> None:
        """Take the next event."""
        url = url_of(event)
        if url is None or self.is_full:
            return
        self._room -= 1
        shown = self._windows[window]
        if not shown.pages or shown.pages[-1].url != url:
            self._pages.append(_Page(f"page_{len(self._pages) + 1}", url, window, at))
            shown.pages.append(self._pages[-1])
        else:
            shown.pages.append(shown.pages[-1])
        shown.times.append(at)

    def of(self, window: str, request: Request) -> _Page | None:
        """Return the page that made a request; None if it is not known.

        It is the one that the window showed when the request began. But the first requests of a page begin before an
        event names it. They have the origin of times that the later ones have: when the page began to load.
        """
        shown = self._windows.get(window)
        if shown is None or self.is_full:
            return None
        number = max(bisect_right(shown.times, request.at) - 1, 0)
        if request.origin is not None:
            loaded = min(bisect_left(shown.times, request.origin), len(shown.times) - 1)
            number = max(number, loaded)
            if number == loaded:
                shown.pages[number].at = min(shown.pages[number].at, request.origin)
        return shown.pages[number]

    def as_json(self) -> Iterator[bytes]:
        for page in self._pages:
            shown = {
                "startedDateTime": iso_text(page.at),
                "id": page.name,
                "title": page.url,
                "pageTimings": {"onContentLoad": -1, "onLoad": -1},
                "_window": page.window,
            }
            yield json.dumps(shown).encode()


def _entry(request: Request) -> dict[str, Any]:
    time = request.duration or 0.0
    wait = time if request.waited is None else min(request.waited, time)
    asked: dict[str, Any] = {
        "method": request.method or "GET",
        "url": request.url,
        "httpVersion": "",
        "cookies": [],
        "headers": _pairs(request.request_headers),
        "queryString": _pairs(_query(request.url)),
        "headersSize": -1,
        "bodySize": -1,
    }
    if request.request_body is not None:
        asked["postData"] = {"mimeType": _content_type(request.request_headers), "text": request.request_body}
    content: dict[str, Any] = {
        "size": -1 if request.bytes is None else request.bytes,
        "mimeType": _content_type(request.response_headers),
    }
    if request.response_body is not None:
        content["text"] = request.response_body
    return {
        "startedDateTime": iso_text(request.at),
        "time": time,
        "request": asked,
        "response": {
            "status": request.status or 0,
            "statusText": "",
            "httpVersion": "",
            "cookies": [],
            "headers": _pairs(request.response_headers),
            "content": content,
            "redirectURL": "",
            "headersSize": -1,
            "bodySize": content["size"],
        },
        "cache": {},
        "timings": {"send": 0, "wait": wait, "receive": time - wait},
        "_initiator": request.kind or "",
        "_failed": request.failed,
    }


def _pairs(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def _query(url: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(urlsplit(url).query, keep_blank_values=True, max_num_fields=_MAX_QUERY)
    except ValueError:
        return []


def _content_type(headers: Iterable[tuple[str, str]]) -> str:
    return next((value for name, value in headers if name.lower() == "content-type"), "")
