"""What the page shows of a session."""

import gzip
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from recording_worker._native import unpack_line
from recording_worker.formats import rrweb
from recording_worker.formats.batch_file import BatchIndex
from recording_worker.playing import session
from recording_worker.playing.session import Recording, Window, recording_of
from recording_worker.reading.batch_files import Block
from recording_worker.storage.local.file import LocalFile
from tests.batch_files import block
from tests.builders import NOW_MS
from tests.decoders import decode_native
from tests.inputs import Input, event_text, plain_value

NODE = {"type": 0, "childNodes": [], "id": 1}


def event(kind: int, at: float, **data: Any) -> dict[str, Any]:
    return {"type": kind, "timestamp": NOW_MS + at, "data": data}


def line(item: object, window: str = "w1") -> bytes:
    return json.dumps([window, item]).encode()


def shown(*lines: bytes) -> Recording:
    entry, _ = block([(1, lines)])
    index = BatchIndex(1, "batch", "zstd", "30d", NOW_MS, [entry])
    return recording_of([Block(LocalFile(Path("a")), index, entry), Block(LocalFile(Path("b")), index, entry)], lines)


def only_window(*events: dict[str, Any]) -> Window:
    [window] = shown(*[line(item) for item in events]).windows
    return window


def test_the_session_and_its_windows() -> None:
    lines = [line(event(4, 0), "a"), line(event(3, 100), "b"), line(event(3, 900), "a")]
    recording = shown(*lines)
    assert (recording.session_id, recording.team_id, recording.distinct_id) == ("session-1", 1, "user-1")
    assert (recording.start, recording.end, recording.events, recording.files) == (NOW_MS, NOW_MS + 900, 3, 2)
    assert recording.bytes == len(b"\n".join(lines)) + 1, "once, though they are in two files"
    assert [(window.id, window.start, window.end, window.events) for window in recording.windows] == [
        ("a", NOW_MS, NOW_MS + 900, 2),
        ("b", NOW_MS + 100, NOW_MS + 100, 1),
    ]


def test_a_window_plays_from_its_first_full_snapshot_and_the_size_before_it() -> None:
    events = [event(3, 0), event(4, 1), event(3, 2), event(4, 3), event(3, 4), event(2, 5, node=NODE), event(3, 6)]
    window = only_window(*events)
    assert window.playable_from == NOW_MS + 5
    assert window.unplayable is None
    assert window.lines == [line(events[3]), line(events[5]), line(events[6])]


@pytest.mark.parametrize(
    ("snapshot", "why"),
    [
        (event(3, 1), "no full snapshot"),
        (event(2, 1, wireframes={}), "no full snapshot"),
        (event(2, 1), "no full snapshot"),
        ({"type": 2, "timestamp": NOW_MS, "data": "packed, and broken"}, "no full snapshot"),
    ],
)
def test_a_window_that_can_not_be_played_says_why(snapshot: dict[str, Any], why: str) -> None:
    window = only_window(snapshot)
    assert (window.playable_from, window.lines) == (None, [])
    assert why in (window.unplayable or "")


def test_activity_ends_after_five_seconds() -> None:
    times = [(0, 2), (5_000, 1), (10_001, 5), (10_100, 0), (16_000, 12)]
    window = only_window(*[event(3, at, source=source) for at, source in times])
    assert window.active == [
        (NOW_MS, NOW_MS + 5_000),
        (NOW_MS + 10_001, NOW_MS + 10_001),
        (NOW_MS + 16_000, NOW_MS + 16_000),
    ]


def test_counts() -> None:
    recording = shown(
        *[line(event(3, at, source=2, type=kind)) for at, kind in enumerate((2, 3, 4, 9, 5, True, "2"))],
        line(event(3, 9, source=True)),
        line(event(3, 10, source=5)),
        line(event(3, 11, source=1)),
        line(event(2, 12, node=NODE)),
    )
    assert recording.counts == Counter(clicks=4, keypresses=1, mouse=8, snapshots=1)


CONSOLE_EVENTS = [
    pytest.param('{"level":"log","payload":["\\"hello\\"","12","{\\"a\\":1}"]}', id="json in quotes"),
    pytest.param('{"level":"warn","payload":["plain",7,null,["x"],""]}', id="strings alone count"),
    pytest.param('{"level":"countReset","payload":[]}', id="nothing said"),
    pytest.param('{"level":"assert","payload":["\\ud83d lone","\\ud83d\\ude00"]}', id="surrogates"),
    pytest.param('{"level":["odd"],"payload":"no list"}', id="no list"),
    pytest.param('{"level":"error","level":"info","payload":["a"],"payload":["b"]}', id="repeated keys"),
    pytest.param(f'{{"level":"error","payload":["{"é" * 3_100}","{"x" * 2_999}"]}}', id="cut"),
    pytest.param('["level","warn"]', id="no object"),
    pytest.param("null", id="null"),
]


