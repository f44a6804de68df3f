"""What the service depends on, killed and frozen, and back: seen in the log, in the metrics and by `/readyz`."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from pydantic import SecretStr

from recording_worker.clock import SystemClock
from recording_worker.errors import StoreError
from recording_worker.lookups.redis import RedisCircuitBreaker
from recording_worker.lookups.restrictions.redis import RedisRestrictions
from recording_worker.lookups.teams.postgres import PostgresTeams
from recording_worker.metrics import Metrics
from recording_worker.storage.open import open_storage
from tests.integration.conftest import StartService
from tests.integration.service import Service
from tests.servers.child import ServerProcess
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
from tests.servers.s3 import RcloneServer, use_credentials
from tests.waiting import wait_for

Away = Callable[[ServerProcess], AbstractContextManager[None]]


AWAY: dict[str, Away] = {"killed": ServerProcess.killed, "frozen": ServerProcess.paused}


def test_what_is_killed_or_frozen_is_seen_and_so_is_its_return(
    start: StartService,
    rclone: RcloneServer,
    postgres: PostgresServer,
    redis_server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_credentials(monkeypatch)
    postgres.add_team(1, "token")
    service = start(
        any_token=False,
        teams_postgres=f"{postgres.url}?connect_timeout=2",
        restrictions_redis=redis_server.url,
        sessions_redis=redis_server.url,
        storage=rclone.new_bucket().url,
        s3_endpoint=rclone.endpoint,
        not_ready_after=2.0,
    )
    service.wait_until_ready()
    wait_for(lambda: len(failing(service)) == 5 and not any(failing(service).values()), "all to be asked and to work")
    cases: list[tuple[ServerProcess, dict[str, str], bool]] = [
        (rclone, {"storage": "Storage"}, True),
        (redis_server, {"sessions_redis": "Redis (sessions)", "restrictions_redis": "Redis (restrictions)"}, False),
        (postgres, {"teams_postgres": "PostgreSQL (teams)"}, False),
    ]
    for server, names, needed in cases:
        for how, away in AWAY.items():
            logged = len(service.logged("works again"))
            with away(server):
                wait_for(lambda: all(failing(service)[name] > 2 for name in names), f"{names} to fail, {how}")  # noqa: B023
                assert {name for name, seconds in failing(service).items() if seconds} == {*names}
                for title in names.values():
                    line = service.logged(f"{title} fails")[-1]
                    assert line["error"]
                    assert line["meanwhile"]
                    assert "hush" not in line["error"]
                if needed:
                    wait_for(lambda: service.get("readyz")[0] == 503, "the service not to be ready")
                    assert service.get("readyz")[1].startswith("Storage: failing for ")
                else:
                    assert service.get("readyz")[0] == 200
                assert service.get("healthz")[0] == 200
            wait_for(lambda: not any(failing(service).values()), f"{names} to work again")
            wait_for(lambda: len(service.logged("works again")) == logged + len(names), "the log to say so")  # noqa: B023
            service.wait_until_ready()
    assert service.stop() == 0


def failing(service: Service) -> dict[str, float]:
    """Dependency → for how long it has failed."""
    found = service.metric("dependency_failing_seconds")
    return {labels.split('"')[1]: seconds for labels, seconds in found.items()}


@pytest.mark.parametrize("away", AWAY)
def test_probes_say_whether_a_server_answers(
    away: str,
    rclone: RcloneServer,
    postgres: PostgresServer,
    redis_server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_credentials(monkeypatch)
    settings = rclone.new_bucket().settings(s3_read_timeout=0.5)
    redis_url = SecretStr(f"{redis_server.url}?socket_timeout=0.5")
    teams = PostgresTeams(SecretStr(postgres.url))
    breaker = RedisCircuitBreaker(redis_url, SystemClock(), Metrics())
    servers: list[tuple[ServerProcess, Callable[[], None]]] = [
        (rclone, open_storage(settings, Metrics()).probe),
        (redis_server, RedisRestrictions(redis_url).probe),
        (redis_server, breaker.probe),
        (postgres, teams.probe),
    ]
    for server, probe in servers:
        probe()
        probe()
        with AWAY[away](server), pytest.raises(StoreError) as refused:
            probe()
        assert "hush" not in str(refused.value)
    breaker.close()
    teams.close()
