"""Settings of the Kafka clients and topics."""

from pydantic import Field

from recording_worker.settings.choices import Delivery, DlqHeaders, GroupProtocol, OnOffsetGap, StartFrom
from recording_worker.settings.fields.base import Fields
from recording_worker.settings.types import HostPorts, Properties, Seconds


class KafkaFields(Fields):
    """Settings of the Kafka clients and topics."""

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
    not_ready_after: Seconds = Field(10.0, description="Not ready if Kafka or storage has failed for this long.")
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
