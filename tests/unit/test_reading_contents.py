"""What is found in the lines of a block, for those who search sessions."""

import json
from typing import Any

import pytest

from recording_worker.reading.contents import MAX_TEXT, SEPARATOR, Contents, contents_of


def line(kind: int, **data: Any) -> bytes:
    return json.dumps(["w", {"type": kind, "timestamp": 1, "data": data}]).encode()


def said(level: str, *texts: str) -> bytes:
    return line(6, plugin="rrweb/console@1", payload={"level": level, "payload": texts})


def test_clicks_messages_and_addresses_are_found() -> None:
    lines = [
        line(4, href="https://shop.test/Cart"),
        line(2, node={"href": "https://other.test"}),
        line(3, source=2, type=2, id=1),
        line(3, source=2, type=0, id=1),
        line(3, source=2, type=9, id=1),
        line(3, source=0, texts=["error"]),
        said("error", "Not", "Found"),
        said("error", "Not", "Found"),
        said("warn", "slow"),
        said("log", "HELLO"),
        line(5, tag="$pageview", payload={"href": "https://shop.test/done"}),
        line(4, href="https://shop.test/Cart"),
    ]
    urls = f"https://shop.test/cart{SEPARATOR}https://shop.test/done"
    assert contents_of(lines) == Contents(2, 2, 1, "https://shop.test/Cart", urls, "not found", f"slow{SEPARATOR}hello")


@pytest.mark.parametrize(
    "text",
    [
        b'["w",{"timestamp":1,"data":{"href":"https://a.test"},"type" : 4}]',
        b'["w",{"\\u0074ype":4,"timestamp":1,"data":{"href":"https://a.test"}}]',
        b'["w",{"type":4.0,"timestamp":1,"data":{"href":"https://a.test"}}]',
    ],
)
def test_any_spelling_of_json_is_read(text: bytes) -> None:
    assert contents_of([text]).url == "https://a.test"


@pytest.mark.parametrize(
    "text",
    [b"", b'"type":4', b'["w",{"type":4}]', b"[" * 100_000 + b'"type":4', b'{"type":4,"data":[]}', b'"type":4\xff'],
)
def test_a_line_that_can_not_be_read_says_nothing(text: bytes) -> None:
    assert contents_of([text, said("error", "after it")]) == Contents(errors=1, error_text="after it")


def test_texts_are_bounded_and_errors_have_room_of_their_own() -> None:
    lines = [said("log", f"message {number} {'x' * 500}") for number in range(1000)]
    lines += [said("error", f"error {number}") for number in range(5000)]
    lines += [line(4, href=f"https://a.test/{number}/{'y' * 5000}") for number in range(100)]
    found = contents_of(lines)
    assert found.errors == 5000
    assert "error 0" in found.error_text
    for text in (found.urls, found.error_text, found.console_text):
        assert MAX_TEXT - 10 <= len(text) <= MAX_TEXT + 1


def test_lone_surrogates_do_not_get_through() -> None:
    text = b'["w",{"type":4,"timestamp":1,"data":{"href":"https://a.test/\\ud800"}}]'
    assert contents_of([text]).urls == "https://a.test/\ufffd"


def test_no_text_reaches_from_one_message_into_the_next() -> None:
    found = contents_of([said("error", "a"), said("error", f"b{SEPARATOR}c")]).error_text
    assert found == f"a{SEPARATOR}b\ufffdc"
