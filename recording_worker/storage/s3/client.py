"""Where on S3 something is, and the client for it."""

import re
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from recording_worker import __version__
from recording_worker.errors import ConfigError
from recording_worker.settings.model import Settings

S3Client = Any
"""boto3 makes the class of its client when it runs."""

_URL = re.compile(r"s3://(?P<bucket>[^/?#]+)(?:/(?P<key>[^?#]*))?")


@dataclass(frozen=True, slots=True)
class S3Place:
    """A bucket, and a key or the beginning of keys in it."""

    bucket: str
    key: str

    @classmethod
    def of(cls, url: str) -> "S3Place":
        """The place of `s3://BUCKET[/KEY]`. Raises ConfigError for anything else."""
        found = _URL.fullmatch(url)
        if found is None:
            raise ConfigError(f"{url} is not s3://BUCKET or s3://BUCKET/KEY")
        return cls(found["bucket"], found["key"] or "")

    def below(self, key: str) -> "S3Place":
        """The place of this key under this one."""
        return S3Place(self.bucket, "/".join(filter(None, (self.key.strip("/"), key))))

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}" if self.key else f"s3://{self.bucket}"


def connect(settings: Settings, connections: int) -> S3Client:
    """A client for up to this many requests at a time; credentials as boto3 finds them. Raises ConfigError.

    It tries nothing again by itself: see `s3/retry.py`. Nor does it add checksums: they are given where data is
    written, as plain headers, which servers that know no checksums ignore (boto3's own are trailers over
    https, which such servers refuse). What is read has checksums of its own.
    """
    config = Config(
        connect_timeout=settings.s3_connect_timeout,
        read_timeout=settings.s3_read_timeout,
        max_pool_connections=connections,
        retries={"mode": "standard", "total_max_attempts": 1},
        s3={"addressing_style": settings.s3_addressing.value},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        tcp_keepalive=True,
        user_agent_extra=f"recording-worker/{__version__}",
    )
    try:
        return boto3.session.Session().client(
            "s3", region_name=settings.s3_region, endpoint_url=settings.s3_endpoint, config=config
        )
    except (BotoCoreError, ValueError) as error:
        raise ConfigError(f"can't use S3: {error}") from error
