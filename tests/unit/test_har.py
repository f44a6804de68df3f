"""`recording-worker export --format har`: the requests of a session, and the pages that made them."""

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recording_worker.playing.exports import ExportFormat, exported
from recording_worker.playing.har import MAX_NAMED
from tests.builders import NOW_MS
from tests.unit.test_exports import LINES, ONE, TWO, line, request


def made(*lines: bytes) -> tuple[dict[str, Any], list[str]]:
    """The log, and what the export says of it."""
    problems: list[str] = []
    log: dict[str, Any] = json.loads(b"".join(exported(lines, ExportFormat.HAR, problems.append)))["log"]
    return log, problems


def test_it_has_what_was_recorded_of_each_request() -> None:
    log, problems = made(*LINES)
    assert not problems
    assert (log["version"], log["creator"]["name"]) == ("1.2", "recording-worker")
    first, second = log["entries"]
    content = {"size": 7, "mimeType": "text/html", "text": "<p>"}
    assert first == {
        "pageref": "page_1",
        "startedDateTime": "2026-11-18T11:06:40.003Z",
        "time": 9.5,
        "request": {
            "method": "POST",
            "url": "https://a.test/x?q=1&r=%20",
            "httpVersion": "",
            "cookies": [],
            "headers": [{"name": "Content-Type", "value": "text/x"}, {"name": "A", "value": "b"}],
            "queryString": [{"name": "q", "value": "1"}, {"name": "r", "value": " "}],
            "headersSize": -1,
            "bodySize": -1,
            "postData": {"mimeType": "text/x", "text": "sent"},
        },
        "response": {
            "status": 404,
            "statusText": "",
            "httpVersion": "",
            "cookies": [],
            "headers": [{"name": "content-type", "value": "text/html"}],
            "content": content,
            "redirectURL": "",
            "headersSize": -1,
            "bodySize": 7,
        },
        "cache": {},
        "timings": {"send": 0, "wait": 4, "receive": 5.5},
        "_initiator": "",
        "_failed": True,
        "_window": ONE,
    }
    assert (second["response"]["status"], second["time"], second["_window"]) == (0, 0, TWO)
    assert "pageref" not in second
    assert log["pages"] == [
        {
            "startedDateTime": "2026-11-18T11:06:39.993Z",
            "id": "page_1",
            "title": "https://a.test",
            "pageTimings": {"onContentLoad": -1, "onLoad": -1},
            "_window": ONE,
        }
    ]


def page(window: str, at: int, name: str) -> bytes:
    return line(window, at, 4, href=f"https://a.test/{name}")


def asked(window: str, at: int, **given: int) -> bytes:
    """An event with one request. Its times are milliseconds of the session, as the event's is."""
    times = {name: NOW_MS + value if name != "startTime" else value for name, value in given.items()}
    return line(window, at, 6, **request(**times))


def pages_of(*lines: bytes) -> list[str | None]:
    """The address of each request's page."""
    log, problems = made(*lines)
    assert not problems
    titles = {page["id"]: page["title"].removeprefix("https://a.test/") for page in log["pages"]}
    return [titles[entry["pageref"]] if "pageref" in entry else None for entry in log["entries"]]


def test_a_request_belongs_to_the_page_that_its_window_showed_when_it_began() -> None:
    lines = [
        page(ONE, 0, "a"),
        page(TWO, 5, "b"),
        page(ONE, 10, "c"),
        asked(ONE, 20, timestamp=9),
        asked(ONE, 20, timestamp=10),
        asked(TWO, 20, timestamp=15),
        asked("w-3", 20, timestamp=15),
        page(ONE, 30, "a"),
        asked(ONE, 40, timestamp=29),
        asked(ONE, 40),
    ]
    assert pages_of(*lines) == ["a", "c", "b", None, "c", "a"]


