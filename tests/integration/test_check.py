"""`recording-worker check` with real servers: all that is wrong in one answer."""

import json
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclOperation,
    AclPermissionType,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)
from pydantic import SecretStr

from recording_worker.keys.postgres import PostgresKeys
from recording_worker.operations.check.finding import Verdict
from recording_worker.operations.check.run import run_checks
from recording_worker.operations.check.storage import storage_check
from tests.integration.command import Result, run
from tests.integration.service import toml_text
from tests.integration.test_key_stores import master_file
from tests.servers.child import answered
from tests.servers.kafka import KafkaServer
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
from tests.servers.s3 import Bucket
from tests.waiting import wait_for

OUTPUTS = ("metadata_topic", "console_logs_topic", "warnings_topic", "dlq_topic", "overflow_topic")


def check(folder: Path, servers: str, *arguments: str, **settings: Any) -> tuple[Result, dict[str, list[str]]]:
    """Run the command. Return also subject → what was found, each with its verdict."""
    config = folder / "check.toml"
    defaults = {"bootstrap_servers": servers, "any_token": True, "storage_dir": str(folder / "storage"), "ops_port": 0}
    config.write_text(toml_text({name: value for name, value in (defaults | settings).items() if value is not None}))
    done = run("check", "--config", config, "--json", *arguments)
    found: dict[str, list[str]] = {}
    for finding in json.loads(done.out)["findings"]:
        found.setdefault(finding["subject"], []).append(f"{finding['verdict']}: {finding['text']}")
    return done, found


def named(prefix: str) -> dict[str, str]:
    return {name: f"{prefix}-{name}" for name in ("topic", *OUTPUTS)} | {"group_id": f"{prefix}-group"}


def test_everything_that_is_away_is_named_at_once_and_soon(tmp_path: Path) -> None:
    done, found = check(
        tmp_path,
        "127.0.0.1:1",
        any_token=False,
        teams_postgres="postgresql://user:hunter2@127.0.0.1:1/x",
        restrictions=str(tmp_path / "none.toml"),
        restrictions_redis="redis://:hunter2@127.0.0.1:1/0",
        sessions_redis="redis://:hunter2@127.0.0.1:1/0",
        storage_dir="/proc/nowhere",
        delivery="exactly_once",
        key_store="postgres",
        keys_postgres="postgresql://user:hunter2@127.0.0.1:1/x",
        keys_master_file=str(master_file(tmp_path, b"m" * 32)),
    )
    assert done.code == 2
    assert {subject: found[subject][0].partition(":")[0] for subject in found} == {
        "settings": "ok",
        "teams": "problem",
        "restrictions": "problem",
        "restrictions_redis": "problem",
        "sessions_redis": "warning",
        "key_store": "problem",
        "storage": "problem",
        "kafka": "problem",
        "ops server": "ok",
        "temporary folder": "ok",
    }
    assert "hunter2" not in done.out + done.err


def test_topics_are_created_and_then_all_is_well(
    kafka: KafkaServer, tmp_path: Path, redis_server: RedisServer, postgres: PostgresServer
) -> None:
    postgres.add_team(1, "token-1")
    settings = {
        **named("made"),
        "any_token": False,
        "teams_postgres": postgres.url,
        "restrictions_redis": redis_server.url,
        "sessions_redis": redis_server.url,
        "key_store": "postgres",
        "keys_postgres": postgres.url,
        "keys_master_file": str(master_file(tmp_path, b"m" * 32)),
    }
    postgres.execute("DROP TABLE IF EXISTS session_recording_keys")
    done, found = check(tmp_path, kafka.bootstrap_servers, **settings)
    assert done.code == 3
    assert found["key_store"][0].startswith("problem: the key store can't be used: keys_postgres has no table")
    store = PostgresKeys(SecretStr(postgres.url), master_file(tmp_path, b"m" * 32))
    store.create_table()
    store.close()
    assert found["topic"] == ["problem: topic made-topic can't be read: Broker: Unknown topic or partition"]
    options = ("--create-topics", "--partitions", "3", "--topic-config", "dlq_topic:retention.ms=600000")
    done, found = check(tmp_path, kafka.bootstrap_servers, *options, **settings)
    assert done.code == 0, done.out
    assert "created topic made-dlq_topic: 3 partitions, replication 1" in found["dlq_topic"][0]
    resource = ConfigResource(ResourceType.TOPIC, "made-dlq_topic")
    admin = kafka.admin()
    [described] = admin.describe_configs([resource]).values()
    assert described.result()["retention.ms"].value == "600000"
    assert found["teams"] == ["ok: 1 team in the database"]
    assert found["key_store"] == ["ok: postgres: keys can be made, stored and read"]
    assert found["sessions_redis"] == ["ok: answers, and can be written to"]
    assert found["transactions"] == ["ok: can be used under transactional ids that begin with made-group"]
    assert "read back" in found["storage"][1]
    done, found = check(tmp_path, kafka.bootstrap_servers, *options, **settings)
    assert not any(text.startswith("ok: created") for texts in found.values() for text in texts)
    with redis_server.client() as client:
        assert client.keys("*check*") == []


