"""All settings, parsed and validated once; below the command line nobody reads the environment.

A setting is a field here, and by that a flag (`--max-batch-bytes`), an environment
variable (`RECORDING_WORKER_MAX_BATCH_BYTES`) and a key of the TOML file
(`max_batch_bytes`). A flag beats the environment, which beats the file, which
beats the default.
"""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from recording_worker.errors import ConfigError

ENV_PREFIX = "RECORDING_WORKER_"
MIB = 1024 * 1024


class Codec(StrEnum):
    """How a session's block is compressed."""

    ZSTD = "zstd"
    SNAPPY = "snappy"


class Delivery(StrEnum):
    """What a crash may do to what was already read."""

    AT_LEAST_ONCE = "at_least_once"


class StartFrom(StrEnum):
    """Where a partition without a committed offset begins."""

    EARLIEST = "earliest"
    LATEST = "latest"


class GroupProtocol(StrEnum):
    """Kafka's consumer group protocol: the classic one, or that of KIP-848."""

    CLASSIC = "classic"
    CONSUMER = "consumer"


PositiveInt = Annotated[int, Field(gt=0)]
PositiveSeconds = Annotated[float, Field(gt=0)]
Properties = dict[str, str | int | float | bool]


class Settings(BaseSettings):
    """The worker's settings. Frozen; made by `load_settings`."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="forbid")

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
    delivery: Delivery = Field(Delivery.AT_LEAST_ONCE, description="Delivery guarantee.")
    metadata_topic: str = Field("clickhouse_session_replay_events", description="Topic for block metadata.")
    console_logs_topic: str = Field("log_entries", description="Topic for console logs.")
    warnings_topic: str = Field("clickhouse_ingestion_warnings", description="Topic for ingestion warnings.")
    dlq_topic: str = Field("session_recording_snapshot_item_dlq", description="Topic for messages that can't be read.")
    overflow_topic: str = Field(
        "session_recording_snapshot_item_overflow", description="Topic for messages redirected by restrictions."
    )
    kafka: Properties = Field(
        default_factory=dict, description="librdkafka properties of every client (TOML table [kafka])."
    )
    kafka_consumer: Properties = Field(
        default_factory=dict, description="librdkafka properties of the consumers (TOML table [kafka_consumer])."
    )
    kafka_producer: Properties = Field(
        default_factory=dict, description="librdkafka properties of the producers (TOML table [kafka_producer])."
    )

    # teams and restrictions
    teams: Path | None = Field(None, description="TOML file of teams ([[team]] tables: id, token, retention, …).")
    any_token: bool = Field(False, description="Take every token as a team: retention 30d, console capture on.")
    restrictions: Path | None = Field(None, description="TOML file of restrictions ([[restriction]] tables).")

    # what is accepted
    max_decompressed_bytes: PositiveInt = Field(64 * MIB, description="Largest message after decompression, bytes.")
    max_timestamp_diff_days: PositiveSeconds = Field(
        7.0, description="Drop messages whose first or last event is this many days or more from now."
    )
    max_events_per_session_per_batch: PositiveInt | None = Field(
        None, description="Drop a session's part of a batch once it has more events than this; unlimited if not set."
    )
    warning_debounce_seconds: PositiveSeconds = Field(
        3600.0, description="At most one ingestion warning per team, type and key in this time."
    )

    # session batches
    storage_dir: Path | None = Field(None, description="Local folder for batch files.")
    storage: str | None = Field(None, description="Where batch files go: blackhole: writes nothing (for benchmarks).")
    storage_prefix: str = Field("blocks", description="First part of every batch file's key.")
    codec: Codec = Field(Codec.ZSTD, description="Compression of blocks: zstd (indexed files) or snappy.")
    zstd_level: Annotated[int, Field(ge=-7, le=19)] = Field(3, description="zstd compression level.")
    max_batch_bytes: PositiveInt = Field(100 * MIB, description="Flush when a batch holds this many raw bytes.")
    max_batch_age: PositiveSeconds = Field(10.0, description="Flush when a batch is this old, seconds.")

    # processes
    workers: PositiveInt = Field(
        default_factory=lambda: len(os.sched_getaffinity(0)), description="Worker processes; default: the host's cores."
    )
    poll_messages: PositiveInt = Field(500, description="Most messages a poll takes.")
    poll_timeout: PositiveSeconds = Field(0.2, description="Longest wait of a poll, seconds.")
    fetch_queue_bytes: PositiveInt = Field(64 * MIB, description="Fetched but unread bytes a worker may hold.")
    max_decoded_bytes: PositiveInt = Field(
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
    log_level: str = Field("info", description="debug, info, warning or error.")
    log_json: bool = Field(False, description="Log JSON lines instead of text.")

    @field_validator("log_level")
    @classmethod
    def _known_log_level(cls, value: str) -> str:
        if value.lower() not in ("debug", "info", "warning", "error"):
            raise ValueError("must be debug, info, warning or error")
        return value.lower()

    @field_validator("storage")
    @classmethod
    def _known_storage(cls, value: str | None) -> str | None:
        if value is not None and value != "blackhole:":
            raise ValueError("must be blackhole: (use --storage-dir for a local folder)")
        return value

    @model_validator(mode="after")
    def _one_of_each(self) -> "Settings":
        if self.teams is not None and self.any_token:
            raise ValueError("teams and any_token exclude each other")
        if self.storage is not None and self.storage_dir is not None:
            raise ValueError("storage and storage_dir exclude each other")
        return self

    @property
    def consumes_overflow(self) -> bool:
        """Whether this worker reads the overflow topic, and so must not redirect to it."""
        return self.topic == self.overflow_topic

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, env_settings)


def load_settings(flags: dict[str, Any], config: Path | None) -> Settings:
    """Settings from flags, environment and an optional TOML file; raises ConfigError naming what is wrong.

    `flags` holds only what the user gave. The text of the error is one line a problem.
    """
    raise NotImplementedError  # the helper on the command line fills this in; see the module docstring


__all__ = [
    "Codec",
    "ConfigError",
    "Delivery",
    "GroupProtocol",
    "Settings",
    "StartFrom",
    "TomlConfigSettingsSource",
    "ValidationError",
    "load_settings",
]
