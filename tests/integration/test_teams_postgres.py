"""Teams from PostgreSQL: what is read, and what happens to it if the server fails."""

import subprocess
import sys
import time

import psycopg
import pytest
import redis
from pydantic import SecretStr
from structlog.testing import capture_logs

from recording_worker.errors import BootError, ConfigError, StoreError
from recording_worker.lookups.refreshed import Refreshed
from recording_worker.lookups.teams.postgres import PostgresTeams
from recording_worker.lookups.teams.refreshed import RefreshedTeams
from recording_worker.lookups.teams.service import Team
from recording_worker.metrics import Metrics
from tests.builders import FakeClock
from tests.integration.conftest import StartService
from tests.integration.service import Traffic, recorded
from tests.servers.ports import free_ports
from tests.servers.postgres import PASSWORD, PostgresServer
from tests.waiting import wait_for


def read(server: PostgresServer) -> PostgresTeams:
    return PostgresTeams(SecretStr(server.url))


def refreshed(server: PostgresServer, clock: FakeClock) -> Refreshed[dict[str, Team]]:
    return Refreshed("teams", read(server).load, clock, Metrics(), interval=300, stale_after=1000)


def test_teams_that_take_recordings(postgres: PostgresServer) -> None:
    postgres.add_team(1, "phc_a", "30d")
    postgres.add_team(2, "phc_b", "5y", logs=False)
    postgres.add_team(3, "phc_c", None, logs=None)
    postgres.add_team(4, "phc_d", on=False)
    reading = read(postgres).load()
    assert reading.value == {
        "phc_a": Team(1, True, "30d"),
        "phc_b": Team(2, False, "5y"),
        "phc_c": Team(3, False, None),
    }
    assert (reading.entries, reading.rejected) == (3, [])


def test_rows_that_can_not_be_used_are_named_and_the_others_are_used(postgres: PostgresServer) -> None:
    postgres.add_team(1, "phc_a", "7d")
    postgres.add_team(2, None)
    postgres.add_team(3, "")
    postgres.add_team(4, "phc_a", "90d")
    postgres.add_team(-5, "phc_e")
    postgres.add_team(6, "phc_f", "1y")
    reading = read(postgres).load()
    assert reading.value == {"phc_a": Team(1, True, None), "phc_f": Team(6, True, "1y")}
    assert reading.rejected == [
        "team -5: its id is not a positive whole number",
        "team 1: its retention period is unknown: '7d'",
        "team 2: its token is not a text",
        "team 3: its token is not a text",
        "team 4: team 1 has the same token",
    ]


def test_columns_of_other_types_reject_the_rows_one_by_one(postgres: PostgresServer) -> None:
    postgres.execute("ALTER TABLE posthog_team ALTER id TYPE text")
    postgres.execute("ALTER TABLE posthog_team ALTER capture_console_log_opt_in TYPE text")
    postgres.execute("INSERT INTO posthog_team VALUES ('one', 'phc_a', 'yes', true, '30d')")
    reading = read(postgres).load()
    assert reading.value == {}
    assert reading.rejected == ["team 'one': its id is not a positive whole number"]


def test_a_new_team_is_known_after_the_next_refresh_and_a_failure_in_between_keeps_the_others(
    postgres: PostgresServer,
) -> None:
    postgres.add_team(1, "phc_a")
    clock = FakeClock()
    source = refreshed(postgres, clock)
    teams = RefreshedTeams(source)
    postgres.stop()
    clock.ms += 361_000
    with capture_logs() as logs:
        source.refresh_if_due()
    [line] = logs
    assert "refused" in line["error"]
    assert "\n" not in line["error"]
    assert teams.get("phc_a") == Team(1, True, "30d")
    postgres.start()
    postgres.add_team(2, "phc_b", "90d")
    postgres.execute("UPDATE posthog_team SET session_recording_opt_in = false WHERE id = 1")
    clock.ms += 36_000
    source.refresh_if_due()
    assert (teams.get("phc_a"), teams.get("phc_b")) == (None, Team(2, True, "90d"))


def test_an_emptied_table_is_an_error_but_all_recordings_off_is_not(postgres: PostgresServer) -> None:
    store = read(postgres)
    assert store.load().value == {}
    postgres.add_team(1, "phc_a")
    postgres.add_team(2, None)
    assert store.load().entries == 1
    postgres.execute("UPDATE posthog_team SET api_token = ''")
    with pytest.raises(StoreError, match="no row of posthog_team can be used, such as team 1: its token is not a text"):
        store.load()
    postgres.execute("DELETE FROM posthog_team")
    with pytest.raises(StoreError, match="posthog_team is empty"):
        store.load()
    postgres.add_team(1, "phc_a", on=False)
    assert store.load().value == {}
    postgres.execute("DELETE FROM posthog_team")
    assert store.load().value == {}


