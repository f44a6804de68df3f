"""Restrictions from Redis: both formats, entries that can't be used, and what happens if Redis fails."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from recording_worker.dependencies import Dependencies
from recording_worker.errors import BootError, ConfigError, StoreError
from recording_worker.lookups.refreshed import Stores
from recording_worker.lookups.restrictions.open import open_restrictions
from recording_worker.lookups.restrictions.redis import RedisRestrictions
from recording_worker.lookups.restrictions.service import Restriction, Rule
from recording_worker.metrics import Metrics
from recording_worker.settings.model import Settings
from tests.builders import FakeClock
from tests.integration.conftest import StartService
from tests.integration.service import Traffic, recorded
from tests.servers.redis import PASSWORD, RedisServer
from tests.waiting import wait_for

PREFIX = "event_ingestion_restriction_dynamic_config:"
DROP, DLQ, OVERFLOW = "drop_event_from_ingestion", "redirect_to_dlq", "force_overflow_from_ingestion"
NOBODY: tuple[None, None, None, None] = (None, None, None, None)


def put(server: RedisServer, key: str, content: object) -> None:
    """Put this at a key of restrictions: a text unchanged, anything else as JSON."""
    with server.client() as client:
        client.set(PREFIX + key, content if isinstance(content, str) else json.dumps(content))


def entry(token: str, version: object = 2, **given: Any) -> dict[str, Any]:
    return {
        "token": token,
        "pipelines": ["analytics", "session_recordings"],
        **({} if version is None else {"version": version}),
        **given,
    }


def read(server: RedisServer) -> tuple[list[Rule], list[str]]:
    reading = RedisRestrictions(SecretStr(server.url)).load()
    assert reading is not None
    assert reading.entries == len(reading.value)
    return list(reading.value), list(reading.rejected)


def test_version_2(redis_server: RedisServer) -> None:
    put(redis_server, DROP, [entry("a"), entry("b", distinct_ids=["x", "y"], session_ids=["s"], event_names=None)])
    put(redis_server, DLQ, [entry("c", event_names=["e"], event_uuids=["u"])])
    put(redis_server, OVERFLOW, [entry("d", distinct_ids=[])])
    assert read(redis_server) == (
        [
            Rule(Restriction.DROP_EVENT, "a"),
            Rule(Restriction.DROP_EVENT, "b", frozenset({"x", "y"}), frozenset({"s"})),
            Rule(Restriction.REDIRECT_TO_DLQ, "c", event_names=frozenset({"e"}), event_uuids=frozenset({"u"})),
            Rule(Restriction.FORCE_OVERFLOW, "d"),
        ],
        [],
    )


def test_entries_without_a_version_have_single_values(redis_server: RedisServer) -> None:
    singles = [
        entry("a", None),
        entry("b", None, distinct_id="x"),
        entry("c", None, session_id="s", event_name=None),
        entry("d", 0, event_name="e", event_uuid="u"),
    ]
    put(redis_server, DLQ, singles)
    assert read(redis_server) == (
        [
            Rule(Restriction.REDIRECT_TO_DLQ, "a"),
            Rule(Restriction.REDIRECT_TO_DLQ, "b", frozenset({"x"})),
            Rule(Restriction.REDIRECT_TO_DLQ, "c", session_ids=frozenset({"s"})),
            Rule(Restriction.REDIRECT_TO_DLQ, "d", event_names=frozenset({"e"}), event_uuids=frozenset({"u"})),
        ],
        [],
    )


def test_entries_for_other_pipelines_are_ignored_silently(redis_server: RedisServer) -> None:
    others = [entry("a", pipelines=["analytics"]), entry("b", pipelines=None), {"token": "c"}, entry("d", pipelines=[])]
    put(redis_server, DROP, others)
    assert read(redis_server) == ([], [])


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (3, "drop_event[0], token unknown: not an object"),
        ({"pipelines": ["session_recordings"], "version": 2}, "drop_event[0], token None: token: Field required"),
        (entry(""), "drop_event[0], token '': token: String should have at least 1 character"),
        (entry("a", distinct_ids="x"), "drop_event[0], token 'a': distinct_ids: Input should be a valid list"),
        (entry("a", session_ids=[1]), "drop_event[0], token 'a': session_ids: Input should be a valid string"),
        (entry("a", None, distinct_id=5), "drop_event[0], token 'a': distinct_id: Input should be a valid string"),
        (entry("a", 3), "drop_event[0], token 'a': version 3 is unknown"),
        (entry("a", "2"), "drop_event[0], token 'a': version '2' is unknown"),
        (entry("a", pipelines="session_recordings"), "drop_event[0], token 'a': pipelines is not an array"),
        # a filter that this version does not have must not be ignored: the rule would match too much
        (entry("a", distinct_id="x"), "drop_event[0], token 'a': distinct_id is not of version 2"),
        (entry("a", None, session_ids=["x"]), "drop_event[0], token 'a': session_ids is not of version 0"),
    ],
)
def test_an_entry_that_can_not_be_used_is_named_and_the_others_are_used(
    redis_server: RedisServer, bad: object, problem: str
) -> None:
    put(redis_server, DROP, [bad, entry("good")])
    assert read(redis_server) == ([Rule(Restriction.DROP_EVENT, "good")], [problem])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[{", "drop_event: not JSON: unexpected end of data: line 1 column 3 (char 2); its rules stay as they were"),
        ('{"a": 1}', "drop_event: not a JSON array; its rules stay as they were"),
    ],
)
def test_a_key_that_can_not_be_read_keeps_its_rules(redis_server: RedisServer, content: str, problem: str) -> None:
    put(redis_server, DROP, [entry("a")])
    put(redis_server, DLQ, [entry("b")])
    store = RedisRestrictions(SecretStr(redis_server.url))
    store.load()
    put(redis_server, DROP, content)
    put(redis_server, DLQ, [entry("c")])
    reading = store.load()
    assert reading is not None
    assert [rule.token for rule in reading.value] == ["a", "c"]
    assert reading.rejected == [problem]
    with redis_server.client() as client:
        client.delete(PREFIX + DROP)
        client.rpush(PREFIX + DROP, "x")
    reading = store.load()
    assert reading is not None
    assert [rule.token for rule in reading.value] == ["a", "c"]
    assert "WRONGTYPE" in reading.rejected[0]
    with redis_server.client() as client:
        client.delete(PREFIX + DROP)
    reading = store.load()
    assert reading is not None
    assert [rule.token for rule in reading.value] == ["c"]


def test_unchanged_keys_are_not_parsed_again(redis_server: RedisServer) -> None:
    put(redis_server, DROP, [entry("a")])
    store = RedisRestrictions(SecretStr(redis_server.url))
    assert store.load() is not None
    assert store.load() is None


def test_rules_of_file_and_redis_survive_a_failure_of_redis(redis_server: RedisServer, tmp_path: Path) -> None:
    file = tmp_path / "restrictions.toml"
    file.write_text('[[restriction]]\ntype = "force_overflow"\ntoken = "a"\n')
    put(redis_server, DROP, [entry("b")])
    clock = FakeClock()
    stores = Stores(clock, Metrics(), interval=300, stale_after=1000)
    settings = Settings(restrictions=file, restrictions_redis=SecretStr(redis_server.url))
    restrictions = open_restrictions(settings, stores, Dependencies(clock))

    def in_force() -> dict[str, Restriction | None]:
        return {token: rules.match(NOBODY) for token, rules in restrictions.current().items()}

    def a_minute_later() -> None:
        for _ in range(2):
            clock.ms += 37_000
            for store in stores._stores:
                store.refresh_if_due()

    assert in_force() == {"a": Restriction.FORCE_OVERFLOW, "b": Restriction.DROP_EVENT}
    redis_server.stop()
    file.write_text('[[restriction]]\ntype = "redirect_to_dlq"\ntoken = "c"\n')
    a_minute_later()
    assert in_force() == {"c": Restriction.REDIRECT_TO_DLQ, "b": Restriction.DROP_EVENT}
    file.write_text("[[restriction]]\n")
    redis_server.start()
    put(redis_server, DROP, [entry("c"), entry("d")])
    a_minute_later()
    drop = Restriction.DROP_EVENT
    assert in_force() == {"c": drop, "d": drop}
    assert restrictions.current() is restrictions.current()


def test_a_redis_that_is_away_at_the_start_is_named(redis_server: RedisServer) -> None:
    redis_server.stop()
    settings = Settings(restrictions_redis=SecretStr(redis_server.url))
    stores = Stores(FakeClock(), Metrics(), interval=300, stale_after=1000)
    with pytest.raises(BootError, match=r"restrictions_redis can't be read: Error 111 connecting to 127\.0\.0\.1"):
        open_restrictions(settings, stores, Dependencies(FakeClock()))


def test_a_missing_right_to_read_the_keys_is_an_error_and_not_an_empty_list(redis_server: RedisServer) -> None:
    put(redis_server, DROP, [entry("a")])
    with redis_server.client() as client:
        client.acl_setuser("reader", enabled=True, passwords=["+hush"], commands=["+get"], keys=["other*"])
        store = RedisRestrictions(SecretStr(f"redis://reader:hush@127.0.0.1:{redis_server.port}/0"))
        with pytest.raises(StoreError, match="permission"):
            store.load()
        client.acl_setuser("reader", enabled=True, passwords=["+hush"], commands=["+get"], keys=[PREFIX + "*"])
        reading = store.load()
        assert reading is not None
        assert [rule.token for rule in reading.value] == ["a"]
        client.acl_deluser("reader")


def test_no_error_shows_the_password(redis_server: RedisServer) -> None:
    with pytest.raises(StoreError, match="invalid username-password") as refused:
        RedisRestrictions(SecretStr(redis_server.url.replace(PASSWORD, "other-secret"))).load()
    assert "other-secret" not in str(refused.value)
    with pytest.raises(ConfigError, match="restrictions_redis: not a URL") as error:
        RedisRestrictions(SecretStr("redis://host:hush"))
    assert "hush" not in str(error.value)


def test_a_token_is_blocked_and_freed_while_the_service_runs(
    redis_server: RedisServer, start: StartService, traffic: Traffic
) -> None:
    service = start(restrictions_redis=redis_server.url, refresh_interval=0.2)
    service.wait_until_ready()
    traffic.send(12)
    put(redis_server, DLQ, [entry("token-1")])

    def blocked() -> float:
        traffic.send(6)
        return service.metric("messages_total").get('{disposition="dlq",reason="redirected_by_restriction"}', 0)

    def recorded_again() -> bool:
        traffic.send(6)
        traffic.wait_until_committed()
        return recorded(service.storage)[traffic.sent - 1] == 1

    wait_for(blocked, "the token to be blocked")
    with redis_server.client() as client:
        client.delete(PREFIX + DLQ)
    wait_for(recorded_again, "the token to be free again")
    dead = blocked()
    traffic.wait_until_committed()
    assert service.stop() == 0
    assert 0 < len(recorded(service.storage)) == traffic.sent - dead
