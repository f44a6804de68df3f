"""No secret of the settings is shown: not in errors of settings, not in errors of libraries, logs or pages."""

import logging
import re
from pathlib import Path
from urllib.parse import quote

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from recording_worker import cli, redaction
from recording_worker.errors import BootError, ConfigError
from recording_worker.kafka.clients import check_broker, client_config
from recording_worker.logs.setup import configure_logs
from recording_worker.lookups.redis import redis_client
from recording_worker.lookups.teams.postgres import PostgresTeams
from recording_worker.processes.supervisor.status import PartitionStatus, Status
from recording_worker.redaction import hide, redact
from recording_worker.settings.choices import LogLevel
from recording_worker.settings.load import load_settings
from recording_worker.settings.model import Settings
from recording_worker.settings.secrets import secrets_of
from tests.status_page import Host

SECRET = "hunter2-secret"
PASSWORDS = st.text("aZ09@:/?#%&=+[]. \\'\"é", min_size=1, max_size=12).map(lambda text: f"1{text}2")


@pytest.fixture(autouse=True)
def _no_secrets_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_hidden", set())


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("s3_endpoint", f"https://key:{SECRET}@s3.example"),
        ("s3_endpoint", f"https://key:{SECRET}@s3.example/path?query"),
        ("s3_endpoint", f"key:{SECRET}@s3.example"),
        ("bootstrap_servers", f"user:{SECRET}@kafka:9092"),
        ("storage", f"s3://key:{SECRET}@bucket"),
        ("storage", f"https://key:{SECRET}@bucket"),
        ("teams_postgres", f"mysql://user:{SECRET}@host"),
        ("teams_postgres", f"postgresql://user:@{SECRET}@host"),
        ("teams_postgres", f"postgresql://user:/{SECRET}@host"),
        ("sessions_redis", f"http://:{SECRET}@host"),
        ("sessions_redis", f"redis://:1/{SECRET}@host"),
        ("restrictions_redis", f"redis://:1?{SECRET}@host"),
        ("restrictions_redis", f"redis://:@/{SECRET}@host"),
        ("log_level", f"https://user:{SECRET}@host"),
    ],
)
def test_a_setting_that_is_refused_does_not_show_its_secret(setting: str, value: object) -> None:
    with pytest.raises(ConfigError) as refused:
        load_settings({setting: value}, None, {})
    assert setting.replace("_", "-") in str(refused.value)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("value", [f'"{SECRET}"', f'{{"sasl.password" = ["{SECRET}"]}}', f"{{{SECRET}", SECRET])
def test_a_table_that_is_refused_does_not_show_its_secret(tmp_path: Path, value: str) -> None:
    config = tmp_path / "worker.toml"
    config.write_text(f"kafka = {value}\n")
    with pytest.raises(ConfigError) as refused:
        load_settings({}, config, {})
    assert SECRET not in str(refused.value)


@given(PASSWORDS)
def test_no_part_of_a_postgresql_password_is_taken_for_something_else(password: str) -> None:
    url = f"postgresql://user:{password}@db.invalid/teams"
    try:
        settings = load_settings({"teams_postgres": url}, None, {})
        assert settings.teams_postgres is not None
        teams = PostgresTeams(settings.teams_postgres)
    except ConfigError as refused:
        assert password not in str(refused)  # noqa: PT017 - some passwords are refused, others must be kept whole
        return
    given = conninfo_to_dict(teams._conninfo)
    assert (given["user"], given["host"], given["dbname"]) == ("user", "db.invalid", "teams")
    assert "port" not in given


@given(PASSWORDS)
def test_no_part_of_a_redis_password_is_taken_for_something_else(password: str) -> None:
    url = f"redis://:{password}@db.invalid/0"
    try:
        settings = load_settings({"sessions_redis": url}, None, {})
        assert settings.sessions_redis is not None
        client = redis_client("sessions_redis", settings.sessions_redis, timeout=0.1)
    except ConfigError as refused:
        assert password not in str(refused)  # noqa: PT017 - some passwords are refused, others must be kept whole
        return
    arguments = client.connection_pool.connection_kwargs
    assert (arguments["host"], arguments.get("port", 6379), arguments["db"]) == ("db.invalid", 6379, 0)


