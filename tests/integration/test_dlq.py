"""`recording-worker dlq` on a real Kafka."""

import base64
import gzip
import json
import os
import pty
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import ConfigResource, ResourceType  # type: ignore[attr-defined]

from recording_worker.formats.dlq_headers import Source, dlq_headers
from recording_worker.formats.timestamps import utc_text
from recording_worker.operations.dlq.audit import Action, AuditRecord
from tests.builders import NOW_MS, headers, value
from tests.integration.command import environment
from tests.integration.dlq_stage import DlqStage
from tests.servers.fixtures import NewTopic
from tests.servers.kafka import KafkaServer

HOUR_MS = 3_600_000


@pytest.fixture
def stage(kafka: KafkaServer, new_topic: NewTopic, tmp_path: Path) -> DlqStage:
    return DlqStage(kafka.bootstrap_servers, new_topic, tmp_path)


def topics(kafka: KafkaServer) -> set[str]:
    return set(kafka.admin().list_topics(timeout=10).topics)


def test_list_counts_the_selected_messages_and_shows_the_newest(stage: DlqStage) -> None:
    stage.letters(3, reason="invalid_json", timestamp_ms=NOW_MS, token="token-1")
    stage.letters(2, reason="no_token_in_header", step="parse_headers", timestamp_ms=NOW_MS + HOUR_MS, token=None)
    stage.letters(2, reason="payload_too_large", timestamp_ms=NOW_MS + 2 * HOUR_MS, session_id="long\x1b[31m")
    stage.letter(b"a stranger", [], timestamp_ms=NOW_MS + 3 * HOUR_MS)
    found = stage.listed()
    assert found["states"] == {"open": 8, "redriven": 0, "dropped": 0, "unknown": 0}
    assert found["counts"] == {"invalid_json": 3, "no_token_in_header": 2, "payload_too_large": 2, "": 1}
    assert [letter["timestamp_ms"] for letter in found["letters"]] == sorted(
        (letter["timestamp_ms"] for letter in found["letters"]), reverse=True
    )
    assert found["letters"][0]["source"] is None
    assert found["letters"][-1] == {
        "place": "0:0",
        "partition": 0,
        "offset": 0,
        "timestamp_ms": NOW_MS,
        "state": "open",
        "reason": "invalid_json",
        "step": "parse_session_recording_message",
        "error": "what is wrong with 0",
        "token": "token-1",
        "session_id": "session-1",
        "source": {"topic": stage.source, "partition": 0, "offset": 0, "timestamp_ms": NOW_MS, "topic_id": ""},
        "size": 1,
        "handled": None,
    }
    assert stage.listed("--by", "session")["counts"] == {"session-1": 5, "long\x1b[31m": 2, "": 1}
    later = utc_text(NOW_MS + HOUR_MS)
    for arguments, numbers in (
        (["--reason", "invalid_json", "--reason", "payload_too_large", "--session", "session-1"], [0, 1, 2]),
        (["--since", later, "--step", "parse_headers", "--step", "else"], [3, 4]),
        (["--until", later, "--token", "token-1"], [0, 1, 2]),
        (["--since", utc_text(NOW_MS + 9 * HOUR_MS)], []),
        (["--source-topic", stage.source, "--source-partition", "1", "--source-offset", "2-5"], [3, 5]),
        (["--source-offset", "2"], [2]),
    ):
        assert stage.numbers(*arguments) == numbers, arguments

    text = stage.done("list", "--limit", "3")
    assert "the newest 3 of 8 messages (8 open)" in text
    assert re.search(r"^ ?invalid_json +3 *$", text, re.MULTILINE)
    assert "long\\x1b[31m" in text, "no control characters reach the terminal"
    assert "0 messages (nothing there)" in stage.done("list", "--token", "another")


