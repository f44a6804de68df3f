"""Makes up the requests of the shop's pages, as a client's network plugin reports them."""

from collections.abc import Iterable, Iterator

from recording_worker.demo.page import HOST
from recording_worker.formats.rrweb import Event, EventType, data_of

_LOAD_MS = 400
"""How long before its `$pageview` a page begins to load."""


def with_requests(events: Iterable[Event]) -> Iterator[Event]:
    """Yield the same events, and after each `$pageview` the requests of that page."""
    for event in events:
        yield event
        data = data_of(event)
        if data.get("tag") == "$pageview":
            yield _report(data["payload"]["href"], event["timestamp"])


def _report(href: str, at: int) -> Event:
    requests = [
        _request("navigation", href, 0, 60, 180, 14_210),
        _request("link", f"{HOST}/shop.css", 70, 30, 45, 3_120),
        _request("script", f"{HOST}/app.js", 72, 35, 90, 48_700),
        _call("GET", "/api/prices", 200, '{"currency":"EUR","prices":60}'),
    ]
    if href.endswith("/checkout"):
        requests.append(_call("POST", "/api/orders", 503, '{"error":"The payment service is away"}'))
    for request in requests:
        request |= {"timeOrigin": at - _LOAD_MS, "timestamp": at - _LOAD_MS + request["startTime"]}
    data = {"plugin": "rrweb/network@1", "payload": {"requests": requests}}
    return {"type": EventType.PLUGIN, "data": data, "timestamp": at}


def _request(kind: str, url: str, start: int, wait: int, duration: int, size: int, status: int = 200) -> Event:
    """Make a request as performance entries have it: times in milliseconds after the page began to load."""
    return {
        "name": url,
        "entryType": "navigation" if kind == "navigation" else "resource",
        "initiatorType": kind,
        "startTime": start,
        "responseStart": start + wait,
        "duration": duration,
        "transferSize": size,
        "responseStatus": status,
    }


def _call(method: str, path: str, status: int, answer: str) -> Event:
    """Make a request of a script, with what the client adds to it."""
    return {
        **_request("fetch", HOST + path, 200, 40, 55, len(answer), status),
        "method": method,
        "status": status,
        "requestHeaders": {"accept": "application/json"},
        "responseHeaders": {"content-type": "application/json"},
        "responseBody": answer,
    }