def test_an_unknown_token_requests_three_early_refreshes(postgres: PostgresServer) -> None:
    postgres.add_team(1, "phc_a")
    clock = FakeClock()
    source = refreshed(postgres, clock)
    teams = RefreshedTeams(source)
    postgres.add_team(2, "phc_b")
    clock.ms += 30_000
    for _ in range(2):
        assert (teams.get("phc_b"), teams.get("nobody's")) == (None, None)
        assert source.due - clock.monotonic() == 30
    clock.ms += 30_000
    for _ in range(2):
        source.refresh_if_due()
        assert (teams.get("phc_b"), teams.get("nobody's")) == (Team(2, True, "30d"), None)
        assert source.due - clock.monotonic() == 60
        clock.ms += 60_000
    source.refresh_if_due()
    assert teams.get("nobody's") is None
    assert source.due - clock.monotonic() >= 240
    assert source.readings == 4


def test_the_memory_for_unknown_tokens_is_bounded(postgres: PostgresServer) -> None:
    teams = RefreshedTeams(refreshed(postgres, FakeClock()))
    for number in range(30_000):
        assert teams.get("x" * 1_000 + str(number)) is None
    assert len(teams._requests) == 10_000
    assert all(isinstance(remembered, int) for remembered in teams._requests)


def test_a_server_that_hangs_is_given_up(postgres: PostgresServer) -> None:
    postgres.add_team(1, "phc_a")
    impatient = PostgresTeams(SecretStr(postgres.url), query_timeout=0.3)
    with psycopg.connect(postgres.url) as other:
        other.execute("LOCK TABLE posthog_team")
        with pytest.raises(StoreError, match="connection"):
            impatient.load()
    assert read(postgres).load().entries == 1


def test_an_error_of_the_server_is_one_line_without_the_password(postgres: PostgresServer) -> None:
    postgres.execute("DROP TABLE posthog_team")
    with pytest.raises(BootError, match='teams can\'t be read: relation "posthog_team" does not exist') as error:
        refreshed(postgres, FakeClock())
    assert "\n" not in str(error.value)
    wrong = PostgresTeams(SecretStr(postgres.url.replace(PASSWORD, "wrong-one")))
    with pytest.raises(StoreError, match="password authentication failed") as refused:
        wrong.load()
    assert "wrong-one" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["postgresql://u:5/hush@host/db?x", "postgresql://u@host:hush/db", "postgresql://u:hush@host/db?x=1"]
)
def test_an_invalid_url_is_not_shown(url: str) -> None:
    with pytest.raises(ConfigError) as error:
        PostgresTeams(SecretStr(url))
    assert "hush" not in str(error.value)


def test_the_service_keeps_its_teams_while_postgresql_is_away_and_takes_new_ones_after(
    postgres: PostgresServer, start: StartService, traffic: Traffic
) -> None:
    postgres.add_team(1, "token-1")
    service = start(any_token=False, teams_postgres=postgres.url, refresh_interval=0.2, stale_after=2.0)
    service.wait_until_ready()
    postgres.stop()
    traffic.send(20)
    wait_for(lambda: service.get("readyz")[0] == 503, "the service to find its teams too old")
    assert "teams were last read" in service.get("readyz")[1]
    assert service.metric("store_reads_total")['{outcome="failed",store="teams"}'] > 0
    traffic.send(20)
    traffic.wait_until_committed()
    assert recorded(service.storage) == dict.fromkeys(range(40), 1)

    postgres.start()
    postgres.execute("UPDATE posthog_team SET api_token = 'token-2'")
    wait_for(lambda: service.get("readyz")[0] == 200, "the service to be ready again")

    def recorded_last() -> bool:
        traffic.send(1)
        traffic.wait_until_committed()
        return recorded(service.storage)[traffic.sent - 1] == 1

    wait_for(lambda: not recorded_last(), "the old token to be unknown")
    postgres.add_team(2, "token-1")
    wait_for(recorded_last, "the new team to be known")
    assert service.stop() == 0
    assert PASSWORD not in service.log_file.read_text()


def test_the_service_does_not_start_without_its_teams(postgres: PostgresServer, start: StartService) -> None:
    postgres.stop()
    service = start(any_token=False, teams_postgres=postgres.url)
    started = time.monotonic()
    assert service.process.wait(30) == 3
    assert time.monotonic() - started < 30
    assert service.errors()[-1].startswith("teams can't be read: ")
    assert PASSWORD not in service.log_file.read_text()


def test_make_stores_runs_all_until_sigterm() -> None:
    ports = free_ports(2)
    command = [sys.executable, "-m", "tests.servers.stores", f"--postgres-port={ports[0]}", f"--redis-port={ports[1]}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(3)]
        urls = dict(part.split("=", 1) for part in told[1].split()[1:])
        with psycopg.connect(urls["POSTGRES"]) as connection:
            assert connection.execute("SELECT count(*) FROM posthog_team").fetchone() == (0,)
        with redis.Redis.from_url(urls["REDIS"]) as client:
            assert client.ping()
        process.terminate()
        assert process.wait(30) == 0
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(urls["POSTGRES"])


def test_a_connection_that_was_closed_is_no_failure_of_the_database(postgres: PostgresServer) -> None:
    teams = read(postgres)
    teams.probe()
    others = "backend_type = 'client backend' AND pid <> pg_backend_pid()"
    postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
    teams.probe()
    teams.close()
