"""The loads of benchmarks.end_to_end."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.contenders.process import ContenderError
from benchmarks.end_to_end.loads import MIDDLING_BYTES, Original, Shape, make_load, read_originals
from benchmarks.message_sets import SMALL_BYTES, decompress, to_wire
from recording_worker.messages import Message
from tests.sample import SAMPLE

SIZE = 15_000_000


@pytest.fixture(scope="module")
def originals() -> list[Original]:
    return read_originals([SAMPLE])


def text_of(message: Message) -> bytes:
    wire = to_wire(message)
    assert wire is not None
    return decompress(wire)


def body_of(message: Message) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(json.loads(text_of(message))["data"])["properties"]
    return body


def header(message: Message, name: str) -> bytes:
    [value] = [value for key, value in message.headers if key == name]
    assert value is not None
    return value


@pytest.mark.parametrize("shape", Shape)
def test_a_copy_has_one_session_id_in_key_header_and_value(originals: list[Original], shape: Shape) -> None:
    recorded = {original.session_id for original in originals}
    for message in make_load(originals, shape, 1_000_000, seed=1):
        assert message.key == header(message, "session_id") == body_of(message)["$session_id"].encode()
        assert message.key.decode() not in recorded


def test_all_else_in_a_value_is_as_it_was_recorded(originals: list[Original]) -> None:
    load = make_load(originals, Shape.WEB, SIZE, seed=1)
    for (original, session_id), message in zip(load.plan, load, strict=True):
        assert text_of(message).replace(session_id.encode(), original.session_id.encode()) == original.text
        assert message.timestamp_ms == original.timestamp_ms


@pytest.mark.parametrize("shape", Shape)
def test_a_load_is_what_it_says(originals: list[Original], shape: Shape) -> None:
    load = make_load(originals, shape, SIZE, seed=1)
    messages = list(load)
    assert load.messages == len(messages)
    assert load.sessions == len({message.key for message in messages})
    assert load.bytes == sum(len(text_of(message)) for message in messages)
    assert SIZE <= load.bytes < SIZE + sum(len(original.text) for original in originals)


def test_the_seed_decides_ids_and_order(originals: list[Original]) -> None:
    first, again, other = (list(make_load(originals, Shape.WEB, SIZE, seed)) for seed in (1, 1, 2))
    assert first == again
    assert {message.key for message in first}.isdisjoint(message.key for message in other)


@pytest.mark.parametrize("shape", [Shape.WEB, Shape.SMALL])
def test_each_half_of_a_load_holds_half_of_each_session(originals: list[Original], shape: Shape) -> None:
    keys = [message.key for message in make_load(originals, shape, 3 * SIZE, seed=1)]
    first_half = Counter(keys[: len(keys) // 2])
    for key, count in Counter(keys).items():
        assert first_half[key] == pytest.approx(count / 2, abs=1.5 + count / 20)


def test_small_messages_are_small_and_have_the_headers_of_the_recorded_ones(originals: list[Original]) -> None:
    names = [key for key, _ in originals[0].headers]
    for message in make_load(originals, Shape.SMALL, 1_000_000, seed=1):
        assert len(text_of(message)) <= SMALL_BYTES
        assert [key for key, _ in message.headers if key in names] == names


def test_in_the_shape_sessions_each_message_is_a_session(originals: list[Original]) -> None:
    load = make_load(originals, Shape.SESSIONS, SIZE, seed=1)
    assert load.sessions == load.messages > 1000
    assert max(len(text_of(message)) for message in load) <= MIDDLING_BYTES


def test_a_giant_session_is_one_session_of_one_team(originals: list[Original]) -> None:
    messages = list(make_load(originals, Shape.GIANT, SIZE, seed=1))
    assert len({message.key for message in messages}) == 1
    assert len({header(message, "token") for message in messages}) == 1


def test_files_without_messages_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(ContenderError, match=r"no messages to copy in .*empty\.jsonl"):
        read_originals([tmp_path / "empty.jsonl"])
