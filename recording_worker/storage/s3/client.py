"""The client for S3."""

from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from recording_worker import __version__
from recording_worker.errors import ConfigError
from recording_worker.settings.model import Settings

S3Client = Any
"""boto3 makes the class of its client when it runs."""


def connect(settings: Settings, connections: int) -> S3Client:
    """Return a client for up to `connections` requests at a time, with credentials as boto3 finds them.

    It does not retry (`s3/retry.py` does) and adds no checksums. `s3/upload.py` gives checksums as plain headers,
    which servers without checksums ignore. boto3 would send its own as trailers over https,
    which such servers refuse. What is read has checksums of its own. Raises ConfigError.
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
