"""What key stores ask of AWS: clients of DynamoDB and KMS, and their errors."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from recording_worker import __version__
from recording_worker.errors import ConfigError, StoreError
from recording_worker.text import error_line


def aws_client(service: str, region: str | None, endpoint: str | None, *, connections: int = 1) -> Any:
    """Return a client that retries throttled requests, with jitter. `endpoint`: None for AWS. Raises ConfigError."""
    config = Config(
        connect_timeout=2.0,
        read_timeout=5.0,
        max_pool_connections=connections,
        retries={"mode": "standard", "total_max_attempts": 4},
        tcp_keepalive=True,
        user_agent_extra=f"recording-worker/{__version__}",
    )
    try:
        return boto3.session.Session().client(service, region_name=region, endpoint_url=endpoint, config=config)
    except (BotoCoreError, ValueError) as error:
        raise ConfigError(f"can't use {service} of AWS: {error}") from error


def asked(request: Callable[[], Any]) -> Any:
    """Make a request, and return its answer. Raises StoreError."""
    try:
        return request()
    except (ClientError, BotoCoreError) as error:
        raise StoreError(error_line(error)) from error


def decrypted_by_kms(ciphertext: bytes, region: str | None, endpoint: str | None) -> bytes:
    """Return what KMS has encrypted with a symmetric key. Raises StoreError, ConfigError."""
    with closing(aws_client("kms", region, endpoint)) as kms:
        key: bytes = asked(lambda: kms.decrypt(CiphertextBlob=ciphertext))["Plaintext"]
        return key
