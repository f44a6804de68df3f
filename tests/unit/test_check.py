"""What the checks make of what they find. No server is asked."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from recording_worker.errors import BootError, ConfigError
from recording_worker.kafka.probe import TopicFacts
from recording_worker.operations.check.create import parse_config
from recording_worker.operations.check.finding import Finding, Verdict, error_of, exit_code_of
from recording_worker.operations.check.host import settings_check
from recording_worker.operations.check.run import Check, run_checks
from recording_worker.operations.check.storage import storage_check
from recording_worker.operations.check.topics import judge_topic
from recording_worker.settings.choices import Codec, FileNames
from recording_worker.settings.load import gather, settings_of
from recording_worker.settings.model import Settings
from recording_worker.settings.shown import shown_settings
from tests.unit.command import run

AWAY = Finding.problem("kafka", BootError("no broker"))
WRONG = Finding.problem("teams", ConfigError("no such file"), "make it")
SECRET = "hunter2"


ALL_RIGHTS = frozenset({"READ", "WRITE"})


def facts(**config: object) -> TopicFacts:
    """A topic of two partitions with this configuration. Underscores stand for dots."""
    named = {name.replace("_", "."): str(value) for name, value in config.items()}
    return TopicFacts("t", partitions=2, replicas=1, in_sync=1, config=named, allowed=ALL_RIGHTS)


def remarks(setting: str, topic: TopicFacts, input_topic: TopicFacts | None = None) -> list[str]:
    found = judge_topic(setting, topic, workers=2, exactly_once=True, input_topic=input_topic)
    return [finding.sentence for finding in found if finding.verdict is not Verdict.OK]


@pytest.mark.parametrize(("findings", "code"), [([], 0), ([AWAY], 3), ([AWAY, WRONG], 2)])
def test_wrong_settings_decide_the_exit_code(findings: list[Finding], code: int) -> None:
    assert exit_code_of([Finding.warning("x", "hm"), *findings]) == code
    assert getattr(error_of(findings), "exit_code", 0) == code


def test_an_error_has_each_line_once_and_says_what_to_do() -> None:
    assert str(error_of([WRONG, AWAY, WRONG])) == "no such file (make it)\nno broker"


def test_a_check_that_hangs_or_fails_hides_nothing_that_others_find() -> None:
    never = threading.Event()

    def hangs() -> Iterator[Finding]:
        yield Finding.ok("slow", "begun")
        never.wait()

    def fails() -> Iterator[Finding]:
        yield Finding.ok("bad", "begun")
        raise ZeroDivisionError("oh")

    def refuses() -> Iterator[Finding]:
        raise ConfigError("not like this")
        yield

    found = run_checks([Check("slow", hangs), Check("bad", fails), Check("no", refuses)], 0.05)
    never.set()
    assert [(at.subject, at.text, at.exit_code) for at in found] == [
        ("slow", "begun", 0),
        ("slow", "slow: no answer within 0.05 s", 3),
        ("bad", "begun", 0),
        ("bad", "bad: ZeroDivisionError('oh')", 3),
        ("no", "not like this", 2),
    ]


@pytest.mark.parametrize(
    ("setting", "config", "text"),
    [
        ("topic", {"cleanup_policy": "compact"}, "is compacted: all but the last message of a key is lost"),
        ("topic", {"retention_ms": 3_600_000}, "keeps messages for 1h only"),
        ("metadata_topic", {"cleanup_policy": "compact,delete"}, "is compacted: verify and sweep can't work"),
        ("metadata_topic", {"max_message_bytes": 1000}, "takes records of 1000B only"),
        ("dlq_topic", {"min_insync_replicas": 2}, "has 1 copies in sync, and takes records with 2 only"),
    ],
)
def test_a_topic_whose_configuration_loses_something(setting: str, config: dict[str, object], text: str) -> None:
    [remark] = remarks(setting, facts(**config))
    assert text in remark
    assert "(set " in remark or "(start " in remark


def test_a_topic_that_is_as_it_should_be() -> None:
    config = {"cleanup_policy": "delete", "retention_ms": 604_800_000, "max_message_bytes": 1_048_588}
    for setting in ("topic", "metadata_topic", "dlq_topic"):
        assert remarks(setting, facts(**config), input_topic=facts(**config)) == []
    assert remarks("topic", facts(retention_ms=-1)) == []
    assert remarks("console_logs_topic", facts(cleanup_policy="compact")) == []


def test_topics_that_take_messages_as_they_came_must_take_the_largest() -> None:
    takes = facts(max_message_bytes=2_000_000)
    [remark] = remarks("dlq_topic", takes, input_topic=facts(max_message_bytes=8_000_000))
    assert remark.endswith("(set max.message.bytes=8000000)")
    assert remarks("metadata_topic", takes, input_topic=facts(max_message_bytes=8_000_000)) == []


def test_rights_that_are_missing_and_rights_that_are_not_known() -> None:
    readable = replace(facts(), allowed=frozenset({"READ", "DESCRIBE"}))
    writable = replace(facts(), allowed=frozenset({"WRITE", "DESCRIBE"}))
    assert remarks("topic", readable) == remarks("dlq_topic", writable) == []
    assert remarks("dlq_topic", readable) == [
        "topic t can't be written to: the user has no right to Write (give it Write on the topic)"
    ]
    assert "can't be read" in remarks("topic", writable)[0]
    [unknown] = judge_topic("topic", replace(facts(), allowed=None), workers=1, exactly_once=True)
    assert unknown.text.endswith("(not known: rights)")
    [own] = judge_topic("topic", writable, workers=1, exactly_once=True, ask_rights=False)
    assert own.verdict is Verdict.OK


def test_partitions_that_are_too_few_or_without_a_leader() -> None:
    topic = TopicFacts("t", partitions=1, leaderless=(0,), config=None, allowed=None)
    lines = remarks("topic", topic)
    assert "has partitions that no broker leads: [0]" in lines[0]
    assert "has 1 partition for 2 workers on this host" in lines[1]


@pytest.mark.parametrize(
    "changes",
    [{}, {"codec": Codec.SNAPPY, "file_names": FileNames.POSTHOG}, {"compatibility": "posthog"}],
    ids=["zstd", "snappy", "posthog"],
)
def test_what_is_recorded_in_a_folder_is_read_back_and_removed(tmp_path: Path, changes: dict[str, object]) -> None:
    settings = Settings.model_validate({"storage_dir": tmp_path, **changes})
    found = list(storage_check(settings, read_back=True).look())
    assert [finding.verdict for finding in found] == [Verdict.OK, Verdict.OK]
    assert "read back" in found[1].text
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_folder_that_cannot_be_written_to_is_a_setting_that_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    [found] = run_checks([storage_check(Settings(storage_dir=tmp_path / "file" / "folder"), read_back=True)], 5)
    assert (found.verdict, found.exit_code) == (Verdict.PROBLEM, 2)
    assert "can't write to the storage folder" in found.text


def test_topic_config_is_for_all_topics_or_for_one() -> None:
    assert parse_config(("a.b=1", "dlq_topic:retention.ms=-1")) == {"a.b": "1", "dlq_topic:retention.ms": "-1"}
    with pytest.raises(ConfigError, match="must be NAME=VALUE"):
        parse_config(("retention.ms",))


def test_each_setting_is_shown_with_where_its_value_comes_from(tmp_path: Path) -> None:
    config = tmp_path / "worker.toml"
    config.write_text(
        f'group_id = "ours"\ntopic = "file"\n[kafka]\n"sasl.password" = "{SECRET}"\n"client.rack" = "a"\n'
    )
    environ = {"RECORDING_WORKER_SESSIONS_REDIS": f"redis://:{SECRET}@host/0?password={SECRET}"}
    given = gather({"topic": "flag", "compatibility": "posthog"}, config, environ)
    shown = {row.name: (row.value, row.source) for row in shown_settings(settings_of(given), given.sources)}
    assert shown["topic"] == ("flag", "--topic")
    assert shown["group_id"] == ("ours", f"group_id in {config}")
    assert shown["codec"] == ("snappy", "default with compatibility posthog")
    assert shown["max_batch_age"] == ("10s", "default")
    assert shown["unpack_client_compression"] == ("false", "default, by codec")
    assert shown["kafka.client.rack"] == ("a", f"kafka in {config}")
    assert shown["kafka.sasl.password"] == ("***", f"kafka in {config}")
    assert shown["sessions_redis"] == ("redis://***@host/0?password=***", "RECORDING_WORKER_SESSIONS_REDIS")
    assert SECRET not in str(shown)
    assert {name.partition(".")[0] for name in shown} >= Settings.model_fields.keys() - {
        "kafka_consumer",
        "kafka_producer",
        "kafka_outputs",
    }


def test_the_command_prints_the_settings_and_checks_nothing() -> None:
    done = run("check", "--print-config", "--topic", "here", "--json")
    assert (done.code, done.err) == (0, "")
    rows = {row["name"]: row for row in json.loads(done.out)["settings"]}
    assert rows["topic"] == {"name": "topic", "value": "here", "source": "--topic"}


def test_wrong_settings_are_findings_in_json_too() -> None:
    done = run("check", "--max-batch-age", "soon", "--workers", "none", "--json")
    result = json.loads(done.out)
    assert (done.code, result["exit_code"], result["problems"]) == (2, 2, 2)
    assert all(finding["subject"] == "settings" for finding in result["findings"])


def test_a_token_file_that_holds_no_token_is_found(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("short")
    settings = Settings(storage="blackhole:", any_token=True, ops_token_file=tmp_path / "token")
    [found] = run_checks([settings_check(settings)], 10)
    assert (found.verdict, found.exit_code) == (Verdict.PROBLEM, 2)
    assert "holds no token" in found.text
    (tmp_path / "token").write_text("a-token:of-24-characters\n")
    assert error_of(run_checks([settings_check(settings)], 10)) is None


def test_a_certificate_of_the_ops_server_that_can_not_be_read_is_found(tmp_path: Path) -> None:
    settings = Settings(storage="blackhole:", any_token=True, ops_tls_certificate=tmp_path / "missing.pem")
    [found] = run_checks([settings_check(settings)], 10)
    assert (found.verdict, found.exit_code) == (Verdict.PROBLEM, 2)
    assert "missing.pem: no certificate with its key" in found.text
    with pytest.raises(ValueError, match="need ops_tls_certificate"):
        Settings(ops_tls_client_ca=tmp_path / "ca.pem")
