import pickle
from pathlib import Path

import pytest

from recording_worker.errors import ConfigError
from recording_worker.settings.choices import Codec, LogLevel
from recording_worker.settings.load import SCALARS, TABLES, flag_of, load_settings, unknown_variables, variable_of
from recording_worker.settings.model import Settings
from recording_worker.settings.units import DURATION, SIZE, duration_text, parse_duration, unit_of

NO_DURATION = "must be a duration such as 500ms, 10s, 5m, 24h or 7d"


def write(folder: Path, content: str) -> Path:
    path = folder / "worker.toml"
    path.write_text(content)
    return path


def problems(flags: dict[str, object], config: Path | None = None, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_settings(flags, config, environ)
    return str(caught.value).splitlines()


def test_flags_beat_the_environment_which_beats_the_file_which_beats_defaults(tmp_path: Path) -> None:
    config = write(tmp_path, 'topic = "file"\ngroup_id = "file"\ncodec = "snappy"\n')
    environ = {"RECORDING_WORKER_TOPIC": "environment", "RECORDING_WORKER_GROUP_ID": "environment"}
    settings = load_settings({"topic": "flag"}, config, environ)
    assert (settings.topic, settings.group_id, settings.codec) == ("flag", "environment", Codec.SNAPPY)
    assert settings.metadata_topic == "clickhouse_session_replay_events"


def test_compatibility_sets_defaults_which_anything_that_is_set_beats(tmp_path: Path) -> None:
    config = write(tmp_path, 'require_ids_in_headers = false\ncompatibility = "posthog"\n')
    settings = load_settings({}, config, {})
    assert (settings.codec, settings.far_event_drops_message) == (Codec.SNAPPY, True)
    assert not settings.require_ids_in_headers
    assert load_settings({"codec": "zstd"}, config, {}).codec is Codec.ZSTD
    assert problems({"compatibility": "posthorn"})[0].startswith("--compatibility: must be 'posthog'")


def test_an_empty_variable_counts_as_not_set() -> None:
    assert load_settings({}, None, {"RECORDING_WORKER_TEAMS": ""}).teams is None


def test_every_setting_has_a_meaning_and_one_name_everywhere() -> None:
    assert all(field.description for field in Settings.model_fields.values())
    assert flag_of("max_batch_bytes") == "--max-batch-bytes"
    assert variable_of("max_batch_bytes") == "RECORDING_WORKER_MAX_BATCH_BYTES"
    assert set(SCALARS) | TABLES == Settings.model_fields.keys()


def test_settings_are_frozen_and_can_be_pickled(tmp_path: Path) -> None:
    settings = load_settings({"storage_dir": str(tmp_path)}, write(tmp_path, '[kafka]\nclient.rack = "a"\n'), {})
    assert pickle.loads(pickle.dumps(settings)) == settings
    with pytest.raises(ValueError, match="frozen"):
        setattr(settings, "topic", "other")  # noqa: B010 - mypy knows it is frozen


@pytest.mark.parametrize(
    ("text", "size"), [("1024", 1024), ("64MiB", 64 * 2**20), ("1.5 KiB", 1536), ("2MB", 2_000_000)]
)
def test_sizes_take_units(text: str, size: int) -> None:
    assert load_settings({"max_batch_bytes": text}, None, {}).max_batch_bytes == size


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("500ms", 0.5),
        ("10s", 10.0),
        ("1.5 m", 90.0),
        ("24h", 86_400.0),
        ("7d", 604_800.0),
        ("10", 10.0),
        ("0.2", 0.2),
        (" 5 ", 5.0),
        (10, 10.0),
        (0.2, 0.2),
    ],
)
def test_durations_take_units_and_are_seconds_without(given: str | float, seconds: float) -> None:
    assert load_settings({"max_batch_age": given}, None, {}).max_batch_age == seconds


def test_every_setting_in_seconds_is_a_duration() -> None:
    """And no setting with another unit, such as days."""
    durations = {name for name, field in Settings.model_fields.items() if unit_of(field) is DURATION}
    ends = ("_age", "_interval", "_after", "_timeout", "_deadline", "_seconds", "_for")
    assert durations == {name for name in Settings.model_fields if name.endswith(ends)}
    assert len(durations) == 16
    assert load_settings({"lag_shed_after": "30m"}, None, {}).lag_shed_after == 1800


