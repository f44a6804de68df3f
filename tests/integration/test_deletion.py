"""`delete`: with a real Kafka, PostgreSQL and Redis, from the key of a session to the certificate."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition

from recording_worker.formats.dlq_headers import Source, dlq_headers
from recording_worker.reading.batch_files import read_index
from recording_worker.storage.local.file import LocalFile, find_files
from tests.batch_files import block_url
from tests.builders import NOW_MS, event, headers, value
from tests.integration.committed import committed_records
from tests.integration.deletion_stage import Ingested, Stage
from tests.integration.service import Service, Traffic, recorded
from tests.integration.test_encryption import MARKER, SESSIONS
from tests.unit.command import Done, run
from tests.waiting import wait_for


@pytest.fixture
def stage(deletion_stage: Stage) -> Stage:
    return deletion_stage


def test_a_session_is_deleted_and_certified_and_the_others_stay(stage: Stage, tmp_path: Path) -> None:
    done = stage.delete_session("two", "--certificate", tmp_path / "certificate.json")
    assert (done.code, done.err) == (0, "")
    certificate = json.loads(done.out)
    assert json.loads((tmp_path / "certificate.json").read_text()) == certificate
    assert (tmp_path / "certificate.json").stat().st_mode & 0o777 == 0o600
    assert (certificate["complete"], certificate["incomplete"], certificate["by"]) == (True, [], "ann@example.com")
    [session] = certificate["sessions"]
    assert (session["team_id"], session["session_id"], session["key"]) == (stage.team_id, "two", "destroyed")
    [block] = session["blocks"]
    assert (block["result"], block["why"]) == ("unreadable", "")
    assert block["file_expires_at"].startswith("20")
    assert MARKER not in done.out, "who it was stands on no certificate"

    assert not stage.has_key("two")
    assert stage.cached() == {"one", "three"}
    [mark] = stage.marks()
    assert (mark["session_id"], mark["team_id"], mark["block_url"]) == ("two", stage.team_id, None)
    assert mark["retention_period_days"] == 30
    assert stage.recordings.export("two").code == 1
    assert stage.recordings.export("one").code == 0

    places = {place["place"]: place for place in certificate["places"]}
    source = places[f"topic {stage.source} (topic)"]
    assert source["until"] is not None
    assert source["why"] == "retention.ms 86400000 and segment.ms 3600000 of the topic"
    assert source["clear"].startswith("kafka-delete-records --bootstrap-server ")
    assert not any("not-there" in name for name in places), "a topic that does not exist holds nothing"
    assert "'two'" in places["table log_entries of ClickHouse, if there is one"]["clear"]
    assert all(place["clear"] and place["why"] for place in places.values())


def test_to_delete_again_changes_nothing_and_certifies_the_first_deletion(stage: Stage) -> None:
    first = json.loads(stage.delete_session("one").out)
    stage.cache("one")
    again = stage.delete_session("one", by="bob")
    assert again.code == 0
    certificate = json.loads(again.out)
    assert (certificate["by"], certificate["sessions"][0]["deleted_by"]) == ("bob", "ann@example.com")
    assert certificate["sessions"][0]["key"] == "destroyed before"
    assert certificate["sessions"][0]["deleted_at"] == first["sessions"][0]["deleted_at"]
    assert certificate["sessions"][0]["blocks"] == first["sessions"][0]["blocks"]
    assert len(stage.marks()) == 1
    assert "one" not in stage.cached()


def test_a_deletion_that_fails_anywhere_is_finished_by_the_next_one(stage: Stage) -> None:
    stage.write(bootstrap_servers="127.0.0.1:1")
    assert stage.delete_session("one").code == 3
    assert stage.has_key("one"), "nothing is destroyed if the rest can't be done"
    stage.write(bootstrap_servers=stage.kafka.bootstrap_servers)
    stage.redis.stop()
    failed = stage.delete_session("one")
    assert (failed.code, failed.out) == (1, "")
    assert "keys_redis can't be used" in failed.err
    assert not stage.has_key("one"), "the key goes first"
    assert stage.marks() == []
    stage.redis.start()
    stage.cache("one")
    done = stage.delete_session("one")
    assert (done.code, json.loads(done.out)["sessions"][0]["key"]) == (0, "destroyed before")
    assert len(stage.marks()) == 1
    assert stage.cached() == set()


def test_what_is_stored_in_the_clear_makes_a_deletion_incomplete_until_it_is_erased(
    stage: Stage, ingested: Ingested
) -> None:
    moved = ingested.put_clear_file()
    before = read_index(LocalFile(moved))
    quick = stage.delete_session("one")
    assert quick.code == 0, "no metadata leads to it"
    done = stage.delete_session("one", "--scan-storage")
    assert done.code == 1
    certificate = json.loads(done.out)
    assert certificate["complete"] is False
    [problem] = certificate["incomplete"]
    assert problem.startswith(
        f"session one of team {stage.team_id}: 1 block stored in the clear, which anybody can read"
    )

    def results(done: Done) -> dict[str, str]:
        [session] = json.loads(done.out)["sessions"]
        return {block["file"]: block["result"] for block in session["blocks"]}

    found = results(done)
    assert found == {str(moved): "in the clear", **dict.fromkeys(found.keys() - {str(moved)}, "unreadable")}
    # a record that claims a block of another session erases nothing of it
    other = next(entry for entry in before.blocks if entry.session_id == "two")
    stage.send([dict(stage.values[0], session_id="one", block_url=block_url(moved.as_uri(), other))])
    erased = stage.delete_session("one", "--scan-storage", "--rewrite")
    assert erased.code == 1, "what is claimed is still there"
    assert sorted(block["result"] for block in json.loads(erased.out)["sessions"][0]["blocks"]) == [
        "erased",
        "in the clear",
        "unreadable",
    ]
    after = read_index(LocalFile(moved))
    assert [(entry.start, entry.length, entry.session_id) for entry in after.blocks] == [
        (entry.start, entry.length, entry.session_id) for entry in before.blocks
    ]
    assert {entry.session_id: entry.encryption for entry in after.blocks} == {
        "one": "erased",
        "two": None,
        "three": None,
    }
    read = run("export", moved, "--session", "two")
    assert (read.code, read.out.count(MARKER)) == (0, 4)
    gone = run("export", moved, "--session", "one")
    assert (gone.code, "was deleted: the block is erased" in gone.err) == (1, True)


def test_sessions_are_erased_without_a_key_store(stage: Stage, ingested: Ingested, tmp_path: Path) -> None:
    (tmp_path / "30d").mkdir()
    shutil.copy(ingested.clear, tmp_path / "30d")
    stage.write(storage_dir=str(tmp_path), bootstrap_servers=stage.kafka.bootstrap_servers)
    given = ("delete", "--config", stage.config, "--team", stage.team_id, "--session", "one", "--by", "ann", "--yes")
    assert "no key store" in run(*given).err
    done = run(*given, "--scan-storage", "--rewrite", "--json")
    assert done.code == 1, "the metadata leads to a block elsewhere"
    certificate = json.loads(done.out)
    assert sorted(block["result"] for block in certificate["sessions"][0]["blocks"]) == ["erased", "not tried"]
    assert "files that are still to come" in {place["place"] for place in certificate["places"]}


def test_blocks_that_cannot_be_tried_make_a_deletion_incomplete(stage: Stage) -> None:
    elsewhere = dict(stage.values[0], block_url="s3://bucket/30d/x?range=bytes=0-9", session_id="one")
    stage.send([elsewhere, dict(elsewhere, block_url="no URL"), {"session_id": 5}])
    (file,) = find_files([str(stage.recordings.out / "blocks")])
    done = stage.delete_session("one")
    assert done.code == 1
    certificate = json.loads(done.out)
    assert sorted(block["result"] for block in certificate["sessions"][0]["blocks"]) == [
        "not tried",
        "not tried",
        "unreadable",
    ]
    assert len(certificate["incomplete"]) == 2
    Path(file.name).unlink()
    [*_, gone] = json.loads(stage.delete_session("two").out)["sessions"][0]["blocks"]
    assert gone["result"] == "gone"


def test_many_sessions_are_deleted_by_a_file_and_by_a_person(stage: Stage, tmp_path: Path) -> None:
    sessions = tmp_path / "sessions.txt"
    sessions.write_text(f"# these\n{stage.team_id} one\n\n{stage.team_id} never recorded\n")
    assert stage.delete(
        "--from", sessions, "--team", str(stage.team_id), "--distinct-id", "nobody", "--dry-run"
    ).out == (
        f"session never recorded of team {stage.team_id}: 0 blocks; it has no key\n"
        f"session one of team {stage.team_id}: 1 block; it has a key\n"
        "2 sessions to delete\n"
    )
    assert stage.has_key("one")
    refused = stage.delete("--from", sessions)
    assert refused.code == 2
    assert "nothing is deleted: nobody can be asked here, so say --yes" in refused.err
    done = stage.delete("--from", sessions, "--yes")
    assert done.code == 0
    assert "nothing was known of it: is the id right?" in done.out
    assert "complete: nothing of 2 sessions can be read from the batch files" in done.out
    again = json.loads(stage.delete("--from", sessions, "--yes", "--json").out)
    assert [each["key"] for each in again["sessions"]] == ["destroyed before"] * 2
    unknown = json.loads(stage.delete_session("never recorded either").out)
    assert [each["known"] for each in again["sessions"] + unknown["sessions"]] == [True, True, False]

    person = stage.delete("--team", str(stage.team_id), "--distinct-id", MARKER, "--yes", "--json")
    assert person.code == 0
    assert [each["session_id"] for each in json.loads(person.out)["sessions"]] == sorted(SESSIONS)
    assert stage.cached() == set()
    assert stage.recordings.ingest(tmp_path / "again")["dropped"] == {"session_deleted": 6}


def test_what_names_no_session_deletes_nothing(stage: Stage, tmp_path: Path) -> None:
    sessions = tmp_path / "sessions.txt"
    for text in ("one\n", "two one\n"):
        sessions.write_text(text)
        assert "line 1: must be TEAM SESSION" in stage.delete("--from", sessions, "--yes").err
    sessions.write_text(f"{stage.team_id}\tone\r\n{stage.team_id}  two words \n")
    assert stage.delete("--from", sessions, "--dry-run").out == (
        f"session one of team {stage.team_id}: 1 block; it has a key\n"
        f"session two words of team {stage.team_id}: 0 blocks; it has no key\n"
        "2 sessions to delete\n"
    )
    nobody = stage.delete("--team", str(stage.team_id), "--distinct-id", "nobody", "--yes")
    assert (nobody.code, nobody.out) == (1, "")
    assert "nothing to delete: no session of these people is known" in nobody.err
    assert "--session: is empty" in stage.delete_session("").err
    assert stage.delete("--team", "0", "--session", "one", "--yes").code == 2
    nowhere = stage.delete_session("one", "--certificate", tmp_path / "nowhere" / "certificate.json")
    assert nowhere.code == 2
    assert f"certificate.json: there is no folder {tmp_path / 'nowhere'}" in nowhere.err
    assert stage.has_key("one")
    assert stage.marks() == []


def test_old_metadata_that_is_gone_makes_a_deletion_incomplete_unless_the_files_are_scanned(stage: Stage) -> None:
    admin = stage.kafka.admin()
    [cut] = admin.delete_records([TopicPartition(stage.metadata, 0, 3)]).values()
    cut.result(30)
    done = stage.delete_session("one")
    assert done.code == 1
    [problem] = json.loads(done.out)["incomplete"]
    assert problem.endswith("look for older blocks in the files themselves (--scan-storage)")
    scanned = json.loads(stage.delete_session("one", "--scan-storage").out)
    assert (scanned["complete"], len(scanned["sessions"][0]["blocks"])) == (True, 1)


DROPPED = '{disposition="drop",reason="session_deleted"}'


def put_in_dlq(servers: str, dlq: str, source: str, *session_ids: str) -> None:
    """Put a message of each of these sessions in the DLQ. It can be read now."""
    producer = Producer({"bootstrap.servers": servers})
    for number, session_id in enumerate(session_ids):
        why = dlq_headers(Source(source, 0, number, NOW_MS), reason="invalid_json", step="", error="")
        content = value([event(int(time.time() * 1000), type=5, number=-1)], session_id=session_id)
        producer.produce(dlq, content, key=session_id.encode(), headers=[*headers(session_id=session_id), *why])
    assert producer.flush(30) == 0


def test_a_session_that_is_deleted_while_it_is_recorded_is_not_recorded_again(
    stage: Stage, new_topic: Callable[..., str], group: str, tmp_path: Path
) -> None:
    """What comes later is dropped, and what comes again after `rewind` and `dlq redrive`; other sessions are recorded.

    What was typed into the pages is nowhere but on the source topic.
    """
    names = ("metadata_topic", "console_logs_topic", "warnings_topic", "overflow_topic", "dlq_topic")
    topics = {name: new_topic() for name in names}
    source = new_topic(2)
    servers, options = stage.kafka.bootstrap_servers, stage.recordings.key_settings
    keys = {
        name.removeprefix("--").replace("-", "_"): value
        for name, value in zip(options[::2], options[1::2], strict=True)
    }
    given: dict[str, Any] = {**topics, **keys, "topic": source, "group_id": group, "delivery": "exactly_once"}
    given |= {"workers": 1, "key_check_interval": 0.2}

    def blocks_of(session_id: str) -> int:
        values = [json.loads(record.value()) for record in committed_records(servers, topics["metadata_topic"])]
        return sum(value["session_id"] == session_id and value["block_url"] is not None for value in values)

    def dropped() -> float:
        return service.metric("messages_total").get(DROPPED, 0)

    def drops_all_of_it() -> bool:
        before = dropped()
        traffic.send(40, text=MARKER)
        traffic.wait_until_committed(service)
        return dropped() == before + 10

    traffic = Traffic(servers, 2, topic=source, group=group)
    traffic.sessions = 4
    service = Service(tmp_path, servers, **given)
    try:
        service.wait_until_ready()
        traffic.send(40, text=MARKER)
        traffic.wait_until_committed(service)
        [first, *_] = committed_records(servers, topics["metadata_topic"])
        team_id = json.loads(first.value())["team_id"]
        delete = ("delete", "--config", tmp_path / "host.toml", "--team", team_id, "--by", "ann", "--yes")
        done = run(*delete, "--session", "session-1")
        assert done.code == 0, done.out + done.err
        wait_for(drops_all_of_it, "the worker to know of the deletion")
        assert service.stop() == 0
        at_end, of_another = blocks_of("session-1"), blocks_of("session-2")
        assert run("rewind", "--config", tmp_path / "host.toml", "--to", "0").code == 0
        service = Service(tmp_path, servers, "again", **given)
        traffic.wait_until_committed(service)
        wait_for(lambda: dropped() == traffic.sent // 4, "each message of the session to be dropped and counted")

        again, of_another = dropped(), blocks_of("session-2")
        put_in_dlq(servers, topics["dlq_topic"], source, "session-1", "session-1", "session-2")
        audit = ("--dlq-audit-topic", new_topic())
        redriven = run("dlq", "redrive", "--config", tmp_path / "host.toml", *audit)
        assert (redriven.code, redriven.out.splitlines()[-1]) == (0, "3 messages redriven"), redriven
        wait_for(lambda: dropped() == again + 2, "the redriven messages of the session to be dropped and counted")
        assert service.stop() == 0
    finally:
        service.kill()
        traffic.close()
    assert blocks_of("session-1") == at_end
    assert blocks_of("session-2") > of_another
    certified = run(*delete, "--session", "session-1", "--scan-storage")
    assert certified.code == 0, certified.out

    assert recorded(service.storage) == {}, "nothing in the files can be decompressed"
    records = [record for topic in topics.values() for record in committed_records(servers, topic)]
    seen = [done.out, certified.out, *(record.value().decode() for record in records)]
    seen += [path.read_text() for path in tmp_path.glob("*.log")]
    assert not [text for text in seen if MARKER in text]