def test_show_prints_everything_about_a_message(stage: DlqStage, tmp_path: Path) -> None:
    why = dlq_headers(Source(stage.source, 1, 7, NOW_MS), reason="r", step="s", error="e\x1b[31m")
    packed = gzip.compress(value(session_id="shown"))
    stage.letter(packed, [*headers(), ("odd", b"\xff\x07"), *why], timestamp_ms=NOW_MS)
    stage.letter(b"\x1f\x8b broken", [*headers(content_encoding="-"), *why])
    stage.letter(None, [], key=None)
    text = stage.done("show", "0:0")
    for line in (
        f"place   0:0, sent there {utc_text(NOW_MS)} UTC",
        "state   open",
        f"from    {stage.source}/1 at 7, sent {utc_text(NOW_MS)} UTC",
        "error   e\\x1b[31m",
        "  odd: \\xff\\x07",
        f"value   {len(packed):,} bytes, gzip, unpacked {len(value(session_id='shown')):,}",
        '      "$session_id": "shown",',
    ):
        assert line in text.splitlines()
    found = json.loads(stage.done("show", "0:0", "--json"))
    assert json.loads(found["value"])["data"]["event"] == "$snapshot_items"
    assert (found["key"], found["encoding"], found["value_b64"], found["problem"]) == ("session-1", "gzip", None, None)
    assert found["headers"][-1] == ["odd", "\\xff\x07"]

    copy = tmp_path / "value"
    text = stage.done("show", "0:1", "--value-to", str(copy))
    assert copy.read_bytes() == b"\x1f\x8b broken"
    assert "it can't be decompressed" in text
    assert "1f 8b 20 62 72 6f 6b 65 6e" in text
    found = json.loads(stage.done("show", "0:1", "--json"))
    assert base64.b64decode(found["value_b64"]) == b"\x1f\x8b broken"
    assert found["value"] is None
    assert "value   none" in stage.done("show", "0:2")
    for place, error in (("0:3", "there is no message at 0:3"), ("7:0", "has no partition 7"), ("x", "is not a place")):
        failed = stage.run("show", place)
        assert (failed.code, error in failed.err) == (2, True), failed


def test_a_redriven_message_is_unchanged_and_is_sent_once(stage: DlqStage) -> None:
    own = [("token", b"t"), ("odd", b"\xff"), ("token", b"again"), ("empty", b"")]
    messages = [(1, 7, None, b"\xffbroken"), (0, 7, b"k", None), (1, 8, b"k", b"")]
    for partition, offset, key, content in messages:
        # a rewound group leaves several letters of a message, alike, and which partition is read first is open
        why = dlq_headers(Source(stage.source, partition, offset, NOW_MS), reason="r", step="s", error="e")
        stage.letter(content, [*own, *why], 0, key=key)
        stage.letter(content, [*own, *why], 0, key=key)
        stage.letter(content, [*own, *why, *why], 1, key=key, timestamp_ms=NOW_MS)
    before = round(time.time() * 1000)
    assert "3 messages redriven; 6 more of the same messages left out" in stage.done("redrive")
    found = stage.read(stage.source)
    assert [(message.partition(), message.key(), message.value(), message.headers()) for message in found] == [
        (0, b"k", None, own),
        (1, None, b"\xffbroken", own),
        (1, b"k", b"", own),
    ]
    assert all(message.timestamp()[1] >= before for message in found)
    assert "0 messages redriven; 9 redriven before" in stage.done("redrive")
    assert len(stage.read(stage.source)) == 3


def test_each_action_leaves_an_audit_record(stage: DlqStage, kafka: KafkaServer) -> None:
    stage.letters(2, token="token-1")
    before = round(time.time() * 1000)
    assert "redriven: 0:0 (invalid_json) from" in stage.done("redrive", "0:0")
    assert "dropped: 1:0 (invalid_json) from" in stage.done("drop", "1:0", "--yes")
    redriven, dropped = stage.audited()
    assert before <= redriven.pop("at_ms") <= dropped.pop("at_ms") <= time.time() * 1000
    user, _, host = redriven.pop("by").partition("@")
    assert (user, host) == tuple(dropped.pop("by").split("@"))
    assert user
    assert host == os.uname().nodename
    common = {"dlq_topic": stage.dlq, "reason": "invalid_json", "token": "token-1", "source_topic": stage.source}
    places = (
        "dlq_partition",
        "dlq_offset",
        "source_partition",
        "source_offset",
        "to_topic",
        "to_partition",
        "to_offset",
    )
    assert redriven == common | {
        "action": "redrive",
        "identity": f"{stage.source} 0:0 {NOW_MS}",
        **dict(zip(places, (0, 0, 0, 0, stage.source, 0, 0), strict=True)),
    }
    assert dropped == common | {
        "action": "drop",
        "identity": f"{stage.source} 1:1 {NOW_MS}",
        **dict(zip(places, (1, 0, 1, 1, None, None, None), strict=True)),
    }
    assert stage.listed()["states"] == {"open": 0, "redriven": 1, "dropped": 1, "unknown": 0}
    assert stage.numbers() == []
    assert stage.numbers("--all") == [0, 1]
    assert {letter["state"] for letter in stage.listed("--all")["letters"]} == {"redriven", "dropped"}
    assert f"redriven to {stage.source}/0 at 0 " in stage.done("show", "0:0")
    # all of it is kept for ever
    config = {"retention.ms": "-1", "cleanup.policy": "delete"}
    assert kafka_config(kafka, stage.audit, *config) == config


def kafka_config(kafka: KafkaServer, topic: str, *names: str) -> dict[str, str]:
    admin = kafka.admin()
    [asked] = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
    entries = asked.result(30)
    return {name: entries[name].value for name in names}