def test_every_setting_in_bytes_is_a_size() -> None:
    sizes = {name for name, field in Settings.model_fields.items() if unit_of(field) is SIZE}
    assert sizes == {"memory", *(name for name in Settings.model_fields if "_bytes" in name)}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "200ms"),
        (1.0, "1s"),
        (60.0, "1m"),
        (90.0, "90s"),
        (1800.0, "30m"),
        (86_400.0, "1d"),
    ],
)
def test_durations_are_shown_with_a_unit(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
    assert parse_duration(text) == pytest.approx(seconds, abs=1e-9)


def test_the_log_level_is_taken_in_any_case() -> None:
    assert load_settings({}, None, {"RECORDING_WORKER_LOG_LEVEL": "WARNING"}).log_level is LogLevel.WARNING


def test_librdkafka_properties_with_quoted_or_bare_keys(tmp_path: Path) -> None:
    config = write(tmp_path, '[kafka]\nsecurity.protocol = "SASL_SSL"\n"sasl.username" = "u"\nsocket.timeout.ms = 10\n')
    assert load_settings({}, config, {}).kafka == {
        "security.protocol": "SASL_SSL",
        "sasl.username": "u",
        "socket.timeout.ms": 10,
    }


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    config = write(tmp_path, '[kafka]\nsasl.password = "hush"\n')
    assert "hush" not in repr(load_settings({}, config, {}))
    config = write(tmp_path, '[kafka]\nsasl.password = ["hush"]\n')
    assert problems({}, config) == [f"kafka in {config}: sasl.password must be a text, a number, true or false"]
    settings = load_settings({"teams_postgres": "postgresql://user:hush@host/db"}, None, {})
    assert "hush" not in repr(settings) + settings.model_dump_json()
    assert pickle.loads(pickle.dumps(settings)).teams_postgres.get_secret_value() == "postgresql://user:hush@host/db"
    for name, flag in (("sessions_redis", "--sessions-redis"), ("restrictions_redis", "--restrictions-redis")):
        assert problems({name: "http://:hush@host"}) == [f"{flag}: must begin with redis://, rediss:// or unix://"]
    assert problems({"teams_postgres": "mysql://user:hush@host"}) == ["--teams-postgres: must begin with postgresql://"]


def test_each_problem_is_a_line_that_names_its_source(tmp_path: Path) -> None:
    config = write(tmp_path, "workers = 0\nmax_batch_age = -1\n")
    assert problems({"codec": "gzip"}, config, RECORDING_WORKER_OPS_PORT="http") == [
        "--codec: must be 'zstd' or 'snappy' (got 'gzip')",
        f"max_batch_age in {config}: must be greater than 0 (got '-1')",
        f"workers in {config}: must be greater than 0 (got '0')",
        "RECORDING_WORKER_OPS_PORT: must be a valid integer, unable to parse string as an integer (got 'http')",
    ]


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ({"max_batch_bytes": "64 parsecs"}, "--max-batch-bytes: could not interpret byte unit: parsecs"),
        ({"max_batch_age": "inf"}, "--max-batch-age: must be a finite number (got 'inf')"),
        ({"max_batch_age": "0ms"}, "--max-batch-age: must be greater than 0 (got '0ms')"),
        ({"max_batch_age": "soon"}, f"--max-batch-age: {NO_DURATION} (got 'soon')"),
        ({"max_batch_age": "10 parsecs"}, f"--max-batch-age: {NO_DURATION} (got '10 parsecs')"),
        ({"max_batch_age": "-10s"}, f"--max-batch-age: {NO_DURATION} (got '-10s')"),
        ({"max_batch_age": ""}, f"--max-batch-age: {NO_DURATION} (got '')"),
        ({"max_timestamp_diff_days": "7d"}, "--max-timestamp-diff-days: must be a valid number"),
        ({"max_batch_bytes": "0B"}, "--max-batch-bytes: must be greater than 0 (got '0B')"),
        ({"zstd_level": "20"}, "--zstd-level: must be less than or equal to 19"),
        ({"ops_port": "65536"}, "--ops-port: must be less than or equal to 65535"),
        ({"any_token": "maybe"}, "--any-token: must be a valid boolean"),
        ({"debug_partition": "-1"}, "--debug-partition: must be greater than or equal to 0"),
        ({"storage": "floppy:"}, "--storage: "),
        ({"any_token": True, "teams": "t"}, "teams and any_token exclude each other (given: --teams, --any-token)"),
        ({"any_token": True, "teams_postgres": "postgres://h"}, "teams_postgres and any_token exclude each other"),
        ({"block_new_sessions": True}, "block_new_sessions needs sessions_redis (given: --block-new-sessions)"),
        ({"s3_kms_key": "k"}, "s3_kms_key needs s3_encryption aws:kms (given: "),
        ({"codec": "snappy", "zstd_dictionary": "d"}, "zstd_dictionary needs codec zstd (given: "),
        ({"storage": "blackhole:", "storage_dir": "d"}, "storage and storage_dir exclude each other"),
    ],
)
def test_what_is_refused(flags: dict[str, object], problem: str) -> None:
    [line] = problems(flags)
    assert line.startswith(problem)


def test_an_unknown_key_is_refused_and_the_nearest_named(tmp_path: Path) -> None:
    config = write(tmp_path, 'max-batch-byte = 1\ncolour = "red"\n')
    assert problems({}, config) == [
        f"{config}: max-batch-byte is not a setting (did you mean max_batch_bytes?)",
        f"{config}: colour is not a setting",
    ]


def test_files_that_can_not_be_read(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    assert problems({}, missing) == [f"can't read {missing}: No such file or directory"]
    broken = write(tmp_path, 'topic = "a"\ngroup_id = \n')
    [line] = problems({}, broken)
    assert line.startswith(f"{broken}: not TOML: ")
    assert "line 2" in line
    broken.write_bytes(b'topic = "\xff"')
    assert problems({}, broken) == [f"{broken}: not UTF-8 text"]


def test_variables_that_are_not_settings_are_named_except_those_of_kubernetes() -> None:
    environ = {
        "RECORDING_WORKER_MAX_BATCH_BYTE": "1",
        "RECORDING_WORKER_KAFKA": "{}",
        "RECORDING_WORKER_CONFIG": "worker.toml",
        "RECORDING_WORKER_OPS_PORT": "9600",
        "RECORDING_WORKER_SERVICE_HOST": "10.0.0.1",
        "RECORDING_WORKER_SERVICE_PORT_METRICS": "9600",
        "RECORDING_WORKER_PORT": "tcp://10.0.0.1:9600",
        "RECORDING_WORKER_PORT_9600_TCP_ADDR": "10.0.0.1",
        "PATH": "/bin",
    }
    kafka, typo = unknown_variables(environ)
    assert kafka.startswith("RECORDING_WORKER_KAFKA is not a setting")
    assert typo == ("RECORDING_WORKER_MAX_BATCH_BYTE is not a setting (did you mean RECORDING_WORKER_MAX_BATCH_BYTES?)")
