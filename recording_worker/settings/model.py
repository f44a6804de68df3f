"""All settings, parsed and validated once; below the command line nobody reads the environment.

A setting is a field here, and by that a flag (`--max-batch-bytes`), an environment
variable (`RECORDING_WORKER_MAX_BATCH_BYTES`) and a key of the TOML file
(`max_batch_bytes`). A flag beats the environment, which beats the file, which
beats the default. An empty environment variable counts as not set.
"""

import os
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    field_validator,
    model_validator,
)

MIB = 1024 * 1024


class Codec(StrEnum):
    """How a session's block is compressed."""

    ZSTD = "zstd"
    SNAPPY = "snappy"


class Delivery(StrEnum):
    """What a crash may do to what was already read: nothing, or have it recorded twice."""

    EXACTLY_ONCE = "exactly_once"
    AT_LEAST_ONCE = "at_least_once"


class StartFrom(StrEnum):
    """Where a partition without a committed offset begins."""

    EARLIEST = "earliest"
    LATEST = "latest"


class OnOffsetGap(StrEnum):
    """What becomes of a partition whose log was cut past the offset that is to be read next."""

    STOP = "stop"
    EARLIEST = "earliest"
    LATEST = "latest"


class GroupProtocol(StrEnum):
    """Kafka's consumer group protocol: the classic one, or that of KIP-848."""

    CLASSIC = "classic"
    CONSUMER = "consumer"


class S3Addressing(StrEnum):
    """Where an S3 bucket stands in the URLs of requests: before the host, or first in the path."""

    AUTO = "auto"
    PATH = "path"
    VIRTUAL = "virtual"


