"""The client for S3: which URL a request goes to, and how long and by how many connections."""

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from recording_worker.errors import ConfigError
from recording_worker.metrics import Metrics
from recording_worker.settings.model import Settings
from recording_worker.storage.s3.backend import S3Storage
from recording_worker.storage.s3.client import connect
from recording_worker.storage.s3.location import S3Location
from tests.servers.s3 import use_credentials

ENDPOINT = "http://storage.test:9000"


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    use_credentials(monkeypatch)


def asked(**settings: Any) -> str:
    """The URL that the object `a/key` of `bucket` is asked for at."""
    client = connect(Settings(storage="s3://bucket", **settings), connections=1)
    urls: list[str] = []

    def answer(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        urls.append(str(request.url))
        return AWSResponse(request.url, 200, {}, SimpleNamespace(stream=list))

    client.meta.events.register("before-send.s3", answer)
    client.head_object(Bucket="bucket", Key="a/key")
    [url] = urls
    return url


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({"s3_region": "eu-west-1"}, "https://bucket.s3.eu-west-1.amazonaws.com/a/key"),
        ({"s3_region": "eu-west-1", "s3_addressing": "path"}, "https://s3.eu-west-1.amazonaws.com/bucket/a/key"),
        ({"s3_endpoint": ENDPOINT}, f"{ENDPOINT}/bucket/a/key"),
        ({"s3_endpoint": ENDPOINT, "s3_addressing": "path"}, f"{ENDPOINT}/bucket/a/key"),
        ({"s3_endpoint": ENDPOINT, "s3_addressing": "virtual"}, "http://bucket.storage.test:9000/a/key"),
        ({"s3_endpoint": f"{ENDPOINT}/"}, f"{ENDPOINT}/bucket/a/key"),
        ({"s3_endpoint": f"{ENDPOINT}/s3"}, f"{ENDPOINT}/s3/bucket/a/key"),
        ({"s3_endpoint": f"{ENDPOINT}/s3/", "s3_addressing": "virtual"}, "http://bucket.storage.test:9000/s3/a/key"),
    ],
)
def test_endpoint_region_and_addressing_decide_the_url(settings: dict[str, Any], url: str) -> None:
    assert asked(**settings) == url


def test_timeouts_connections_and_no_retries_of_its_own() -> None:
    settings = Settings(storage="s3://bucket", s3_connect_timeout=1.5, s3_read_timeout=2.5, s3_uploads=7)
    config = S3Storage(S3Location("bucket", ""), settings, Metrics())._client.meta.config
    assert (config.connect_timeout, config.read_timeout, config.max_pool_connections) == (1.5, 2.5, 9)
    assert config.retries["total_max_attempts"] == 1


@pytest.mark.parametrize("url", ["s3:/bucket", "s3://", "bucket", "s3://bucket?x", "http://bucket/key", ""])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"is not s3://BUCKET or s3://BUCKET/KEY"):
        S3Location.parse(url)


@pytest.mark.parametrize(
    ("url", "key", "below"), [("s3://b", "", "k"), ("s3://b/", "", "k"), ("s3://b/a/", "a/", "a/k")]
)
def test_locations(url: str, key: str, below: str) -> None:
    location = S3Location.parse(url)
    assert (location.bucket, location.key, location.below("k").key) == ("b", key, below)