def test_requests_before_a_page_is_named_belong_to_it_if_they_share_its_origin() -> None:
    lines = [
        page(ONE, 100, "a"),
        asked(ONE, 110, timestamp=50, startTime=0),
        page(ONE, 300, "b"),
        asked(ONE, 310, timestamp=250, timeOrigin=240, startTime=10),
        asked(ONE, 310, timestamp=240, startTime=200),
    ]
    assert pages_of(*lines) == ["a", "b", "a"]
    log, _ = made(*lines)
    assert [page["startedDateTime"][-5:] for page in log["pages"]] == [".040Z", ".240Z"]


def test_a_page_that_is_loaded_again_stays_one_page() -> None:
    lines = [
        page(ONE, 100, "a"),
        page(ONE, 300, "a"),
        asked(ONE, 310, timestamp=250, timeOrigin=240),
        page(ONE, 400, "b"),
        asked(ONE, 410, timestamp=350, timeOrigin=240),
    ]
    assert pages_of(*lines) == ["a", "a"]
    assert [page["startedDateTime"][-5:] for page in made(*lines)[0]["pages"]] == [".100Z", ".400Z"]


def test_too_many_pages_are_named_as_a_problem() -> None:
    named = [page(ONE, number, str(number)) for number in range(MAX_NAMED + 1)]
    log, problems = made(*named[:2], asked(ONE, 1), *named[2:], asked(ONE, MAX_NAMED + 1))
    assert len(log["pages"]) == MAX_NAMED
    assert ["pageref" in entry for entry in log["entries"]] == [True, False]
    assert problems == ["10,000 events name their page: requests after them have none"]


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    [
        "name",
        "method",
        "status",
        "duration",
        "timestamp",
        "timeOrigin",
        "startTime",
        "responseStart",
        "requestHeaders",
        "responseBody",
    ]
)
URLS = st.sampled_from(["http://[", "http://a.test/?" + "a&" * 2000, "data:x", "//?=&="])


NEEDED = {
    "log": {"version", "creator", "pages", "entries"},
    "page": {"startedDateTime", "id", "title", "pageTimings"},
    "entry": {"startedDateTime", "time", "request", "response", "cache", "timings"},
    "request": {"method", "url", "httpVersion", "cookies", "headers", "queryString", "headersSize", "bodySize"},
    "response": {
        *("status", "statusText", "httpVersion", "cookies", "headers", "content"),
        *("redirectURL", "headersSize", "bodySize"),
    },
    "content": {"size", "mimeType"},
    "timings": {"send", "wait", "receive"},
}
"""What HAR 1.2 requires of each object."""


@settings(max_examples=150)
@given(
    st.dictionaries(FIELDS, ANY_JSON | URLS | st.floats(0, 8.64e15), max_size=5),
    URLS,
    st.text(max_size=5),
    st.text(max_size=5),
)
def test_any_request_makes_a_har_that_tools_can_read(fields: dict[str, Any], url: str, window: str, href: str) -> None:
    log, problems = made(line(window, 0, 4, href=href), line(window, 0, 6, **request(**{"name": url, **fields})))
    assert not problems
    assert NEEDED["log"] <= log.keys()
    for page in log["pages"]:
        assert NEEDED["page"] <= page.keys()
        assert datetime.fromisoformat(page["startedDateTime"]).tzinfo
    for entry in log["entries"]:
        content = entry["response"]["content"]
        for name, found in {"entry": entry, "content": content, **entry}.items():
            assert NEEDED.get(name, set()) <= (found.keys() if isinstance(found, dict) else set())
        assert datetime.fromisoformat(entry["startedDateTime"]).year >= 1970
        assert entry["time"] >= 0
        assert sum(entry["timings"].values()) == pytest.approx(entry["time"])
        assert all(value >= 0 for value in entry["timings"].values())
        assert entry["_window"] == window
        assert entry.get("pageref") in {None, *(page["id"] for page in log["pages"])}
        assert bool(log["pages"]) == ("pageref" in entry)