@pytest.mark.parametrize("payload", CONSOLE_EVENTS)
def test_the_console_says_what_the_console_logs_topic_says(payload: str) -> None:
    """The player's rule and the core's, on the same payload."""
    text = event_text(f'{{"plugin":"rrweb/console@1","payload":{payload}}}', type="6")
    [decoded] = decode_native([Input(plain_value([text]))]).rows
    [stored] = decoded.console_logs
    [said] = shown(*[f'["w1",{event}]'.encode() for event in decoded.events]).console
    assert (said.at, said.level, said.text) == (stored.timestamp, stored.level, stored.message)


def test_console_messages() -> None:
    said = [("log", ['"hello"', "12"]), ("warn", ["plain"]), ("assert", ["\ud83d lone"])]
    recording = shown(
        *[
            line(event(6, at, plugin="rrweb/console@1", payload={"level": level, "payload": payload}))
            for at, (level, payload) in enumerate(said)
        ],
        line(event(6, 9, plugin="rrweb/network@1", payload={})),
    )
    shown_texts = ['"hello" 12', "plain", "\ufffd lone"]
    assert [(message.at - NOW_MS, message.level, message.text) for message in recording.console] == [
        (at, level, text) for at, (level, text) in enumerate(zip(("info", "warn", "error"), shown_texts, strict=True))
    ]
    assert [recording.counts[level] for level in ("info", "warn", "error")] == [1, 1, 1]
    assert [message.arguments for message in recording.console] == [['"hello"', "12"], ["plain"], ["\ufffd lone"]]


def test_urls_in_order_and_not_repeated() -> None:
    recording = shown(
        line(event(4, 0, href="/a"), "one"),
        line(event(5, 1, tag="$pageview", payload={"href": "/a"}), "one"),
        line(event(4, 2, href="/a"), "two"),
        line(event(5, 2, tag="$pageview", payload={"href": "/a"}), "one"),
        line(event(4, 2.5, href=" /a\n\u3000"), "two"),
        line(event(4, 3, href="\ufeff" + "/b" * 5_000), "two"),
        line(event(5, 4, tag="$json_ld", payload={"href": "/c"}), "two"),
        line(event(4, 5, href=["/d"]), "two"),
    )
    assert [(at - NOW_MS, url[:2], window) for at, url, window in recording.urls] == [
        (0, "/a", 0),
        (2, "/a", 1),
        (3, "/b", 1),
    ]
    assert len(recording.urls[2][1]) == 4_096


def test_what_can_not_be_read_is_left_out_and_noted() -> None:
    deep = b'["w1",{"type":3,"timestamp":1,"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}]"
    bad = [b"", b"[]", b'["w1",{}]', b'["w1",{"timestamp":1e999}]', b'[1,{"timestamp":1}]', b'["w1",7]', deep]
    bad += [b'["w1",{"timestamp":%s}]' % at for at in (b"NaN", b"9" * 400, b"-1e16")]
    recording = shown(*bad, line(event(3, 1)))
    assert recording.events == 1
    assert recording.notes == ["10 events can't be read: left out."]
    assert shown(b"").windows == []
    assert json.loads(shown(b"").as_json())["start"] == 0


def test_long_numbers_and_lone_surrogates_are_read() -> None:
    long = b'["w\\ud83d",{"type":3,"timestamp":%d,"data":{"n":%s}}]' % (NOW_MS, b"9" * 300)
    recording = shown(long)
    assert (recording.events, recording.notes, recording.windows[0].id) == (1, [], "w\ud83d")


def packed(value: object) -> str:
    return gzip.compress(json.dumps(value).encode()).decode("latin-1")


def test_packed_events_are_unpacked() -> None:
    snapshot = {"type": 2, "timestamp": NOW_MS, "cv": "2024-10", "data": packed({"node": NODE})}
    change = event(3, 1, source=0, adds=packed([{"a": "\ud83d"}]), texts=[], removes=packed([]), other="\x1f text")
    window = only_window(snapshot, {**change, "cv": "2024-10"})
    assert window.playable_from == NOW_MS
    assert [json.loads(text)[1] for text in window.lines] == [
        event(2, 0, node=NODE),
        event(3, 1, source=0, adds=[{"a": "\ud83d"}], texts=[], removes=[], other="\x1f text"),
    ]


def test_what_can_not_be_unpacked_is_noted() -> None:
    recording = shown(line({"type": 2, "timestamp": NOW_MS, "cv": "2024-10", "data": "no gzip"}))
    assert recording.notes == ["1 event that the client packed can't be unpacked."]


