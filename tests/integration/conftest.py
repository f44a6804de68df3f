from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from recording_worker.backoff import Backoff
from recording_worker.kafka.embedded import EmbeddedBroker
from recording_worker.lookups.redis import RedisCircuitBreaker
from recording_worker.metrics import Metrics
from tests.integration.deletion_stage import Ingested, Stage
from tests.integration.service import TOPIC, Service, Traffic
from tests.integration.sessions import CLOCK
from tests.servers.clickhouse import ClickHouse
from tests.servers.clickhouse_http import ClickHouseHttp, clickhouse_http
from tests.servers.fixtures import NewTopic
from tests.servers.kafka import KafkaServer
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer

PARTITIONS = 6
OUTPUT_TOPICS = (
    "clickhouse_session_replay_events",
    "log_entries",
    "clickhouse_ingestion_warnings",
    "session_recording_snapshot_item_dlq",
    "session_recording_snapshot_item_overflow",
    "session_recording_snapshot_item_backfill",
)

StartService = Callable[..., Service]


@pytest.fixture(scope="module")
def http(clickhouse: ClickHouse) -> Iterator[ClickHouseHttp]:
    """The ClickHouse of the module, over HTTP."""
    with clickhouse_http(clickhouse) as server:
        yield server


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as embedded:
        embedded.create_topic(TOPIC, PARTITIONS)
        for topic in OUTPUT_TOPICS:
            embedded.create_topic(topic, 1)
        yield embedded


@pytest.fixture
def traffic(broker: EmbeddedBroker) -> Iterator[Traffic]:
    numbered = Traffic(broker.bootstrap_servers, PARTITIONS)
    yield numbered
    numbered.close()


@pytest.fixture
def start(broker: EmbeddedBroker, tmp_path: Path) -> Iterator[StartService]:
    """Starts services, and kills at the end of the test what still runs of them."""
    services: list[Service] = []

    def start_service(name: str = "host", **settings: Any) -> Service:
        services.append(Service(tmp_path, broker.bootstrap_servers, name, **settings))
        return services[-1]

    yield start_service
    for service in services:
        service.kill()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def breaker(redis_server: RedisServer, metrics: Metrics) -> Iterator[RedisCircuitBreaker]:
    """Redis as the pipeline asks it, probed often, so that it is soon asked again when it is back."""
    breaker = RedisCircuitBreaker(SecretStr(redis_server.patient_url), CLOCK, metrics, backoff=Backoff(0.02, 30))
    yield breaker
    breaker.close()


@pytest.fixture(scope="module")
def ingested(_postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingested]:
    made = Ingested(tmp_path_factory.mktemp("deletion"), _postgres_server)
    yield made
    made.recordings.store.close()


@pytest.fixture
def deletion_stage(
    ingested: Ingested, kafka: KafkaServer, redis_server: RedisServer, new_topic: NewTopic, tmp_path: Path
) -> Stage:
    ingested.restore()
    return Stage(ingested.recordings, kafka, redis_server, new_topic, tmp_path)
