"""All settings, parsed and validated once. Only the command line reads the environment.

Each field is a setting. It is also a flag (`--max-batch-bytes`), an environment
variable (`RECORDING_WORKER_MAX_BATCH_BYTES`) and a key of the TOML file
(`max_batch_bytes`). A flag beats the environment, which beats the file, which
beats the default. An empty environment variable counts as not set.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

from recording_worker.settings.choices import (
    Codec,
    Compatibility,
    Delivery,
    DlqHeaders,
    FileNames,
    GroupProtocol,
    LogLevel,
    OnOffsetGap,
    S3Addressing,
    S3Encryption,
    StartFrom,
)
from recording_worker.settings.compatibility import with_defaults
from recording_worker.settings.cores import usable_cores
from recording_worker.settings.memory import MIB, MemoryBudget, default_memory, least_memory, memory_budget
from recording_worker.settings.types import (
    LOWERED,
    Bytes,
    HostPorts,
    HttpUrl,
    KeyPrefix,
    PositiveInt,
    PositiveNumber,
    PostgresUrl,
    Properties,
    RedisUrl,
    Seconds,
    StorageUrl,
)
from recording_worker.settings.units import size_text


class Settings(BaseModel):
    """The worker's settings. Frozen and picklable; made by `load_settings`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Kafka
    bootstrap_servers: HostPorts = Field("127.0.0.1:9092", description="Kafka brokers: host:port, separated by commas.")
    topic: str = Field("session_recording_snapshot_item_events", description="Topic of the recordings.")
    group_id: str = Field("session-recordings", description="Kafka consumer group.")
    group_protocol: GroupProtocol = Field(
        GroupProtocol.CLASSIC, description="Kafka group protocol: classic (cooperative-sticky) or consumer (KIP-848)."
    )
    start_from: StartFrom = Field(
        StartFrom.EARLIEST,
        description="Where a new group begins. A partition that is added later is read from its beginning.",
    )
    group_instance_id: str | None = Field(
        None,
        pattern=r"^[a-zA-Z0-9._-]{1,249}$",
        description="Name of this host in the group. Each host needs its own. A restart within the session timeout"
        " then moves no partitions.",
    )
    on_offset_gap: OnOffsetGap = Field(
        OnOffsetGap.STOP,
        description="What to do if a partition's log was cut past the next offset: stop, or continue at the log's"
        " beginning (earliest) or end (latest).",
    )
    delivery: Delivery = Field(
        Delivery.EXACTLY_ONCE,
        description="Delivery guarantee; at_least_once is for brokers without transactions.",
    )
    kafka_silent_after: Seconds = Field(10.0, description="Not ready if Kafka has not answered for this long.")
    metadata_topic: str = Field("clickhouse_session_replay_events", description="Topic for block metadata.")
    console_logs_topic: str = Field("log_entries", description="Topic for console logs.")
    warnings_topic: str = Field("clickhouse_ingestion_warnings", description="Topic for ingestion warnings.")
    dlq_topic: str = Field("session_recording_snapshot_item_dlq", description="Topic for messages that can't be read.")
    dlq_headers: DlqHeaders = Field(
        DlqHeaders.DASHES,
        description="Headers on the DLQ: dlq-reason and others, or dlq_reason, as PostHog spells them.",
    )
    overflow_topic: str = Field(
        "session_recording_snapshot_item_overflow",
        description="Topic for messages that restrictions redirect, and for messages of hot sessions.",
    )
    backfill_topic: str = Field(
        "session_recording_snapshot_item_backfill", description="Topic for messages that waited too long."
    )
    dlq_audit_topic: str = Field(
        "session_recording_snapshot_item_dlq_audit",
        description="Topic where the dlq commands write what they did with each message.",
    )
    progress_topic: str | None = Field(
        None, description="Topic for a record per flush that says how far its partitions are recorded; none if not set."
    )
    kafka: Properties = Field({}, repr=False, description="librdkafka properties of every client.")
    kafka_consumer: Properties = Field({}, repr=False, description="librdkafka properties of the consumers.")
    kafka_producer: Properties = Field({}, repr=False, description="librdkafka properties of the producers.")
    console_logs_bootstrap_servers: HostPorts | None = Field(
        None, description="Brokers of another cluster for console logs, which are then sent at least once."
    )
    warnings_bootstrap_servers: HostPorts | None = Field(
        None, description="Brokers of another cluster for ingestion warnings, which are then sent at least once."
    )
    kafka_outputs: Properties = Field({}, repr=False, description="librdkafka properties for these other clusters.")

    # teams and restrictions
    teams: Path | None = Field(None, description="TOML file of teams: [[team]] tables with id, token, retention, ….")
    teams_postgres: PostgresUrl | None = Field(
        None,
        description="PostgreSQL database with PostHog's table posthog_team: postgresql://USER:PASSWORD@HOST/DATABASE.",
    )
    any_token: bool = Field(
        False, description="Accept every token as a team, with retention 30d and console capture on."
    )
    restrictions: Path | None = Field(None, description="TOML file of restrictions: [[restriction]] tables.")
    restrictions_redis: RedisUrl | None = Field(
        None,
        description="Redis with PostHog's event restrictions; they apply in addition to the file's. Read every 30 s.",
    )
    sessions_redis: RedisUrl | None = Field(
        None, description="Redis that knows the sessions and their retention periods: redis://:PASSWORD@HOST:6379/0."
    )
    sessions_redis_prefix: str = Field(
        "@posthog/replay/", description="First part of every key there. Fleets with different ones share no session."
    )
    mark_sessions_seen: bool = Field(
        False, description="Tell PostHog's consumer, through sessions_redis, which sessions are stored."
    )
    posthog_retention_keys: bool = Field(
        False, description="Keep periods under PostHog's Redis keys, for a Redis shared with it; they name no team."
    )
    new_sessions_burst: PositiveInt = Field(
        3000, description="Sessions that a team may begin at once, for each worker process; needs sessions_redis."
    )
    new_sessions_per_second: PositiveNumber = Field(
        300.0, description="Sessions that a team may begin per second in the long run, for each worker process."
    )
    block_new_sessions: bool = Field(
        False, description="Drop all of a session that exceeds this limit; otherwise only count it."
    )
    refresh_interval: Seconds = Field(
        300.0, description="How often teams and restrictions are read again, at least; give or take a fifth."
    )
    stale_after: Seconds = Field(
        1800.0, description="Not ready if teams or restrictions could not be read for this long."
    )

    # what is accepted
    max_decompressed_bytes: Bytes = Field(64 * MIB, description="Largest message after decompression.")
    max_timestamp_diff_days: PositiveNumber = Field(
        7.0, description="Leave out events that are this many days or more from now."
    )
    max_session_id_characters: Annotated[int, Field(ge=36, le=4096)] = Field(
        256, description="Longest session id and window id; a message with a longer one goes to the DLQ."
    )
    max_distinct_id_characters: Annotated[int, Field(ge=36, le=16384)] = Field(
        1024, description="Longest distinct id; a message with a longer one goes to the DLQ."
    )
    compatibility: Compatibility | None = Field(
        None,
        description="posthog: other defaults of other settings, for fleets in which PostHog's consumer works too, or"
        " whose readers are PostHog's.",
    )
    require_ids_in_headers: bool = Field(
        False, description="Send messages to the DLQ that have no session id or distinct id in their headers."
    )
    correct_clock_skew: bool = Field(
        False, description="Shift the times of a message by how wrong its device's clock was, in steps of 5 minutes."
    )
    normalize_session_ids: bool = Field(False, description="Write session ids that are UUIDs with small letters.")
    far_event_drops_message: bool = Field(
        False,
        description="Drop a message if its first or last event is too far from now, and not the far events alone.",
    )
    max_events_per_session_per_batch: PositiveInt | None = Field(
        None, description="Drop a session's part of a batch if it has more events than this; no limit if not set."
    )
    max_console_logs_per_session_per_batch: PositiveInt = Field(
        10_000, description="Console messages of a session that a batch stores; more are counted, not stored."
    )
    hot_session_bytes_per_minute: Bytes | None = Field(
        None,
        description="Send a session to the overflow topic if it sends more than this in a minute, as carried;"
        " no limit if not set.",
    )
    lag_shed_after: Seconds | None = Field(
        None, description="Send messages older than this to the backfill topic; none if not set."
    )
    lag_shed_share: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="Share of the sessions whose old messages go to the backfill topic, chosen by session id."
    )
    dlq_halt_consecutive: PositiveInt | None = Field(
        None, description="Halt a partition if this many of its messages in a row are for the DLQ; never if not set."
    )
    dlq_halt_ratio: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="Halt a partition if more than this share of its last messages is for the DLQ; never if not set.",
    )
    dlq_halt_window: PositiveInt = Field(
        1000,
        description="How many of a partition's last messages dlq_halt_ratio looks at; with fewer it does not halt.",
    )
    warning_debounce_seconds: Seconds = Field(
        3600.0, description="At most one ingestion warning per team, type and key in this time."
    )

    # session batches
    storage_dir: Path | None = Field(None, description="Local folder for batch files.")
    storage: StorageUrl | None = Field(
        None,
        description="Storage for batch files instead of a local folder: s3://BUCKET[/PREFIX]; or blackhole:,"
        " which writes nothing, for benchmarks.",
    )
    s3_endpoint: HttpUrl | None = Field(None, description="URL of an S3-compatible server; Amazon's if not set.")
    s3_region: str | None = Field(None, min_length=1, description="Region of the bucket; found by boto3 if not set.")
    s3_addressing: S3Addressing = Field(
        S3Addressing.AUTO,
        description="Where URLs name the bucket: in the path, or in the host name (virtual). auto is path with"
        " s3_endpoint, and virtual without.",
    )
    s3_encryption: S3Encryption | None = Field(
        None, description="How S3 encrypts the files: AES256, or aws:kms; as the bucket says if not set."
    )
    s3_kms_key: str | None = Field(
        None, min_length=1, description="Id or ARN of the key for aws:kms; the account's own for S3 if not set."
    )
    s3_connect_timeout: Seconds = Field(5.0, description="Longest wait for a connection to S3.")
    s3_read_timeout: Seconds = Field(30.0, description="Longest wait for an answer of S3.")
    s3_uploads: PositiveInt = Field(4, description="Parts of a file that each worker uploads at a time.")
    s3_retry_for: Seconds = Field(60.0, description="How long the upload of a file is retried after its first failure.")
    storage_prefix: KeyPrefix = Field("blocks", description="First part of every batch file's key.")
    file_names: FileNames = Field(
        FileNames.BATCH_ID,
        description="Names of batch files: with the id of their batch, or as PostHog's reader wants them.",
    )
    storage_file_mode: str = Field(
        "0640",
        pattern="^0?6[046][046]$",
        description="Rights of the files in a local folder, in octal, unless the umask takes away more. Folders can be"
        " entered by those who can read files.",
    )
    codec: Codec = Field(Codec.ZSTD, description="Compression of blocks: zstd or snappy.")
    zstd_level: Annotated[int, Field(ge=-7, le=19)] = Field(1, description="zstd compression level, from -7 to 19.")
    zstd_dictionary: Path | None = Field(
        None, description="zstd dictionary to compress blocks with, made by `dictionary train`; none if not set."
    )
    unpack_client_compression: bool | None = Field(
        None,
        description='Unpack what the client packed ("cv": "2024-10"). If not set: yes with codec zstd, no with snappy.',
    )
    max_batch_bytes: Bytes | None = Field(
        None, description="Flush a batch that holds this many raw bytes; if not set, as many as memory has room for."
    )
    max_batch_age: Seconds = Field(10.0, description="Flush a batch that is this old.")

    # processes
    workers: PositiveInt = Field(
        default_factory=usable_cores,
        description="Worker processes; the host's cores if not set, or the CPU quota of the container.",
    )
    memory: Bytes | None = Field(
        None,
        description="Memory of each worker process, which the sizes of batches and queues follow from; if not set,"
        " 512MiB, or less if the container has less for each worker.",
    )
    poll_messages: PositiveInt = Field(500, description="Largest number of messages in a poll.")
    poll_timeout: Seconds = Field(0.2, description="Longest wait of a poll.")
    drain_deadline: Seconds = Field(
        20.0, description="Longest flush when partitions are revoked, and when the service stops."
    )
    progress_deadline: Seconds = Field(120.0, description="Kill a worker that makes no progress for this long.")
    debug_partition: Annotated[int, Field(ge=0)] | None = Field(
        None, description="Log every batch of this partition at debug level."
    )
    ops_host: str = Field("127.0.0.1", description="Address of the ops server (/metrics, /healthz, /readyz, /).")
    ops_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        9600, description="Port of the ops server; 0 takes any free one."
    )
    ops_host_names: str | None = Field(
        None,
        description="Names by which requests may call the ops server, separated by commas. Its addresses, localhost,"
        " ops_host and the host's own name are always allowed.",
    )
    log_level: Annotated[LogLevel, LOWERED] = Field(LogLevel.INFO, description="Least serious log messages shown.")
    log_json: bool = Field(False, description="Log JSON lines instead of text.")

    @model_validator(mode="before")
    @classmethod
    def _as_compatible(cls, given: Any) -> Any:
        return with_defaults(given) if isinstance(given, Mapping) else given

    @model_validator(mode="after")
    def _one_of_each(self) -> "Settings":
        teams = {"teams": self.teams, "teams_postgres": self.teams_postgres, "any_token": self.any_token or None}
        if len(given := [name for name, value in teams.items() if value is not None]) > 1:
            raise ValueError(f"{' and '.join(given)} exclude each other")
        if self.block_new_sessions and self.sessions_redis is None:
            raise ValueError("block_new_sessions needs sessions_redis")
        if self.zstd_dictionary is not None and self.codec is not Codec.ZSTD:
            raise ValueError("zstd_dictionary needs codec zstd")
        if self.s3_kms_key is not None and self.s3_encryption is not S3Encryption.KMS:
            raise ValueError("s3_kms_key needs s3_encryption aws:kms")
        if self.storage is not None and self.storage_dir is not None:
            raise ValueError("storage and storage_dir exclude each other")
        return self

    @model_validator(mode="after")
    def _fits_into_memory(self) -> "Settings":
        if self.memory is not None:
            self.check_memory()
        return self

    def check_memory(self) -> None:
        """Raise ValueError if a worker's memory, set or not, has no room for what the other settings allow."""
        memory, least = size_text(self.memory_bytes), least_memory(self.max_decompressed_bytes)
        if self.memory_bytes < least:
            raise ValueError(
                f"memory is {memory} for each of {self.workers} workers, but a message of max_decompressed_bytes needs"
                f" {size_text(least)}: set more memory, fewer workers, or a lower max_decompressed_bytes"
            )
        most = self._divided_memory.batch_bytes
        if self.max_batch_bytes is not None and self.max_batch_bytes > most:
            raise ValueError(
                f"max_batch_bytes is {size_text(self.max_batch_bytes)}, but memory {memory} has room for batches of"
                f" {size_text(most)}"
            )

    @property
    def memory_bytes(self) -> int:
        """The memory of each worker process, set or not."""
        return default_memory(self.workers) if self.memory is None else self.memory

    @property
    def budget(self) -> MemoryBudget:
        """What each part of a worker may hold."""
        budget = self._divided_memory
        return budget if self.max_batch_bytes is None else replace(budget, batch_bytes=self.max_batch_bytes)

    @property
    def _divided_memory(self) -> MemoryBudget:
        return memory_budget(self.memory_bytes, keeps_files=(self.storage or "").startswith("s3:"))

    @property
    def unpacks_client_compression(self) -> bool:
        """Whether to unpack what the client packed: as set; if not set, with zstd, which then makes it smaller."""
        if self.unpack_client_compression is not None:
            return self.unpack_client_compression
        return self.codec is Codec.ZSTD

    @property
    def umask(self) -> int:
        """The umask that keeps files within storage_file_mode."""
        readable = int(self.storage_file_mode, 8)
        return 0o777 & ~(readable | (readable & 0o444) >> 2)

    @property
    def consumes_overflow(self) -> bool:
        """Whether this worker reads the overflow topic, and so must not redirect to it."""
        return self.topic == self.overflow_topic

    @property
    def consumes_backfill(self) -> bool:
        """Whether this worker reads the backfill topic, where all messages are old."""
        return self.topic == self.backfill_topic
