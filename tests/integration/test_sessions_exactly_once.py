"""What Redis remembers of sessions loses nothing if batches are read again: on Apache Kafka, with killed workers."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.committed import committed_numbers, committed_records
from tests.integration.service import Service
from tests.integration.test_run_exactly_once import Recording, create_topics
from tests.servers.fixtures import NewTopic
from tests.servers.kafka import KafkaServer
from tests.servers.redis import RedisServer
from tests.waiting import wait_for

SESSIONS = 36
"""A multiple of the partitions, so that each session is in one."""
AGAIN = 2 * SESSIONS
"""Messages that are read twice."""


@pytest.fixture
def host(kafka: KafkaServer, new_topic: NewTopic, group: str, tmp_path: Path) -> Iterator[Recording]:
    found = Recording(tmp_path, kafka.bootstrap_servers, group, create_topics(new_topic))
    found.traffic.sessions = SESSIONS
    yield found
    found.close()


def wait_until_read(service: Service, messages: int) -> None:
    """Wait until this many messages, counted as often as they were read, are through the pipeline."""
    wait_for(
        lambda: sum(service.metric("messages_processed_total").values()) == messages,
        f"{messages} messages to be read",
        60,
    )


def kill_workers_with_marks_set_and_nothing_committed(
    host: Recording, service: Service, redis_server: RedisServer
) -> None:
    """Send messages of every session, and kill the workers once Redis knows the sessions, long before a flush."""
    host.traffic.send(AGAIN)
    with redis_server.client() as client:
        wait_for(lambda: len(client.keys("*session-begun*")) == SESSIONS, "Redis to know all sessions")
        assert client.keys("*session-seen*") == []
    wait_until_read(service, host.traffic.sent)
    assert set(host.traffic.committed().values()) == {0}
    killed = set(service.worker_pids().values())
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: killed.isdisjoint(service.worker_pids().values()), "workers in their place")
    service.wait_until_ready()


def test_messages_of_sessions_seen_in_an_aborted_batch_are_recorded(host: Recording, redis_server: RedisServer) -> None:
    service = host.start(sessions_redis=redis_server.patient_url, block_new_sessions=True, max_batch_age=300.0)
    service.wait_until_ready()
    kill_workers_with_marks_set_and_nothing_committed(host, service, redis_server)
    host.traffic.send(2 * SESSIONS)
    wait_until_read(service, AGAIN + host.traffic.sent)
    assert service.stop() == 0
    host.assert_each_once()


def test_sessions_are_whole_or_not_there_whatever_is_read_again(
    kafka: KafkaServer, host: Recording, redis_server: RedisServer
) -> None:
    service = host.start(
        sessions_redis=redis_server.patient_url,
        mark_sessions_seen=True,
        block_new_sessions=True,
        new_sessions_burst=10,
        new_sessions_per_second=0.001,
        max_batch_age=300.0,
    )
    service.wait_until_ready()
    kill_workers_with_marks_set_and_nothing_committed(host, service, redis_server)
    host.traffic.send(2 * SESSIONS)
    wait_until_read(service, AGAIN + host.traffic.sent)
    assert service.stop() == 0
    with redis_server.client() as client:
        blocked, seen = (
            {int(key.rpartition("-")[2]) for key in client.keys(f"*session-{what}*")} for what in ("blocked", "seen")
        )
    assert 0 < len(blocked) < SESSIONS
    stored = committed_numbers(kafka.bootstrap_servers, host.topics["metadata_topic"])
    assert stored == {number: 1 for number in range(host.traffic.sent) if number % SESSIONS not in blocked}
    assert seen == {number % SESSIONS for number in stored}


def test_a_period_that_changes_in_between_changes_no_session_that_began_before(
    kafka: KafkaServer, host: Recording, redis_server: RedisServer, tmp_path: Path
) -> None:
    teams = tmp_path / "teams.toml"
    team = '[[team]]\nid = 1\ntoken = "token-1"\nretention = "{}"\n'
    teams.write_text(team.format("30d"))
    service = host.start(
        any_token=False,
        teams=str(teams),
        refresh_interval=0.2,
        sessions_redis=redis_server.patient_url,
        max_batch_age=300.0,
    )
    service.wait_until_ready()
    kill_workers_with_marks_set_and_nothing_committed(host, service, redis_server)
    teams.write_text(team.format("1y"))
    read = '{outcome="read",store="teams"}'
    wait_for(lambda: service.metric("store_reads_total")[read] == 6, "both workers to have read the file again")
    host.traffic.sessions = 2 * SESSIONS
    host.traffic.send(2 * SESSIONS)
    wait_until_read(service, AGAIN + host.traffic.sent)
    assert service.stop() == 0
    host.assert_each_once()
    records = [
        json.loads(record.value())
        for record in committed_records(kafka.bootstrap_servers, host.topics["metadata_topic"])
    ]
    began_before = {record["session_id"]: int(record["session_id"].rpartition("-")[2]) < SESSIONS for record in records}
    for record in records:
        assert record["retention_period_days"] == (30 if began_before[record["session_id"]] else 365)