def test_topics_that_lose_something_are_warned_of(kafka: KafkaServer, tmp_path: Path) -> None:
    settings = named("odd")
    for name in ("console_logs_topic", "warnings_topic", "overflow_topic"):
        kafka.create_topic(settings[name])
    kafka.create_topic(settings["topic"], 1, retention_ms=60_000, max_message_bytes=5_000_000)
    kafka.create_topic(settings["metadata_topic"], cleanup_policy="compact")
    kafka.create_topic(settings["dlq_topic"], max_message_bytes=2_000_000)
    done, found = check(tmp_path, kafka.bootstrap_servers, workers=2, **settings)
    assert done.code == 0
    assert [text.partition(") ")[2] for text in found["topic"]] == [
        "has 1 partition for 2 workers on this host",
        "keeps messages for 1m only: what is not read by then is lost",
    ]
    assert "is compacted" in found["metadata_topic"][0]
    assert "larger ones are lost on their way" in found["dlq_topic"][0]


def test_rights_that_are_missing(kafka: KafkaServer, tmp_path: Path) -> None:
    settings = named("strict")
    for name in ("topic", *OUTPUTS):
        kafka.create_topic(settings[name], 2)
    denied = [
        (ResourceType.TOPIC, settings["topic"], AclOperation.READ),
        (ResourceType.TOPIC, settings["dlq_topic"], AclOperation.WRITE),
        (ResourceType.TOPIC, settings["overflow_topic"], AclOperation.DESCRIBE),
        (ResourceType.GROUP, settings["group_id"], AclOperation.READ),
    ]
    # a resource with a rule of its own is forbidden unless another rule allows it
    bindings = [
        AclBinding(kind, name, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", *rule)
        for kind, name, operation in denied
        for rule in ((operation, AclPermissionType.DENY), (AclOperation.ALL, AclPermissionType.ALLOW))
    ]
    admin = kafka.admin()
    # a group's rights are known to its coordinator, which the broker makes when somebody asks for a group
    group = [f"{settings['group_id']}-other"]
    wait_for(lambda: answered(admin.describe_consumer_groups(group)[group[0]].result, KafkaException), "a coordinator")
    for created in admin.create_acls(bindings).values():
        created.result()
    done, found = check(tmp_path, kafka.bootstrap_servers, workers=1, **settings)
    assert done.code == 3
    assert found["topic"] == ["problem: topic strict-topic can't be read: the user has no right to Read"]
    assert found["dlq_topic"] == ["problem: topic strict-dlq_topic can't be written to: the user has no right to Write"]
    assert "Topic authorization failed" in found["overflow_topic"][0]
    assert found["group_id"] == ["problem: group strict-group can't be joined: the user has no right to Read"]
    assert found["metadata_topic"][0].startswith("ok: ")


def test_a_bucket_is_written_to_read_and_left_as_it_was(bucket: Bucket) -> None:
    settings = bucket.settings()
    found = run_checks([storage_check(settings, read_back=True)], 30)
    assert [finding.verdict for finding in found] == [Verdict.OK, Verdict.OK]
    assert bucket.all_keys() == bucket.open_uploads() == []


def test_a_bucket_that_does_not_exist(bucket: Bucket) -> None:
    settings = bucket.settings().model_copy(update={"storage": "s3://there-is-none"})
    [found] = run_checks([storage_check(settings, read_back=True)], 30)
    assert (found.verdict, found.exit_code) == (Verdict.PROBLEM, 2)
    assert "there is no such bucket" in found.text
