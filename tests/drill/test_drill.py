"""The operator's drill: ten things break, and each is seen on the page, in a metric, by an alert and in the log.

docs/operate/drill.md describes it.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import hooks
from tests.drill import scene
from tests.drill.scene import Scene, Servers, Trouble
from tests.integration.service import Service
from tests.integration.test_run_exactly_once import Recording, create_topics
from tests.limits import small_folder
from tests.servers.faulty_proxy import FaultyProxy
from tests.servers.fixtures import NewTopic
from tests.servers.kafka import KafkaServer
from tests.servers.postgres import PostgresServer
from tests.servers.prometheus import PrometheusServer
from tests.servers.redis import RedisServer
from tests.servers.s3 import RcloneServer, use_credentials
from tests.waiting import wait_for

ALERTS = Path(__file__).parents[2] / "deploy" / "prometheus" / "alerts.yml"
Status = dict[str, Any]
RECORDED = '{disposition="ok",reason=""}'


def failing(dependency: str) -> dict[str, Any]:
    """Return where it is seen that a dependency fails."""

    def seen_in_metrics(service: Service) -> bool:
        return service.metric("dependency_failing_seconds")[f'{{dependency="{dependency}"}}'] > 0

    def seen_on_page(status: Status) -> bool:
        return any(each["name"] == dependency and each["problem"] for each in status["dependencies"])

    return {"metric": seen_in_metrics, "page": seen_on_page}


def counted(name: str, labels: str = "") -> Callable[[Service], bool]:
    return lambda service: service.metric(name).get(labels, 0) > 0


def an_error(text: str) -> Callable[[Status], bool]:
    return lambda status: any(text in each["text"] for each in status["errors"])


TROUBLES = [
    Trouble(scene.broker_killed, "KafkaSilent", "Kafka fails", **failing("kafka")),
    Trouble(scene.broker_frozen, "KafkaSilent", "Kafka fails", **failing("kafka")),
    Trouble(scene.s3_refused, "StorageFailing", "Storage fails", **failing("storage")),
    Trouble(
        scene.s3_slow,
        "FlushSlow",
        "flush took long",
        metric=lambda service: service.metric("flush_seconds_sum")[""] > 5,
        page=lambda status: (status["flushes"]["mean_seconds"] or 0) > 1,
    ),
    Trouble(scene.redis_away, "RedisFailing", "Redis (sessions) fails", **failing("sessions_redis")),
    Trouble(scene.postgres_away, "PostgresFailing", "PostgreSQL (teams) fails", **failing("teams_postgres")),
    Trouble(
        scene.worker_killed,
        "WorkersRestarting",
        "worker ended",
        metric=counted("worker_restarts_total", '{reason="killed"}'),
        page=lambda status: any(each["restarts"] for each in status["workers"]),
    ),
    Trouble(
        scene.poison_message,
        "DlqGrows",
        "message ends its worker",
        metric=counted("messages_total", '{disposition="dlq",reason="worker_crashed"}'),
        page=lambda status: any(each["reason"] == "worker_crashed" for each in status["dlq"]),
    ),
    Trouble(
        scene.disk_full,
        "FlushFailing",
        "worker failed",
        metric=counted("flush_failures_total"),
        page=an_error("No space left"),
    ),
    Trouble(
        scene.slow_consumer,
        "LagGrows",
        "falls behind",
        metric=lambda service: sum(service.metric("lag_messages").values()) > 10_000,
        page=lambda status: status["bottleneck"]["who"].startswith("Worker"),
    ),
]


@pytest.fixture(scope="module")
def proxy(rclone: RcloneServer) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(rclone.port, 0, writes=0, others=0)
    yield proxy
    proxy.close()


@pytest.fixture
def a_scene(
    kafka: KafkaServer,
    rclone: RcloneServer,
    proxy: FaultyProxy,
    postgres: PostgresServer,
    redis_server: RedisServer,
    new_topic: NewTopic,
    group: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Scene]:
    use_credentials(monkeypatch)
    postgres.add_team(1, "token-1")
    recording = Recording(tmp_path, kafka.bootstrap_servers, group, create_topics(new_topic))
    yield Scene(tmp_path, Servers(kafka, rclone, proxy, postgres, redis_server), recording)
    recording.close()


@pytest.mark.parametrize("trouble", TROUBLES, ids=str)
def test_trouble_is_seen(trouble: Trouble, a_scene: Scene, tmp_path: Path) -> None:
    with small_folder(a_scene.disk, 1536):
        a_scene.start(on_disk=trouble.cause is scene.disk_full, environment=hooks.environment(tmp_path))
        service, recording = a_scene.service, a_scene.recording
        recording.traffic.send(60)
        recording.traffic.wait_until_committed(service)
        assert service.status()["level"] == "good"
        assert service.counts("messages_total") == {RECORDED: 60}
        with PrometheusServer(tmp_path, [service.address], ALERTS) as prometheus:
            wait_for(lambda: prometheus.scrapes(), "Prometheus to scrape the service")
            assert prometheus.firing() == set()
            with trouble.cause(a_scene):
                wait_for(lambda: service.logged(trouble.log), "the log to say it")
                wait_for(lambda: trouble.page(service.status()), "the page to say it")
                wait_for(lambda: trouble.metric(service), "the metric to say it")
                wait_for(lambda: f"RecordingWorker{trouble.alert}" in prometheus.firing(), "the alert to fire")
            recording.traffic.wait_until_committed(service)
            wait_for(lambda: service.get("readyz")[0] == 200, "the service to be ready again")
        assert service.stop() == 0