@given(PASSWORDS)
def test_a_quoted_password_is_always_taken(password: str) -> None:
    quoted = quote(password, safe="")
    settings = load_settings(
        {
            "teams_postgres": f"postgresql://user:{quoted}@db.invalid/teams?application_name=a",
            "sessions_redis": f"redis://:{quoted}@db.invalid/0?socket_timeout=1",
        },
        None,
        {},
    )
    assert settings.teams_postgres is not None
    assert settings.sessions_redis is not None
    assert conninfo_to_dict(PostgresTeams(settings.teams_postgres)._conninfo)["password"] == password
    client = redis_client("sessions_redis", settings.sessions_redis, timeout=0.1)
    assert client.connection_pool.connection_kwargs["password"] == password


def oauth(config: str) -> Settings:
    properties: dict[str, str | int | float | bool] = {
        "security.protocol": "sasl_plaintext",
        "sasl.mechanism": "OAUTHBEARER",
        "enable.sasl.oauthbearer.unsecure.jwt": True,
        "sasl.oauthbearer.config": config,
    }
    return Settings(bootstrap_servers="127.0.0.1:1", kafka=properties)


@pytest.mark.parametrize("config", [SECRET, f"principal=me {SECRET} scope=x", f'principal=me"{SECRET}'])
def test_what_librdkafka_says_of_its_properties_holds_no_secret(config: str) -> None:
    settings = oauth(config)
    hide(secrets_of(settings))
    with pytest.raises(BootError) as failed:
        check_broker(client_config(settings, "consumer", defaults={}, ours={"group.id": "g"}), "topic", timeout=0.5)
    assert SECRET in str(failed.value), "librdkafka shows it"
    assert SECRET not in redact(str(failed.value))
    assert "OAUTHBEARER" in redact(str(failed.value)), "the rest is shown"


def test_the_secrets_of_the_settings() -> None:
    settings = Settings(
        teams_postgres=SecretStr("postgresql://user:p%40stgres@host/db"),
        sessions_redis=SecretStr("redis://:sess%21@host"),
        restrictions_redis=SecretStr("unix:///redis.sock?password=s0cket"),
        kafka={"sasl.password": "kafka-sasl", "ssl.key.pem": "-----BEGIN KEY-----\nMIIE", "client.rack": "rack-a"},
        kafka_consumer={"sasl.oauthbearer.client.secret": "consumer-secret", "ssl.key.password": "key-password"},
        kafka_producer={"sasl.oauthbearer.token.endpoint.url": "https://user:endp0int@host/"},
    )
    secrets = set(secrets_of(settings))
    assert {"p%40stgres", "p@stgres", "sess!", "s0cket", "kafka-sasl", "MIIE", "consumer-secret"} <= secrets
    assert {"key-password", "endp0int"} <= secrets
    assert not {"rack-a", "host", "user", "https://user:endp0int@host/"} & secrets
    assert not any(secret in repr(settings) for secret in secrets)


@pytest.mark.parametrize("as_json", [True, False])
def test_no_log_line_holds_a_secret(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    hide([SECRET, 'quo"ted\\', "line\nfeed"])
    configure_logs(LogLevel.INFO, as_json=as_json)
    log = structlog.get_logger("secrets")
    log.warning(f"said {SECRET}", error=f'at quo"ted\\ {SECRET}', lines="a line\nfeed b")
    try:
        raise ValueError(f"caused by {SECRET}")
    except ValueError:
        log.exception("failed")
    logging.getLogger("library").error("library says %s", SECRET)
    shown = capsys.readouterr().err
    assert shown.count(redaction.MASK) >= 5
    assert not re.search(rf"{SECRET}|quo.{{0,3}}ted|line.{{0,3}}feed", shown)


def test_no_error_on_the_terminal_holds_a_secret(capsys: pytest.CaptureFixture[str]) -> None:
    hide([SECRET])
    cli._print_error(f"can't reach it: {SECRET}\nat all")
    assert capsys.readouterr().err.splitlines() == [
        "recording-worker: error: can't reach it: ***",
        "recording-worker: error: at all",
    ]


def test_no_page_holds_a_secret() -> None:
    hide([SECRET])
    status = Status(0, (f"teams: {SECRET}",), (), (PartitionStatus(0, 0, 0, 0, 0, f"stopped: {SECRET}", False),))
    host = Host(status, teams_postgres=SecretStr(f"postgresql://a:{SECRET}@db/teams"))
    pages = host.pages.by_path
    for path, page in pages.items():
        assert SECRET.encode() not in page.answer().body, path
    assert pages["/readyz"].answer().body == b"teams: ***\n"


def test_short_secrets_are_not_taken_out_of_everything() -> None:
    hide(["", "a"])
    assert redact("a cat") == "a cat"