def test_messages_that_do_not_match_can_be_redriven_later(stage: DlqStage) -> None:
    stage.letters(5, reason="invalid_json")
    stage.letters(5, reason="payload_too_large", token="token-2")
    stage.letters(5, reason="invalid_json", token="token-2")
    assert "5 messages redriven" in stage.done("redrive", "--reason", "invalid_json", "--token", "token-2")
    assert stage.sent_back() == dict.fromkeys(range(10, 15), 1)
    assert "2 messages redriven" in stage.done("redrive", "0:0", "1:3")
    assert stage.sent_back() == dict.fromkeys([0, 7, *range(10, 15)], 1)
    assert stage.numbers() == [1, 2, 3, 4, 5, 6, 8, 9]
    assert "1 message redriven; 1 redriven before" in stage.done("redrive", "0:0", "1:0")
    assert "7 messages redriven; 8 redriven before" in stage.done("redrive")
    assert stage.sent_back() == dict.fromkeys(range(15), 1)
    failed = stage.run("redrive", "0:99", "1:0")
    assert (failed.code, failed.error) == (1, f"there is no message at 0:99 of {stage.dlq}")


def test_a_dry_run_does_nothing(stage: DlqStage, kafka: KafkaServer) -> None:
    stage.letters(5)
    text = stage.done("redrive", "--dry-run", "--limit", "3")
    assert f"would be redriven: 0:0 (invalid_json) from {stage.source}/0 at 0 to {stage.source}/0\n" in text
    assert text.endswith("3 messages would be redriven\n")
    assert stage.done("drop", "--dry-run").endswith("5 messages would be dropped\n")
    assert stage.audit not in topics(kafka)
    assert stage.sent_back() == {}
    assert stage.numbers() == [0, 1, 2, 3, 4]


def test_a_limit_and_a_rate_are_kept(stage: DlqStage) -> None:
    stage.letters(16)
    assert stage.done("redrive", "--limit", "3").count("\nredriven: ") == 2
    assert sum(stage.sent_back().values()) == 3
    assert "11 messages redriven" in stage.done("redrive", "--limit", "11", "--rate", "5")
    sent = sorted(message.timestamp()[1] for message in stage.read(stage.source))[3:]
    assert len(sent) == 11
    assert 1900 <= sent[-1] - sent[0] < 8000
    assert min(after - before for before, after in zip(sent, sent[4:], strict=False)) > 500, "evenly"
    assert "2 messages redriven" in stage.done("redrive")
    assert stage.sent_back() == dict.fromkeys(range(16), 1)


def test_dropped_letters_are_not_redriven_and_drop_asks_first(stage: DlqStage) -> None:
    stage.letters(6)
    refused = stage.run("drop", "--source-partition", "1")
    assert (refused.code, refused.error) == (2, "nothing is dropped: nobody can be asked here, so say --yes")
    assert answered(stage, "n") == 130
    assert stage.numbers() == list(range(6))
    assert answered(stage, "y") == 0
    assert stage.numbers() == [0, 2, 4]
    assert "1 message dropped" in stage.done("drop", "--limit", "1", "--yes")
    assert "2 messages redriven; 4 dropped before" in stage.done("redrive")
    assert stage.sent_back() == {2: 1, 4: 1}
    assert Counter(record["action"] for record in stage.audited()) == {"drop": 4, "redrive": 2}


