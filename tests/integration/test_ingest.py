"""`recording-worker ingest` on real recordings, compared with a plain recomputation of every counter."""

import base64
import json
import os
import re
import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse, urlsplit

import cramjam
import pytest
import zstandard

from recording_worker.formats.timestamps import utc_text
from recording_worker.reading.batch_files import read_index
from recording_worker.storage.local.file import find_files
from tests.builders import NOW_MS, header_texts
from tests.decoders import Line, Outcome, decode_reference, parse_lines
from tests.inputs import event_text, input_of, plain_value
from tests.integration.command import group_members, run, start
from tests.reference import snappy
from tests.sample import SAMPLE, sample_messages
from tests.waiting import wait_for

TOKENS = sorted({header_texts(message.headers)["token"] for message in sample_messages()})
METADATA, LOGS = "clickhouse_session_replay_events", "log_entries"
WARNINGS = "clickhouse_ingestion_warnings"
DLQ, OVERFLOW = "session_recording_snapshot_item_dlq", "session_recording_snapshot_item_overflow"


def ingest(
    out: Path, *arguments: str | Path, teams: tuple[str | Path, ...] = ("--any-token",), poll_messages: int = 500
) -> dict[str, Any]:
    """The summary, as printed; it is also in the folder."""
    result = run(
        "ingest", *arguments, "--out", out, "--json", *teams, RECORDING_WORKER_POLL_MESSAGES=str(poll_messages)
    )
    assert (result.code, result.err) == (0, "")
    summary: dict[str, Any] = json.loads(result.out)
    assert json.loads((out / "summary.json").read_text()) == summary
    ended = sum(sum(summary[kind].values()) for kind in ("dropped", "dlq", "redirected"))
    assert summary["messages"] == summary["ok"] + ended
    return summary


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def topic(out: Path, name: str) -> list[dict[str, Any]]:
    path = out / "topics" / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def stored(url: str) -> bytes:
    """What is in the range a block's URL names."""
    parts = urlsplit(url)
    assert parts.scheme == "file"
    found = re.fullmatch(r"range=bytes=(\d+)-(\d+)", parts.query)
    assert found is not None
    first, last = map(int, found.groups())
    return Path(unquote(parts.path)).read_bytes()[first : last + 1]


