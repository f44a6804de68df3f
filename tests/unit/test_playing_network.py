"""Which requests the player shows, and what of them."""

import json
from typing import Any

import pytest

from recording_worker.playing import network, session
from recording_worker.playing.network import Request, requests_of
from tests.builders import NOW_MS
from tests.unit.test_playing_session import event, line, shown


def recorded(*requests: object) -> dict[str, Any]:
    return event(6, 500, plugin="rrweb/network@1", payload={"requests": list(requests)})


def only(**given: Any) -> Request:
    [request] = requests_of(recorded({"name": "http://shop.test/", **given}), NOW_MS)
    return request


def test_a_request_with_all_that_can_be_recorded() -> None:
    request = only(
        entryType="resource",
        timestamp=NOW_MS + 7,
        startTime=10,
        responseStart=14,
        duration=9.5,
        initiatorType="fetch",
        method="post",
        status=201,
        transferSize=300,
        requestHeaders={"a": "b", "odd": 7},
        responseHeaders={"c": "d"},
        requestBody='{"x":1}',
        responseBody="done \ud83d",
    )
    assert request == Request(
        at=NOW_MS + 7,
        method="POST",
        url="http://shop.test/",
        status=201,
        kind="fetch",
        duration=9.5,
        waited=4,
        bytes=300,
        failed=False,
        request_headers=[("a", "b")],
        response_headers=[("c", "d")],
        request_body='{"x":1}',
        response_body="done \ufffd",
        origin=NOW_MS - 3,
    )


def test_requests_by_numbers() -> None:
    """As older clients of PostHog wrote them."""
    payload = {"0": "resource", "1": NOW_MS, "2": "/a", "3": 20, "18": "script", "21": 404, "22": 5, "39": 3}
    [request] = requests_of(event(6, 500, plugin="posthog/network@1", payload=payload), NOW_MS + 500)
    assert (request.url, request.at, request.status, request.failed) == ("/a", NOW_MS + 20, 404, True)
    assert (request.kind, request.bytes, request.duration) == ("script", 5, 3)


@pytest.mark.parametrize(
    ("given", "failed"),
    [
        ({"status": 500}, True),
        ({"responseStatus": 404, "initiatorType": "img"}, True),
        ({"status": 304}, False),
        ({"responseStatus": 0, "initiatorType": "script"}, False),
        ({"method": "GET", "status": 0, "initiatorType": "xmlhttprequest"}, True),
        ({"method": "GET", "status": 0, "initiatorType": "fetch"}, False),
        ({"method": "GET", "responseStatus": 0, "initiatorType": "fetch"}, True),
    ],
)
def test_which_requests_failed(given: dict[str, Any], failed: bool) -> None:
    assert only(**given).failed is failed


@pytest.mark.parametrize(
    "odd",
    [
        7,
        None,
        {},
        {"name": 7},
        {"name": "http://shop.test/", "entryType": "paint"},
        {"name": "http://shop.test/", "entryType": ["resource"]},
    ],
)
def test_what_is_no_request_is_left_out(odd: object) -> None:
    assert list(requests_of(recorded(odd), NOW_MS)) == []


@pytest.mark.parametrize("payload", [None, [], {}, {"requests": {}}, "text"])
def test_an_event_without_requests(payload: object) -> None:
    assert list(requests_of(event(6, 0, plugin="rrweb/network@1", payload=payload), NOW_MS)) == []


@pytest.mark.parametrize("odd", [True, "7", -1, 1e300, None, [7], float("nan")])
def test_odd_numbers_count_as_not_recorded(odd: object) -> None:
    request = only(timestamp=odd, duration=odd, status=odd, transferSize=odd, responseStart=odd, startTime=odd)
    assert request.at == NOW_MS, "the event's time"
    assert (request.duration, request.status, request.bytes, request.waited) == (None, None, None, None)


def test_long_texts_are_cut() -> None:
    long = "x" * 200_000
    request = only(
        name=long, method=long, requestBody=long, responseHeaders=dict.fromkeys((long, *map(str, range(999))), long)
    )
    assert (len(request.url), len(request.method or ""), len(request.request_body or "")) == (4_096, 100, 100_000)
    assert sum(len(value) for _, value in request.response_headers) == network.MAX_BODY
    assert len(request.response_headers) == 200


def test_the_recording_lists_requests_in_the_order_in_which_they_began() -> None:
    late, early = ({"name": name, "timestamp": NOW_MS + at} for name, at in (("late", 400), ("early", 100)))
    recording = shown(line(event(3, 0), "one"), line(recorded(late, early), "two"))
    assert [(request.url, request.window) for request in recording.requests] == [("early", 1), ("late", 1)]
    assert [request["url"] for request in json.loads(recording.as_json())["requests"]] == ["early", "late"]


def test_what_is_too_much_is_left_out_and_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "MAX_LISTED", 3)
    monkeypatch.setattr(session, "MAX_CONTENT", 1024)
    request = {"name": "/", "responseBody": "x" * 600}
    recording = shown(line(recorded(*[request] * 5)))
    assert [len(one.response_body or "") for one in recording.requests] == [600, 0, 0]
    assert recording.notes == [
        "The network lists the first 3 of 5 requests.",
        "The contents of 2 requests after the first 1KiB of them: left out.",
    ]