def answered(stage: DlqStage, answer: str) -> int:
    """Answer a drop's question on a terminal; return the exit code."""
    ours, theirs = pty.openpty()
    command = ["dlq", "drop", "--config", str(stage.config), "--source-partition", "1"]
    with subprocess.Popen(
        [sys.executable, "-m", "recording_worker", *command],
        env=environment(),
        stdin=theirs,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        os.write(ours, f"{answer}\n".encode())
        out, _ = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert "3 messages would be dropped" in out
    assert ("3 messages dropped" in out) == (answer == "y")
    return process.returncode


def test_what_posthogs_consumer_put_there_is_sent_back_as_it_came(stage: DlqStage) -> None:
    why = {"dlq_reason": "no_team", "dlq_step": "s", "dlq_topic": stage.source, "dlq_partition": "1", "dlq_offset": "9"}
    stage.letter(b"5", [*headers(), *((name, text.encode()) for name, text in why.items())])
    stage.letters(1)
    assert "no_team" in stage.done("list")
    assert "1 message redriven" in stage.done("redrive", "--reason", "no_team")
    assert stage.sent_back() == {5: 1}
    [sent] = stage.read(stage.source)
    assert [name for name, _ in sent.headers() if name.startswith("dlq")] == []


def test_a_message_that_can_not_be_sent_back_stays(stage: DlqStage, new_topic: NewTopic) -> None:
    small = new_topic(1, max_message_bytes=1000)
    stage.letters(2)
    stage.letters(1, source="no-such-topic")
    stage.letter(os.urandom(5000), [*headers(), *dlq_headers(Source(stage.source, 0, 9), reason="", step="", error="")])
    stage.letters(2)
    stage.letter(b"77", headers())
    failed = stage.run("redrive", "--reason", "invalid_json")
    assert failed.code == 1
    assert failed.error == "1 message could not be redriven"
    assert (
        "4 messages redriven; 1 left: there is no topic no-such-topic (--to-topic sends them elsewhere)" in failed.out
    )
    assert stage.sent_back() == {0: 1, 1: 1, 3: 1, 4: 1}

    failed = stage.run("redrive", "--to-topic", small)
    assert failed.code == 1
    assert f"2 messages redriven; 4 redriven before; 1 left: topic {small} takes none so large" in failed.out
    assert stage.sent_back(small) == {2: 1, 77: 1}
    assert "1 message redriven; 6 redriven before" in stage.done("redrive")
    assert len(stage.read(stage.source)) == 5
    stage.letter(b"78", headers())
    failed = stage.run("redrive")
    assert "1 left: they don't say where they came from (--to-topic sends them somewhere)" in failed.out


def test_letters_older_than_the_audit_topic_are_not_sent_again(stage: DlqStage, kafka: KafkaServer) -> None:
    now = round(time.time() * 1000)
    for number, hours in enumerate((4, 4, 0, 0)):  # in the source, and on the DLQ, as many hours ago
        came = now - hours * HOUR_MS
        why = dlq_headers(Source(stage.source, 0, number, came), reason="", step="", error="")
        stage.letter(b"%d" % number, [*headers(), *why], timestamp_ms=came + number)
    late = dlq_headers(Source(stage.source, 0, 4, now - 4 * HOUR_MS), reason="", step="", error="")
    stage.letter(b"4", [*headers(), *late], timestamp_ms=now)  # maybe a second letter, of after a rewind
    kafka.create_topic(stage.audit)
    for number, hours in ((0, 3), (1, 2)):
        identity = f"{stage.source} 0:{number} {now - 4 * HOUR_MS}"
        record = AuditRecord(Action.REDRIVE, "me@here", 0, identity, stage.dlq, 0, number, "", "")
        stage.produce(stage.audit, record.json(), timestamp_ms=now - hours * HOUR_MS)
    admin = kafka.admin()
    [asked] = admin.delete_records([TopicPartition(stage.audit, 0, 1)]).values()
    asked.result(30)
    assert stage.listed()["states"] == {"open": 2, "redriven": 1, "dropped": 0, "unknown": 2}
    failed = stage.run("redrive")
    assert failed.code == 1
    assert "2 messages redriven; 1 redriven before; 2 left: nobody knows whether they were redriven" in failed.out
    assert f"note: topic {stage.audit} no longer holds anything from before" in failed.out
    assert stage.sent_back() == {2: 1, 3: 1}
    assert "2 messages dropped; 3 redriven before" in stage.done("drop", "--yes")


def test_a_foreign_record_on_the_audit_topic_is_an_error(stage: DlqStage, kafka: KafkaServer) -> None:
    stage.letters(1)
    kafka.create_topic(stage.audit)
    stage.produce(stage.audit, b"{}")
    failed = stage.run("redrive")
    assert failed.code == 2
    assert "was not written by a dlq command" in failed.error
    assert stage.sent_back() == {}


def test_open_transactions_are_reported(stage: DlqStage, kafka: KafkaServer) -> None:
    stage.letters(1)
    kafka.create_topic(stage.audit)
    other = Producer({"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": stage.dlq})
    other.init_transactions(30)
    other.begin_transaction()
    other.produce(stage.dlq, b"x", partition=0)
    assert other.flush(30) == 0
    text = stage.done("list")
    assert "1 message (1 open)" in text
    note = f"note: partition 0 of {stage.dlq} has an open transaction at offset 1: what comes after was not read"
    assert note in text.splitlines()
    other.produce(stage.audit, b"x", partition=0)
    assert other.flush(30) == 0
    failed = stage.run("list")
    open_on_audit = f"a transaction is open on topic {stage.audit}; try again once it has ended"
    assert (failed.code, failed.error) == (2, open_on_audit)
    other.abort_transaction(30)
    assert "1 message (1 open)" in stage.done("list")


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (["redrive", "--source-offset", "soon"], 2, "--source-offset soon: must be an offset"),
        (["list", "--since", "yesterday"], 2, "--since yesterday: must be a time such as"),
        (["list", "--dlq-topic", "nowhere"], 2, "there is no topic nowhere (dlq_topic)"),
        (["drop", "0-1"], 2, "'0-1' is not a place on the DLQ"),
    ],
)
def test_wrong_arguments_are_reported_in_one_line(stage: DlqStage, arguments: list[str], code: int, error: str) -> None:
    failed = stage.run(*arguments)
    assert failed.code == code
    assert error in failed.error