def unpack(frame: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(frame)


def sessions_of(rows: tuple[Outcome, ...]) -> dict[str, list[Outcome]]:
    sessions: dict[str, list[Outcome]] = {}
    for row in rows:
        assert row.session_id is not None
        sessions.setdefault(row.session_id, []).append(row)
    return sessions


@pytest.mark.parametrize("unpacked", [True, False])
def test_the_sample_against_a_plain_recomputation(tmp_path: Path, unpacked: bool) -> None:
    out = tmp_path / "out"
    summary = ingest(out, SAMPLE, *([] if unpacked else ["--no-unpack-client-compression"]))
    expected = decode_reference([input_of(message) for message in sample_messages()], unpack=unpacked)
    sessions = sessions_of(expected.rows)
    files = [path for path in (out / "blocks").rglob("*") if path.is_file()]
    assert summary.pop("seconds") > 0
    assert summary == {
        "messages": 82,
        "ok": 82,
        "dropped": {},
        "dlq": {},
        "redirected": {},
        "events": sum(len(row.lines) for row in expected.rows),
        "sessions": len(sessions),
        "blocks": len(sessions),
        "bytes_in": sum(len(message.value or b"") for message in sample_messages()),
        "bytes_uncompressed": expected.uncompressed_bytes,
        "bytes_written": sum(path.stat().st_size for path in files),
    }
    assert summary["events"] == 5834
    metadata = {record["key"]: record["value"] for record in topic(out, METADATA)}
    assert metadata.keys() == sessions.keys()
    for session_id, block in metadata.items():
        counters = expected.blocks[session_id]
        for name in (
            *("distinct_id", "event_count", "message_count", "first_offset", "last_offset", "first_url", "urls"),
            *("click_count", "keypress_count", "mouse_activity_count", "has_full_snapshot"),
            *("snapshot_source", "snapshot_library", "snapshot_mode"),
            *("first_full_snapshot_position", "out_of_order_count", "gap_count"),
        ):
            assert block[name] == getattr(counters, name), name
        assert abs(block["active_milliseconds"] - counters.active_milliseconds) < 1
        assert block["first_timestamp"] == utc_text(counters.first_timestamp)
        playable_from = counters.first_full_snapshot_timestamp
        assert block["first_full_snapshot_timestamp"] == (None if playable_from is None else utc_text(playable_from))
        assert block["last_timestamp"] == utc_text(counters.last_timestamp)
        lines = unpack(stored(block["block_url"]))
        assert block["size"] == len(lines)
        assert parse_lines(lines) == tuple(
            Line(line.window_id, line.event) for row in sessions[session_id] for line in row.lines
        )


def test_console_logs_of_the_sample(tmp_path: Path) -> None:
    ingest(tmp_path / "out", SAMPLE)
    expected = decode_reference([input_of(message) for message in sample_messages()])
    found = Counter(
        (log["key"], log["value"]["level"], log["value"]["message"], log["value"]["timestamp"])
        for log in topic(tmp_path / "out", LOGS)
    )
    wanted: Counter[tuple[str | None, str, str, str]] = Counter()
    counted: Counter[tuple[str | None, str]] = Counter()
    for row in expected.rows:
        first = {(log.level, log.message): log for log in reversed(row.console_logs)}
        wanted.update((row.session_id, log.level, log.message, utc_text(log.timestamp)) for log in first.values())
        counted.update((row.session_id, log.level) for log in row.console_logs)
    assert found == wanted
    assert found.total() > 100
    for record in topic(tmp_path / "out", METADATA):
        block = record["value"]
        for level, name in (("info", "console_log_count"), ("warn", "console_warn_count")):
            assert block[name] == counted[record["key"], level]
        assert block["console_error_count"] == counted[record["key"], "error"]


def test_files_are_partitions_whatever_number_of_workers_reads_them(tmp_path: Path) -> None:
    copies = [tmp_path / name for name in ("a.zst", "b.zst", "empty", "c.zst")]
    for number, copy in enumerate(copies):
        copy.write_bytes(b"" if copy.name == "empty" else SAMPLE.read_bytes() + zstandard.compress(b"") * number)
    summaries = []
    for workers in ("1", "3"):
        out = tmp_path / workers
        summary = ingest(out, *copies, "--workers", workers, "--max-batch-bytes", "2MiB", poll_messages=10)
        blocks = [record["value"] for record in topic(out, METADATA)]
        assert Counter(block["partition"] for block in blocks).keys() == {0, 1, 3}
        assert len(blocks) == summary["blocks"] > 36
        entries = [entry for file in find_files([str(out)]) for entry in read_index(file).blocks]
        assert len({entry.source for entry in entries}) == 3
        assert sum(entry.events for entry in entries) == summary["events"] == 3 * 5834
        assert {offset for entry in entries for offset, _ in entry.messages} == set(range(82))
        summaries.append({name: summary[name] for name in ("messages", "ok", "events", "sessions", "bytes_in")})
    assert summaries[0] == summaries[1]


def test_the_same_files_make_the_same_blocks_every_time(tmp_path: Path) -> None:
    def blocks(name: str) -> list[tuple[Any, ...]]:
        ingest(tmp_path / name, SAMPLE, SAMPLE, "--workers", "2", "--max-batch-bytes", "500KiB", poll_messages=10)
        found = (record["value"] for record in topic(tmp_path / name, METADATA))
        return [(block["session_id"], block["partition"], block["first_offset"], block["size"]) for block in found]

    assert blocks("first") == blocks("second")


def test_teams_and_restrictions_decide(tmp_path: Path) -> None:
    taken, dropped, overflowing, redirected, *_ = TOKENS
    (tmp_path / "teams.toml").write_text(
        f'[[team]]\nid = 7\ntoken = "{taken}"\nretention = "1y"\nconsole_logs = false\n'
    )
    (tmp_path / "restrictions.toml").write_text(
        "".join(
            f'[[restriction]]\ntype = "{kind}"\ntoken = "{token}"\n'
            for kind, token in (
                ("drop_event", dropped),
                ("force_overflow", overflowing),
                ("redirect_to_dlq", redirected),
            )
        )
    )
    out = tmp_path / "out"
    summary = ingest(
        out, SAMPLE, "--restrictions", tmp_path / "restrictions.toml", teams=("--teams", tmp_path / "teams.toml")
    )
    by_token = {
        token: [message for message in sample_messages() if header_texts(message.headers)["token"] == token]
        for token in TOKENS
    }
    unknown = sum(len(by_token[token]) for token in TOKENS[4:])
    assert summary["ok"] == len(by_token[taken])
    assert summary["dropped"] == {
        "event_dropped_by_restriction": len(by_token[dropped]),
        "header_token_present_team_missing_or_disabled": unknown,
    }
    assert summary["redirected"] == {"overflow_forced": len(by_token[overflowing])}
    assert summary["dlq"] == {"redirected_by_restriction": len(by_token[redirected])}
    assert names(out / "blocks") == {"1y"}
    assert {record["value"]["team_id"] for record in topic(out, METADATA)} == {7}
    assert topic(out, LOGS) == []
    for name, token in ((OVERFLOW, overflowing), (DLQ, redirected)):
        records = topic(out, name)
        assert [base64.b64decode(record["value_b64"]) for record in records] == [
            message.value for message in by_token[token]
        ]
        for record, message in zip(records, by_token[token], strict=True):
            assert record["value"] is None
            assert record["key"].encode() == message.key
            own = [[*pair] for pair in header_texts(message.headers).items()]
            assert record["headers"][: len(own)] == own
    why = dict(topic(out, DLQ)[0]["headers"])
    first = by_token[redirected][0]
    assert (why["dlq-reason"], why["dlq-step"]) == ("redirected_by_restriction", "apply_restrictions")
    assert (why["dlq-partition"], why["dlq-offset"]) == ("0", str(first.offset))
    assert why["dlq-timestamp"] == str(first.timestamp_ms)


def test_warnings_carry_the_time_of_their_message(tmp_path: Path) -> None:
    """Not the time of the run. The time between warnings of a kind is the messages' time too."""
    hour = 3_600_000
    times = [NOW_MS - 1000 * hour, NOW_MS - 1000 * hour + 1, NOW_MS - 998 * hour]
    lines = [
        {
            "partition_key": "session-1",
            "timestamp_ms": at,
            "headers": [["token", "token-1"], ["lib_version", "1.64.1"]],
            "value_b64": base64.b64encode(plain_value([event_text(timestamp=str(at))])).decode(),
        }
        for at in times
    ]
    old = tmp_path / "old.jsonl"
    old.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert ingest(tmp_path / "out", old)["ok"] == 3
    warnings = [record["value"] for record in topic(tmp_path / "out", WARNINGS)]
    assert [warning["type"] for warning in warnings] == ["replay_lib_version_too_old"] * 2
    assert [warning["timestamp"] for warning in warnings] == [utc_text(times[0]), utc_text(times[2])]


def test_messages_taken_out_by_the_event_limit_are_dropped(tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary = ingest(out, SAMPLE, "--max-events-per-session-per-batch", "1000")
    events: Counter[str] = Counter()
    messages: Counter[str] = Counter()
    for row in decode_reference([input_of(message) for message in sample_messages()]).rows:
        assert row.session_id is not None
        events[row.session_id] += len(row.lines)
        messages[row.session_id] += 1
    over = {session for session, count in events.items() if count > 1000}
    assert over
    assert summary["dropped"] == {"session_event_limit": sum(messages[session] for session in over)}
    assert summary["events"] == sum(count for session, count in events.items() if session not in over)
    assert {record["key"] for record in topic(out, METADATA)} == events.keys() - over


def test_codec_snappy(tmp_path: Path) -> None:
    summary = ingest(tmp_path / "out", SAMPLE, "--codec", "snappy")
    blocks = [record["value"] for record in topic(tmp_path / "out", METADATA)]
    assert {block["codec"] for block in blocks} == {"snappy"}
    lines = [snappy.decompress(stored(block["block_url"])) for block in blocks]
    assert sum(len(parse_lines(block)) for block in lines) == summary["events"] == 5834
    assert lines == [_as_posthog_reads(block["block_url"]) for block in blocks]
    assert [len(block) for block in lines] == [block["size"] for block in blocks]


def test_compatible_with_posthog(tmp_path: Path) -> None:
    """The keys are what PostHog's reader takes, and all commands read these files as well."""
    summary = ingest(tmp_path / "out", SAMPLE, "--compatibility", "posthog")
    blocks = [record["value"] for record in topic(tmp_path / "out", METADATA)]
    assert {block["codec"] for block in blocks} == {"snappy"}
    for block in blocks:
        key = urlparse(block["block_url"]).path.partition("/out/")[2]
        assert re.fullmatch(r"blocks/(30d|90d|1y|5y)/\d+-[0-9a-f]{16}", key)
        _as_posthog_reads(block["block_url"])
    ingest(tmp_path / "usual", SAMPLE, "--no-unpack-client-compression")
    session = max(blocks, key=lambda block: block["event_count"])["session_id"]
    for command in (("sessions", "--json"), ("export", "--session", session)):
        listed, usual = (run(command[0], tmp_path / folder / "blocks", *command[1:]) for folder in ("out", "usual"))
        assert (listed.code, listed.err) == (usual.code, usual.err) == (0, "")
        assert sorted(listed.out.splitlines()) == sorted(usual.out.splitlines())
    assert len(run("blocks", tmp_path / "out" / "blocks", "--json").out.splitlines()) == summary["sessions"]


def _as_posthog_reads(block_url: str) -> bytes:
    """A block by the way PostHog's readers go: from the query of its URL to the text of its lines."""
    url = urlparse(block_url)
    first, last = map(int, parse_qs(url.query)["range"][0].replace("bytes=", "").split("-"))
    content = Path(url.path).read_bytes()[first : last + 1]
    assert len(content) == last - first + 1
    text = bytes(cramjam.snappy.decompress_raw(content)).decode()
    for row in text.rstrip("\n").split("\n"):
        window_id, event = json.loads(row)
        assert isinstance(window_id, str)
        assert event["timestamp"] > 0
    return text.encode()


def test_with_a_dictionary_trained_on_the_same_pages(tmp_path: Path) -> None:
    """All commands find the dictionary, and what they give is what they give without one."""
    trained = run("dictionary", "train", SAMPLE, "--out", tmp_path / "pages.dict", "--size", "64KiB", "--json")
    assert (trained.code, trained.err) == (0, "")
    how = ("--workers", "2", "--max-batch-bytes", "1MiB")
    plain = ingest(tmp_path / "plain", SAMPLE, SAMPLE, *how, poll_messages=10)
    summary = ingest(
        tmp_path / "out", SAMPLE, SAMPLE, *how, "--zstd-dictionary", tmp_path / "pages.dict", poll_messages=10
    )
    assert summary["bytes_written"] < plain["bytes_written"]
    stored_at = tmp_path / "out" / "blocks" / "dictionaries" / json.loads(trained.out)["id"]
    assert stored_at.read_bytes() == (tmp_path / "pages.dict").read_bytes()
    assert names(stored_at.parent) == {stored_at.name}

    session = topic(tmp_path / "out", METADATA)[0]["key"]
    exported = [run("export", tmp_path / name / "blocks", "--session", session) for name in ("out", "plain")]
    assert [(each.code, each.err) for each in exported] == [(0, "")] * 2
    assert exported[0].out == exported[1].out != ""
    pages = [tmp_path / "out.html", tmp_path / "plain.html"]
    for page in pages:
        played = run("play", tmp_path / page.stem / "blocks", "--session", session, "--html", page)
        assert (played.code, played.err) == (0, "")
    assert pages[0].stat().st_size == pages[1].stat().st_size
    for file in find_files([str(tmp_path / "out")]):
        content = subprocess.run(["zstd", "-D", stored_at, "-dc", file.path], check=True, capture_output=True).stdout
        assert len(content) == sum(entry.size for entry in read_index(file).blocks)

    stored_at.unlink()
    gone = run("export", tmp_path / "out" / "blocks", "--session", session)
    assert (gone.code, gone.out) == (1, "")
    assert f"its blocks need dictionary {stored_at.name}: it is not there ({stored_at}: No such file" in gone.err


def test_empty_files_give_an_empty_recording(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_bytes(b"")
    (tmp_path / "out").mkdir()
    summary = ingest(tmp_path / "out", tmp_path / "empty.jsonl", tmp_path / "empty.jsonl", "--workers", "2")
    assert summary["messages"] == summary["events"] == summary["bytes_written"] == 0
    assert names(tmp_path / "out") == {"blocks", "summary.json", "topics"}


def test_a_table_where_json_is_not_asked_for(tmp_path: Path) -> None:
    result = run("ingest", SAMPLE, "--out", tmp_path / "out", "--any-token")
    assert (result.code, result.err) == (0, "")
    assert re.search(r"events\W+5,834", result.out)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_bad_line_ends_it_and_nothing_is_left(tmp_path: Path, workers: str) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(zstandard.ZstdDecompressor().decompressobj().decompress(SAMPLE.read_bytes()) + b'{"headers": 1}\n')
    result = run("ingest", SAMPLE, bad, "--out", tmp_path / "out", "--any-token", "--workers", workers)
    assert (result.code, result.out) == (1, "")
    assert result.error == f"{bad}:83: partition_key, timestamp_ms, value_b64 missing"
    assert names(tmp_path) == {"bad.jsonl"}


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    cut = tmp_path / "cut.zst"
    cut.write_bytes(SAMPLE.read_bytes()[:-10])
    result = run("ingest", cut, "--out", tmp_path / "out", "--any-token")
    assert (result.code, result.error) == (1, f"{cut}: ends in the middle of its zstd data: the file is cut off")
    assert names(tmp_path) == {"cut.zst"}


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    result = run("ingest", SAMPLE, "--out", tmp_path / "out", "--any-token")
    assert result.code == 2
    assert result.error == f"{tmp_path / 'out'} is not empty: give a folder that is empty or does not exist yet"
    assert names(tmp_path / "out") == {"mine"}


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ended_by_a_signal_it_leaves_nothing(tmp_path: Path, workers: str, number: int, code: int) -> None:
    large = tmp_path / "large.zst"
    large.write_bytes(SAMPLE.read_bytes() * 100)
    how = ("--any-token", "--workers", workers, "--max-batch-bytes", "1MiB")
    process = start("ingest", large, large, "--out", tmp_path / "out", *how)
    with process:

        def writes() -> bool:
            assert process.poll() is None
            return any(path.is_file() for path in tmp_path.rglob("*") if path != large)

        wait_for(writes, "a file that is being written")
        os.killpg(process.pid, number)
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err.strip()) == (code, "")
    assert names(tmp_path) == {"large.zst"}
    wait_for(lambda: not group_members(process.pid), "all of its processes to end", 10)


def test_a_worker_that_is_killed_ends_it(tmp_path: Path) -> None:
    large = tmp_path / "large.zst"
    large.write_bytes(SAMPLE.read_bytes() * 100)
    process = start("ingest", large, large, "--out", tmp_path / "out", "--any-token", "--workers", "2")
    with process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        # two workers and Python's resource tracker
        wait_for(lambda: len(children.read_text().split()) == 3, "the workers")
        os.kill(int(children.read_text().split()[-1]), signal.SIGKILL)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert err == "recording-worker: error: an ingest worker died (exit code -9)\n"
    assert names(tmp_path) == {"large.zst"}
