-- Console logs: one row per message. Apply kafka.sql first.

CREATE TABLE IF NOT EXISTS kafka_log_entries
(
    team_id Int64,
    message String,
    level LowCardinality(String),
    log_source LowCardinality(String),
    log_source_id String,
    instance_id String,
    timestamp DateTime64(3, 'UTC'),
    batch_id UUID
)
ENGINE = Kafka(recordings_kafka)
SETTINGS
    kafka_topic_list = 'log_entries',
    kafka_group_name = 'clickhouse-log-entries',
    kafka_num_consumers = 1,
    kafka_thread_per_consumer = 1;

-- A record that ClickHouse reads twice has the same offset, and counts once (FINAL). `log_source_id` is the session.
-- Records don't contain their session's retention period. Set the TTL to the longest one that you need.
CREATE TABLE IF NOT EXISTS log_entries
(
    team_id Int64,
    log_source LowCardinality(String),
    log_source_id String,
    instance_id String,
    timestamp DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    level LowCardinality(String),
    message String CODEC(ZSTD(3)),
    batch_id UUID,
    _timestamp DateTime,
    _partition UInt64,
    _offset UInt64
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (team_id, log_source, log_source_id, timestamp, _partition, _offset)
TTL _timestamp + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS log_entries_errors_mv TO recording_kafka_errors AS
SELECT
    ifNull(queue._timestamp, now()) AS _timestamp,
    queue._topic AS topic,
    queue._partition AS partition,
    queue._offset AS offset,
    queue._error AS error,
    queue._raw_message AS raw_message
FROM kafka_log_entries AS queue
WHERE queue._error != '';

CREATE MATERIALIZED VIEW IF NOT EXISTS log_entries_mv TO log_entries AS
SELECT
    *,
    ifNull(queue._timestamp, now()) AS _timestamp,
    queue._partition AS _partition,
    queue._offset AS _offset
FROM kafka_log_entries AS queue
WHERE queue._error = '';
