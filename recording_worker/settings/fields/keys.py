"""Settings of encryption: where the keys of sessions are."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from recording_worker.settings.choices import KeyStoreKind
from recording_worker.settings.fields.base import Fields
from recording_worker.settings.types import LOWERED, HttpUrl, PostgresUrl, RedisUrl, Seconds


class KeyFields(Fields):
    """Settings of encryption: where the keys of sessions are."""

    key_store: Annotated[KeyStoreKind, LOWERED] = Field(
        KeyStoreKind.NONE, description="Encrypt each session with a key of its own, and keep the keys there."
    )
    keys_postgres: PostgresUrl | None = Field(
        None, description="PostgreSQL database with the table of keys, for key store postgres."
    )
    keys_master_file: Path | None = Field(
        None,
        description="File of master keys, for key store postgres: one per line, in base64; the first one encrypts.",
    )
    keys_table: str = Field("session-recording-keys", description="Table of key store dynamodb.")
    keys_kms_key: str = Field(
        "alias/session-replay-master-key", description="Key of KMS that encrypts the keys of key store dynamodb."
    )
    keys_region: str | None = Field(None, description="AWS region of DynamoDB and KMS; boto3 finds it if not set.")
    keys_endpoint: HttpUrl | None = Field(None, description="Address of DynamoDB and KMS, if they are not at AWS.")
    key_check_interval: Seconds = Field(
        120.0, description="How often a worker asks whether a session it records has been deleted."
    )
    keys_redis: RedisUrl | None = Field(
        None,
        description="Redis of PostHog's reader, which keeps keys there for a day; `delete` removes them.",
    )
