"""A worker with `compatibility = posthog` records the sample once for each kind of storage."""

import json
from collections.abc import Iterable
from contextlib import ExitStack, closing
from typing import Any

import pytest
from confluent_kafka import Producer

from recording_worker.kafka.embedded import EmbeddedBroker
from recording_worker.messages import Message
from tests.integration.command import run
from tests.integration.conftest import OUTPUT_TOPICS, PARTITIONS
from tests.integration.service import TOPIC, Service, Traffic
from tests.posthog.written import DLQ, Written, blocked_message, messages, metadata_of, most_sessions, records_of
from tests.servers.redis import RedisServer
from tests.servers.s3 import MotoServer, use_credentials


@pytest.fixture(scope="package", params=["folder", "s3"])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, moto: MotoServer) -> Written:
    folder = tmp_path_factory.mktemp("posthog")
    with pytest.MonkeyPatch.context() as patch, EmbeddedBroker() as broker, ExitStack() as running:
        use_credentials(patch)
        redis_server = RedisServer(folder)
        redis_server.start()
        running.callback(redis_server.kill)
        broker.create_topic(TOPIC, PARTITIONS)
        for topic in OUTPUT_TOPICS:
            broker.create_topic(topic, 1)
        bucket = moto.new_bucket() if request.param == "s3" else None
        storage: dict[str, Any] = {} if bucket is None else {"storage": bucket.url, "s3_endpoint": moto.endpoint}
        service = Service(
            folder,
            broker.bootstrap_servers,
            workers=1,
            compatibility="posthog",
            sessions_redis=redis_server.patient_url,
            mark_sessions_seen=True,
            block_new_sessions=True,
            new_sessions_burst=most_sessions(),
            new_sessions_per_second=0.000001,
            **storage,
        )
        running.callback(service.kill)
        service.wait_until_ready()
        with closing(Traffic(broker.bootstrap_servers, PARTITIONS)) as traffic:
            for part in (messages(), [blocked_message()]):
                _send(broker, part)
                traffic.wait_until_committed(service)
        verified = run("verify", "--config", folder / "host.toml", "--posthog", "--json")
        assert service.stop() == 0
        root = (folder / "storage").as_uri() if bucket is None else bucket.url
        endpoint = "" if bucket is None else moto.endpoint
        records = metadata_of(broker.bootstrap_servers), records_of(broker.bootstrap_servers, DLQ)
        with redis_server.client() as client:
            found = {key: (client.get(key), client.ttl(key)) for key in client.scan_iter()}
        redis = {str(key): (str(value), int(ttl)) for key, (value, ttl) in found.items()}
    return Written(root, endpoint, *records, redis, json.loads(verified.out))


def _send(broker: EmbeddedBroker, some: Iterable[Message]) -> None:
    config = {"bootstrap.servers": broker.bootstrap_servers, "message.max.bytes": 16 * 1024 * 1024, "log_level": 0}
    with closing(Producer(config)) as producer:
        for message in some:
            producer.produce(
                TOPIC, message.value, message.key, headers=[*message.headers], timestamp=message.timestamp_ms
            )
        assert producer.flush(30) == 0
