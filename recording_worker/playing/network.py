"""Reads the requests that a page made from its network events.

Shapes: CapturedNetworkRequest in PostHog/posthog-js, packages/browser/src/types.ts, for `rrweb/network@1`; the numbers
that stand for names in `posthog/network@1`: PostHog/posthog,
frontend/src/scenes/session-recordings/apm/performance-event-utils.ts.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from recording_worker.formats.rrweb import Event, EventType, data_of, type_of
from recording_worker.formats.timestamps import LATEST_MS

MAX_BODY = 100_000
"""Characters of a body, and of all headers of one direction; the rest is cut."""
_MAX_URL = 4_096
_MAX_WORD = 100
_MAX_HEADERS = 200

_NUMBERED = {
    "0": "entryType",
    "1": "timeOrigin",
    "2": "name",
    "3": "startTime",
    "14": "responseStart",
    "15": "responseEnd",
    "16": "decodedBodySize",
    "17": "encodedBodySize",
    "18": "initiatorType",
    "21": "responseStatus",
    "22": "transferSize",
    "39": "duration",
    "40": "timestamp",
}
_REQUESTS = frozenset({"resource", "navigation"})
"""The performance entries that are requests. Others measure paints and tasks."""


@dataclass(slots=True)
class Request:
    """A request, as the page shows it. What was not recorded is None."""

    at: float
    """When it began, in milliseconds since 1970."""
    method: str | None
    url: str
    status: int | None
    kind: str | None
    """What asked for it: fetch, xmlhttprequest, script, img, navigation and so on."""
    duration: float | None
    """In milliseconds."""
    waited: float | None
    """Milliseconds until the answer began."""
    bytes: int | None
    failed: bool
    request_headers: list[tuple[str, str]]
    response_headers: list[tuple[str, str]]
    request_body: str | None
    response_body: str | None
    origin: float | None = None
    """When the page that asked began to load, in milliseconds since 1970."""
    window: int = 0
    """The number of the window, from 0."""

    @property
    def length(self) -> int:
        """Characters of its headers and bodies."""
        headers = sum(len(name) + len(value) for name, value in self.request_headers + self.response_headers)
        return headers + len(self.request_body or "") + len(self.response_body or "")

    def without_content(self) -> None:
        """Drop headers and bodies."""
        self.request_headers, self.response_headers = [], []
        self.request_body = self.response_body = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def requests_of(event: Event, at: float) -> Iterator[Request]:
    """Yield the requests that a network event reports. `at` is the time of the event."""
    data = data_of(event)
    if type_of(event) != EventType.PLUGIN or not isinstance(payload := data.get("payload"), dict):
        return
    if data.get("plugin") == "rrweb/network@1" and isinstance(requests := payload.get("requests"), list):
        found = [request for request in requests if isinstance(request, dict)]
    elif data.get("plugin") == "posthog/network@1":
        found = [{name: payload.get(number) for number, name in _NUMBERED.items()}]
    else:
        return
    for request in found:
        if made := _request(request, at):
            yield made


def _request(given: dict[str, Any], event_at: float) -> Request | None:
    url = given.get("name") or given.get("url")
    if not isinstance(url, str) or given.get("entryType") not in (None, *_REQUESTS):
        return None
    at, origin, start = (_number(given.get(name)) for name in ("timestamp", "timeOrigin", "startTime"))
    if origin is None and at is not None and start is not None:
        origin = at - start
    if at is None:
        at = event_at if origin is None or start is None else origin + start
    answered = _number(given.get("responseStart"))
    method, kind = _word(given.get("method")), _word(given.get("initiatorType"))
    status = _status(given)
    return Request(
        at=at,
        method=method.upper() if method else None,
        url=_text(url)[:_MAX_URL],
        status=status,
        kind=kind,
        duration=_number(given.get("duration")),
        waited=answered - start if answered and start is not None and answered >= start else None,
        bytes=_size(given),
        failed=_failed(given, status, kind),
        request_headers=_headers(given.get("requestHeaders")),
        response_headers=_headers(given.get("responseHeaders")),
        request_body=_body(given.get("requestBody")),
        response_body=_body(given.get("responseBody")),
        origin=origin,
    )


def _status(given: dict[str, Any]) -> int | None:
    """Return the status. Zero is what browsers say of answers of other sites, so it counts as not recorded."""
    for name in ("status", "responseStatus"):
        status = _number(given.get(name))
        if status is not None and 100 <= status <= 999:
            return int(status)
    return None


def _failed(given: dict[str, Any], status: int | None, kind: str | None) -> bool:
    """Return whether it failed: by its status, or because the client watched it and there was no answer.

    A fetch with status 0 was answered, by a site whose answers the page may not read.
    """
    if status is not None:
        return status >= 400
    watched = isinstance(given.get("method"), str)
    return watched and (kind == "xmlhttprequest" or (kind == "fetch" and given.get("status") is None))


def _size(given: dict[str, Any]) -> int | None:
    for name in ("transferSize", "encodedBodySize", "decodedBodySize"):
        if size := _number(given.get(name)):
            return int(size)
    return None


def _headers(given: object) -> list[tuple[str, str]]:
    if not isinstance(given, dict):
        return []
    headers, room = [], MAX_BODY
    for name, value in list(given.items())[:_MAX_HEADERS]:
        if isinstance(value, str):
            headers.append((_text(name)[:_MAX_WORD], _text(value[:room])))
            room -= len(value[:room])
    return headers


def _body(given: object) -> str | None:
    return _text(given[:MAX_BODY]) if isinstance(given, str) and given else None


def _word(given: object) -> str | None:
    return _text(given[:_MAX_WORD]) if isinstance(given, str) and given else None


def _number(given: object) -> float | None:
    """Return a number that is not negative and can be a time; otherwise None."""

    if isinstance(given, bool) or not isinstance(given, int | float):
        return None
    return float(given) if 0 <= given <= LATEST_MS else None


def _text(text: str) -> str:
    """Return the text with U+FFFD for each unpaired surrogate."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