def packed_snapshot(at: float, node: object) -> bytes:
    """A full snapshot as the client packs it."""
    data = gzip.compress(json.dumps({"node": node}).encode(), mtime=0).decode("latin-1")
    return line({"type": 2, "timestamp": NOW_MS + at, "cv": "2024-10", "data": data})


def bounded(lines: Iterable[bytes], max_bytes: int) -> Recording:
    entry, _ = block([(1, [line(event(3, 0))])])
    index = BatchIndex(1, "batch", "zstd", "30d", NOW_MS, [entry])
    return recording_of([Block(LocalFile(Path("a")), index, entry)], lines, max_bytes)


def test_packed_events_that_are_too_large_together_are_not_unpacked() -> None:
    bombs = [packed_snapshot(at, "x" * 1_000_000) for at in range(13)]
    recording = bounded(bombs, 3_500_000)
    assert recording.notes == [
        "10 events that the client packed can't be unpacked.",
    ]
    assert sum(len(text) for text in recording.windows[0].lines) < 3_500_000
    assert bounded(bombs, 20_000_000).notes == []


def test_one_packed_event_is_not_unpacked_without_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_MAX_UNPACKED_BYTES", 500_000)
    recording = bounded([packed_snapshot(0, "x" * 1_000_000), packed_snapshot(1, "x" * 400_000)], 1 << 30)
    assert recording.notes == ["1 event that the client packed can't be unpacked."]


def test_attempts_to_unpack_count_as_what_they_may_have_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_MAX_UNPACKED_BYTES", 100_000)
    tried: list[int] = []

    def unpack(text: bytes, most: int) -> bytes:
        tried.append(most)
        return unpack_line(text, most)

    monkeypatch.setattr(session, "unpack_line", unpack)
    bounded([packed_snapshot(at, "x" * 1_000_000) for at in range(100)], 250_000)
    assert tried[:3] == [100_000, 100_000, 50_000]
    assert set(tried[3:]) == {0}


def test_an_event_of_too_many_values_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rrweb, "_MAX_EVENT_MEMORY", 1_000_000)
    many = b'["w1",{"type":2,"timestamp":1,"data":[' + b"{}," * 5_000 + b"0]}]"
    recording = bounded([many, line(event(3, 5, text="x" * 900_000))], 1 << 30)
    assert recording.notes == ["1 event can't be read: left out."]
    assert recording.events == 1


def test_what_comes_after_the_bound_is_left_out() -> None:
    large = [line(event(2, 0, node=NODE)), *(line(event(3, at, text="x" * 1_000)) for at in range(1, 100))]
    recording = bounded(large, 50_000)
    [window] = recording.windows
    assert 40 < len(window.lines) < 50
    assert window.lines == large[: len(window.lines)], "from the beginning, without a gap"
    assert recording.notes == [f"{100 - len(window.lines)} events after the first 48.8KiB of the recording: left out."]


def test_windows_console_and_addresses_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "MAX_WINDOWS", 2)
    monkeypatch.setattr(session, "MAX_LISTED", 3)
    log = {"plugin": "rrweb/console@1", "payload": {"level": "error", "payload": ["no"]}}
    lines = [line(event(3, at), f"w{at}") for at in range(4)]
    lines += [line(event(6, at, **log), "w1") for at in range(5)]
    lines += [line(event(4, at, href=f"http://page/{at}"), "w1") for at in range(5)]
    recording = shown(*lines)
    assert (len(recording.windows), len(recording.console), len(recording.urls)) == (2, 3, 3)
    assert recording.counts["error"] == 5
    assert recording.notes == [
        "2 events of windows after the first 2: left out.",
        "The console lists the first 3 of 5 messages.",
        "Only the first 3 addresses are listed.",
    ]


def test_a_hostile_recording_is_played_within_its_memory() -> None:
    """Thirteen events, which unpack to 200 MB each."""
    script = """
import gzip, json
from pathlib import Path
from recording_worker.formats.batch_file import BatchIndex
from recording_worker.playing.session import recording_of
from recording_worker.reading.batch_files import Block
from recording_worker.storage.local.file import LocalFile
from tests.batch_files import block
from tests.contract.memory_probe import peak

def bomb(at):
    data = gzip.compress(b'{"node":[' + b'{},' * 20_000_000 + b'0]}').decode("latin-1")
    return json.dumps(["w", {"type": 2, "timestamp": at, "cv": "2024-10", "data": data}]).encode()

lines = [bomb(1)] * 13
entry, _ = block([(1, [b'["w",{"timestamp":1}]'])])
recording = recording_of([Block(LocalFile(Path("a")), BatchIndex(1, "b", "zstd", "30d", 1, []), entry)], lines)
assert recording.notes == ["13 events that the client packed can't be unpacked."], recording.notes
print(int(peak()))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 600, "MiB; making the bombs takes some 200"
