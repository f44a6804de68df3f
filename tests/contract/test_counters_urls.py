"""The rules for the URLs of a block, each by examples."""

import json

import pytest

from tests.contract.blocks import block_of
from tests.decoders import Decode
from tests.inputs import Input, event_text, plain_value
from tests.reference.counters import SPACES
from tests.reference.jsontext import replace_surrogates


@pytest.mark.parametrize("event_type", ["2", "3", "4", "5", "6", "null", None])
def test_url_of_any_type(decode: Decode, event_type: str | None) -> None:
    block = block_of(decode, event_text('{"href":"https://a.test/"}', type=event_type))
    assert (block.first_url, block.urls) == ("https://a.test/", ["https://a.test/"])


@pytest.mark.parametrize(
    ("data", "url"),
    [
        ('{"href":"a","payload":{"href":"b"}}', "a"),
        ('{"payload":{"href":"b"},"href":"a"}', "a"),
        ('{"payload":{"href":"b"}}', "b"),
        ('{"href":"","payload":{"href":"b"}}', "b"),
        ('{"href":null,"payload":{"href":"b"}}', "b"),
        ('{"href":1,"payload":{"href":"b"}}', "b"),
        ('{"href":["a"],"payload":{"href":"b"}}', "b"),
        ('{"href":"","payload":{"href":""}}', None),
        ('{"payload":{"href":1}}', None),
        ('{"payload":["href","b"]}', None),
        ('{"payload":[{"href":"b"}]}', None),
        ('{"payload":"href"}', None),
        ('{"payload":{"payload":{"href":"b"}}}', None),
        ('{"node":{"href":"b"}}', None),
        ('[{"href":"a"}]', None),
        ('"href"', None),
        (None, None),
        ('{"\\u0068ref":"a"}', "a"),
        ('{"href":"\\u00e9\\ud83d\\ude00\\n\\u0000"}', "é😀\n\0"),
        ('{"href":"\\ud83d"}', "\ufffd"),
        ('{"href":"a b\\u0020\\n c"}', "a b \n c"),
    ],
)
def test_url_is_data_href_else_payload_href(decode: Decode, data: str | None, url: str | None) -> None:
    block = block_of(decode, event_text(data, type="4"))
    assert (block.first_url, block.urls) == (url, [] if url is None else [url])


def spellings(character: str) -> list[str]:
    """Return how a JSON string may have the character."""
    plain = [character] if character >= " " else []
    named = {"\t": ["\\t"], "\n": ["\\n"], "\f": ["\\f"], "\r": ["\\r"]}.get(character, [])
    return [*plain, *named, f"\\u{ord(character):04x}", f"\\u{ord(character):04X}"]


@pytest.mark.parametrize("space", SPACES, ids=ascii)
def test_url_has_no_white_space_at_its_ends(decode: Decode, space: str) -> None:
    """As `hrefFrom` in PostHog's nodejs/src/ingestion/pipelines/sessionreplay/rrweb-types.ts."""
    for text in spellings(space):
        for url in ("a", "é\\u00e9", "\\\\", "t", "x\\\\t", "\\\\u0020", "0000020", "\\ud83d", f"a{text}b"):
            block = block_of(
                decode,
                event_text(f'{{"href":"{text}{url}"}}'),
                event_text(f'{{"href":"{url}{text}{text}"}}'),
                event_text(f'{{"href":"{text} {url} {text}","payload":{{"href":"b"}}}}'),
                event_text(f'{{"href":"{text}","payload":{{"href":"{text}{url}{text}"}}}}'),
                event_text(f'{{"href":"{text}{text}","payload":{{"href":"{text}"}}}}'),
            )
            assert block.urls == [replace_surrogates(json.loads(f'"{url}"', strict=False))]


@pytest.mark.parametrize(
    "character", ["\x1f", "\0", "\b", "\x7f", "\x85", "\u180e", "\u200b", "\u2060", "\ufffe", "\u3001"]
)
def test_what_is_no_white_space_of_javascript_stays(decode: Decode, character: str) -> None:
    for text in spellings(character):
        block = block_of(decode, event_text(f'{{"href":" {text}a{text} "}}'), event_text(f'{{"href":"{text}"}}'))
        assert block.urls == [f"{character}a{character}", character]


@pytest.mark.parametrize("space", [" ", "\\n", "\\u2003", "\u3000"], ids=ascii)
def test_url_is_trimmed_before_the_cut(decode: Decode, space: str) -> None:
    text = f'{{"href":"{space * 5_000}{"x" * 4_095}\\u0079z{space * 5_000}"}}'
    assert block_of(decode, event_text(text)).urls == ["x" * 4_095 + "y"]
    assert block_of(decode, event_text(f'{{"href":"{space * 50_000}"}}')).urls == []


@pytest.mark.parametrize(
    ("tag", "event_type", "left_out"),
    [
        ('"$json_ld"', "5", True),
        ('"\\u0024json_ld"', "5.0", True),
        ('"$json_ld "', "5", False),
        ('"$url_changed"', "5", False),
        ('["$json_ld"]', "5", False),
        ('"$json_ld"', "4", False),
        ('"$json_ld"', "null", False),
    ],
)
def test_url_of_json_ld_is_left_out(decode: Decode, tag: str, event_type: str, left_out: bool) -> None:
    for data in (f'{{"tag":{tag},"href":"a"}}', f'{{"payload":{{"href":"a"}},"tag":{tag}}}'):
        assert block_of(decode, event_text(data, type=event_type)).urls == ([] if left_out else ["a"])


@pytest.mark.parametrize("character", ["a", "é", "漢", "😀"])
@pytest.mark.parametrize("length", [4_095, 4_096, 4_097, 10_000])
def test_url_is_cut_to_4096_characters(decode: Decode, character: str, length: int) -> None:
    block = block_of(decode, event_text(f'{{"href":"{character * length}"}}', type="4"))
    assert block.first_url == character * min(length, 4_096)


def test_urls_are_distinct_after_the_cut(decode: Decode) -> None:
    long = "x" * 4_096
    block = block_of(
        decode, *(event_text(f'{{"href":"{url}"}}') for url in ("b", "a", "b", long + "1", long + "2", "a"))
    )
    assert block.urls == ["b", "a", long]


def test_at_most_25_urls(decode: Decode) -> None:
    block = block_of(decode, *(event_text(f'{{"href":"u{number % 40}"}}') for number in range(80)))
    assert block.first_url == "u0"
    assert block.urls == [f"u{number}" for number in range(25)]


def test_urls_and_counts_of_several_messages(decode: Decode) -> None:
    first = plain_value([event_text(f'{{"source":5,"href":"u{number}"}}') for number in range(20)])
    second = plain_value([event_text(f'{{"source":5,"href":"u{number}"}}') for number in range(10, 40)])
    block = decode([Input(first), Input(second)]).blocks["session-1"]
    assert block.urls == [f"u{number}" for number in range(25)]
    assert block.keypress_count == 50
    assert block.messages == [(0, 20), (1, 30)]
    assert (block.event_count, block.message_count, block.first_offset, block.last_offset) == (50, 2, 0, 1)
