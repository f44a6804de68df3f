"""`recording-worker run` with its batch files on S3."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from recording_worker.kafka.embedded import EmbeddedBroker
from recording_worker.reading.batch_files import read_blocks, read_index
from recording_worker.storage.locate import Locator
from tests.batch_files import make_dictionary
from tests.integration.conftest import StartService
from tests.integration.service import Service, Traffic, numbers_in, read_topic
from tests.servers.s3 import Bucket, MotoServer, use_credentials
from tests.waiting import wait_for

Start = Callable[[Bucket], Service]


@pytest.fixture
def start_on(start: StartService) -> Start:
    def start_service(bucket: Bucket) -> Service:
        service = start(workers=1, storage=f"{bucket.url}/recordings", s3_endpoint=bucket.server.endpoint)
        service.wait_until_ready()
        return service

    return start_service


def recorded(bucket: Bucket) -> Counter[int]:
    return numbers_in(map(bucket.content, bucket.all_keys()))


def test_each_message_is_in_one_object(
    start_on: Start, bucket: Bucket, broker: EmbeddedBroker, traffic: Traffic
) -> None:
    service = start_on(bucket)
    traffic.send(60)
    traffic.wait_until_committed()
    assert service.stop() == 0
    assert recorded(bucket) == dict.fromkeys(range(60), 1)
    assert bucket.open_uploads() == []
    blocks = read_topic(broker.bootstrap_servers, "clickhouse_session_replay_events")
    files = {record["block_url"].partition("?")[0] for record in blocks}
    assert files == {f"{bucket.url}/{key}" for key in bucket.all_keys()}
    assert all(url.startswith(f"{bucket.url}/recordings/blocks/30d/") for url in files)


def test_the_workers_store_their_dictionary_once(
    start: StartService, bucket: Bucket, traffic: Traffic, tmp_path: Path
) -> None:
    dictionary = make_dictionary()
    (given := tmp_path / "given").write_bytes(dictionary.content)
    storage = {"storage": bucket.url, "s3_endpoint": bucket.server.endpoint}
    service = start(workers=2, zstd_dictionary=str(given), **storage)
    service.wait_until_ready()
    traffic.send(60)
    traffic.wait_until_committed()
    assert service.stop() == 0
    key = f"blocks/dictionaries/{dictionary.id}"
    assert bucket.content(key) == dictionary.content
    files = list(Locator(bucket.settings()).find([bucket.url]))
    assert {file.name for file in files} | {f"{bucket.url}/{key}"} == {f"{bucket.url}/{at}" for at in bucket.all_keys()}
    assert {read_index(file).dictionary for file in files} == {dictionary.id}
    lines = b"".join(each.read() for found in read_blocks(files) if isinstance(found, list) for each in found)
    assert lines.count(b"\n") == 60


def test_an_error_that_does_not_pass_stops_the_worker_uncommitted(
    start_on: Start, moto: MotoServer, traffic: Traffic, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_credentials(monkeypatch)
    bucket = moto.new_bucket()
    service = start_on(bucket)
    bucket.client.delete_bucket(Bucket=bucket.name)
    traffic.send(60)
    wait_for(lambda: service.logged("worker can't start now"), "the worker to be started again, in vain")
    [failure] = service.logged("worker failed")
    assert failure["error"].startswith(f"can't write {bucket.url}/recordings/blocks/30d/")
    assert failure["error"].endswith(": there is no such bucket (NoSuchBucket: The specified bucket does not exist)")
    assert service.logged("trying again") == []
    assert set(traffic.committed().values()) == {0}
    bucket.client.create_bucket(Bucket=bucket.name)
    traffic.wait_until_committed()
    assert service.stop() == 0
    assert recorded(bucket) == dict.fromkeys(range(60), 1)