class LogLevel(StrEnum):
    """The least serious messages that are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


_S3_URL = re.compile(r"s3://[A-Za-z0-9][A-Za-z0-9._-]+[A-Za-z0-9](/[^?#]*)?")
_BYTE_SIZE = TypeAdapter(ByteSize)


def _parse_size(value: object) -> object:
    """`64MiB` and the like, as bytes."""
    return int(_BYTE_SIZE.validate_python(value)) if isinstance(value, str) else value


def _dotted_keys(value: object) -> dict[str, str | int | float | bool]:
    """A TOML table of librdkafka properties, its keys quoted ("security.protocol") or not (security.protocol)."""
    if not isinstance(value, dict):
        raise ValueError("must be a table of librdkafka properties")
    flat: dict[str, str | int | float | bool] = {}
    for key, entry in value.items():
        if isinstance(entry, dict):
            flat.update(_dotted_keys({f"{key}.{rest}": deeper for rest, deeper in entry.items()}))
        elif isinstance(entry, str | int | float):
            flat[key] = entry
        else:
            raise ValueError(f"{key} must be a text, a number, true or false")
    return flat


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


PositiveInt = Annotated[int, Field(gt=0)]
PositiveNumber = Annotated[float, Field(gt=0, allow_inf_nan=False)]
PositiveSeconds = PositiveNumber
Bytes = Annotated[int, BeforeValidator(_parse_size), Field(gt=0)]
Properties = Annotated[dict[str, str | int | float | bool], BeforeValidator(_dotted_keys)]


class Settings(BaseModel):
    """The worker's settings. Frozen and picklable; made by `load_settings`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Kafka
    bootstrap_servers: str = Field("127.0.0.1:9092", description="Kafka brokers, host:port, separated by commas.")
    topic: str = Field("session_recording_snapshot_item_events", description="Topic to read recordings from.")
    group_id: str = Field("session-recordings", description="Kafka consumer group.")
    group_protocol: GroupProtocol = Field(
        GroupProtocol.CLASSIC, description="Kafka group protocol: classic (cooperative-sticky) or consumer (KIP-848)."
    )
    start_from: StartFrom = Field(
        StartFrom.EARLIEST, description="Where a partition without a committed offset begins."
    )
    group_instance_id: str | None = Field(
        None,
        pattern=r"^[a-zA-Z0-9._-]{1,249}$",
        description="Name of this host in the group, other than every other's: a restart within the session timeout"
        " then moves no partitions.",
    )
    on_offset_gap: OnOffsetGap = Field(
        OnOffsetGap.STOP,
        description="Where a partition goes on whose log was cut past the next offset: nowhere (stop), at the log's"
        " beginning (earliest) or end (latest).",
    )
    delivery: Delivery = Field(
        Delivery.EXACTLY_ONCE,
        description="Delivery guarantee; at_least_once is for brokers without transactions.",
    )
    metadata_topic: str = Field("clickhouse_session_replay_events", description="Topic for block metadata.")
    console_logs_topic: str = Field("log_entries", description="Topic for console logs.")
    warnings_topic: str = Field("clickhouse_ingestion_warnings", description="Topic for ingestion warnings.")
    dlq_topic: str = Field("session_recording_snapshot_item_dlq", description="Topic for messages that can't be read.")
    overflow_topic: str = Field(
        "session_recording_snapshot_item_overflow",
        description="Topic for messages redirected by restrictions, and of hot sessions.",
    )
    backfill_topic: str = Field(
        "session_recording_snapshot_item_backfill", description="Topic for messages that waited too long."
    )
    dlq_audit_topic: str = Field(
        "session_recording_snapshot_item_dlq_audit",
        description="Topic where the dlq commands keep what became of DLQ messages.",
    )
    kafka: Properties = Field({}, repr=False, description="librdkafka properties of every client.")
    kafka_consumer: Properties = Field({}, repr=False, description="librdkafka properties of the consumers.")
    kafka_producer: Properties = Field({}, repr=False, description="librdkafka properties of the producers.")

    # teams and restrictions
    teams: Path | None = Field(None, description="TOML file of teams ([[team]] tables: id, token, retention, …).")
    teams_postgres: SecretStr | None = Field(
        None, description="PostgreSQL database with PostHog's posthog_team, postgresql://USER:PASSWORD@HOST/DATABASE."
    )
    any_token: bool = Field(False, description="Take every token as a team: retention 30d, console capture on.")
    restrictions: Path | None = Field(None, description="TOML file of restrictions ([[restriction]] tables).")

    restrictions_redis: SecretStr | None = Field(
        None, description="Redis with PostHog's event restrictions, beside those of the file; read every 30 s."
    )
    sessions_redis: SecretStr | None = Field(
        None, description="Redis that knows the sessions and their retention periods, redis://:PASSWORD@HOST:6379/0."
    )
    new_sessions_burst: PositiveInt = Field(
        3000, description="Sessions a team may begin at once, a worker process; needs sessions_redis."
    )
    new_sessions_per_second: PositiveNumber = Field(
        300.0, description="Sessions a team may begin a second in the long run, a worker process."
    )
    block_new_sessions: bool = Field(
        False, description="Drop sessions that begin beyond that, whole ones; otherwise they are only counted."
    )
    refresh_interval: PositiveSeconds = Field(
        300.0, description="How often teams and restrictions are read again, at least; seconds, give or take a fifth."
    )
    stale_after: PositiveSeconds = Field(
        1800.0, description="Not ready once teams or restrictions could not be read for this long, seconds."
    )

    # what is accepted
    max_decompressed_bytes: Bytes = Field(64 * MIB, description="Largest message after decompression.")
    max_timestamp_diff_days: PositiveSeconds = Field(
        7.0, description="Drop messages whose first or last event is this many days or more from now."
    )
    max_events_per_session_per_batch: PositiveInt | None = Field(
        None, description="Drop a session's part of a batch once it has more events than this; unlimited if not set."
    )
    hot_session_bytes_per_minute: Bytes | None = Field(
        None,
        description="A session that sends more than this within a minute, as carried, goes to the overflow topic;"
        " none if not set.",
    )
    lag_shed_after: PositiveSeconds | None = Field(
        None, description="Messages older than this go to the backfill topic, seconds; none if not set."
    )
    lag_shed_share: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="Share of the sessions whose old messages go to the backfill topic, chosen by session id."
    )
    dlq_halt_consecutive: PositiveInt | None = Field(
        None, description="A partition halts when so many of its messages in a row are for the DLQ."
    )
    dlq_halt_ratio: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="A partition halts when more than this share of its last messages is for the DLQ."
    )
    dlq_halt_window: PositiveInt = Field(
        1000, description="How many last messages of a partition dlq_halt_ratio is of; fewer don't halt it."
    )
    warning_debounce_seconds: PositiveSeconds = Field(
        3600.0, description="At most one ingestion warning per team, type and key in this time."
    )

    # session batches
    storage_dir: Path | None = Field(None, description="Local folder for batch files.")
    storage: str | None = Field(
        None,
        description="Where batch files go instead: s3://BUCKET[/PREFIX], or blackhole: which writes nothing,"
        " for benchmarks.",
    )
    s3_endpoint: str | None = Field(
        None, pattern=r"^https?://[^/?#]+/?$", description="URL of an S3-compatible server; Amazon's if not set."
    )
    s3_region: str | None = Field(None, min_length=1, description="Region of the bucket; as boto3 finds it if not set.")
    s3_addressing: S3Addressing = Field(
        S3Addressing.AUTO,
        description="Where the bucket stands in URLs: in the path, or in the host name (virtual); auto: in the path"
        " with an endpoint, else in the host name.",
    )
    s3_connect_timeout: PositiveSeconds = Field(5.0, description="Longest wait for a connection to S3, seconds.")
    s3_read_timeout: PositiveSeconds = Field(30.0, description="Longest wait for an answer of S3, seconds.")
    s3_uploads: PositiveInt = Field(4, description="Parts of a file uploaded at a time, by each worker.")
    s3_retry_for: PositiveSeconds = Field(
        60.0, description="How long the upload of a file is tried again after it failed first, seconds."
    )
    storage_prefix: str = Field("blocks", description="First part of every batch file's key.")
    codec: Codec = Field(Codec.ZSTD, description="Compression of blocks: zstd (indexed files) or snappy.")
    zstd_level: Annotated[int, Field(ge=-7, le=19)] = Field(3, description="zstd compression level.")
    unpack_client_compression: bool | None = Field(
        None,
        description='Write what the client packed ("cv": "2024-10") unpacked; if not set: with codec zstd, not snappy.',
    )
    max_batch_bytes: Bytes = Field(100 * MIB, description="Flush when a batch holds this many raw bytes.")
    max_batch_age: PositiveSeconds = Field(10.0, description="Flush when a batch is this old, seconds.")

    # processes
    workers: PositiveInt = Field(
        default_factory=lambda: len(os.sched_getaffinity(0)), description="Worker processes; default: the host's cores."
    )
    poll_messages: PositiveInt = Field(500, description="Most messages a poll takes.")
    poll_timeout: PositiveSeconds = Field(0.2, description="Longest wait of a poll, seconds.")
    fetch_queue_bytes: Bytes = Field(64 * MIB, description="Fetched but unread bytes a worker may hold.")
    max_decoded_bytes: Bytes = Field(
        128 * MIB, description="Decoded bytes of one poll a worker may hold; the rest of the poll waits."
    )
    drain_deadline: PositiveSeconds = Field(20.0, description="Longest flush on revoke and on stop, seconds.")
    progress_deadline: PositiveSeconds = Field(
        120.0, description="A worker that makes no progress for this long is killed, seconds."
    )
    debug_partition: Annotated[int, Field(ge=0)] | None = Field(
        None, description="Log every batch of this partition at debug level."
    )
    ops_host: str = Field("127.0.0.1", description="Address of the ops server (/metrics, /healthz, /readyz, /).")
    ops_port: Annotated[int, Field(ge=0, le=65535)] = Field(9600, description="Port of the ops server; 0 takes any.")
    log_level: Annotated[LogLevel, BeforeValidator(_lower)] = Field(
        LogLevel.INFO, description="Least serious log messages shown."
    )
    log_json: bool = Field(False, description="Log JSON lines instead of text.")

    @field_validator("storage")
    @classmethod
    def _known_storage(cls, value: str | None) -> str | None:
        if value is None or value == "blackhole:" or _S3_URL.fullmatch(value):
            return value
        raise ValueError("must be s3://BUCKET, s3://BUCKET/PREFIX or blackhole: (use storage_dir for a local folder)")

    @field_validator("teams_postgres")
    @classmethod
    def _postgres_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("must begin with postgresql://")
        return value

    @field_validator("sessions_redis", "restrictions_redis")
    @classmethod
    def _redis_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must begin with redis://, rediss:// or unix://")
        return value

    @field_validator("storage_prefix")
    @classmethod
    def _stays_below(cls, value: str) -> str:
        if ".." in value.split("/"):
            raise ValueError("must not lead out of the storage with ..")
        return value

    @model_validator(mode="after")
    def _one_of_each(self) -> "Settings":
        teams = {"teams": self.teams, "teams_postgres": self.teams_postgres, "any_token": self.any_token or None}
        if len(given := [name for name, value in teams.items() if value is not None]) > 1:
            raise ValueError(f"{' and '.join(given)} exclude each other")
        if self.block_new_sessions and self.sessions_redis is None:
            raise ValueError("block_new_sessions needs sessions_redis")
        if self.storage is not None and self.storage_dir is not None:
            raise ValueError("storage and storage_dir exclude each other")
        return self

    @property
    def unpacks_client_compression(self) -> bool:
        """Whether what the client packed is written unpacked: as set, or else where the codec makes it smaller so."""
        if self.unpack_client_compression is not None:
            return self.unpack_client_compression
        return self.codec is Codec.ZSTD

    @property
    def consumes_overflow(self) -> bool:
        """Whether this worker reads the overflow topic, and so must not redirect to it."""
        return self.topic == self.overflow_topic

    @property
    def consumes_backfill(self) -> bool:
        """Whether this worker reads the backfill topic, where all messages are old."""
        return self.topic == self.backfill_topic
