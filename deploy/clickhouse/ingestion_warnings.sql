-- What teams should know about what they send: one row per warning. Apply kafka.sql first.

CREATE TABLE IF NOT EXISTS kafka_ingestion_warnings
(
    team_id Int64,
    source LowCardinality(String),
    type LowCardinality(String),
    details String,
    timestamp DateTime64(3, 'UTC')
)
ENGINE = Kafka(recordings_kafka)
SETTINGS
    kafka_topic_list = 'clickhouse_ingestion_warnings',
    kafka_group_name = 'clickhouse-ingestion-warnings',
    kafka_num_consumers = 1;

-- `details` is JSON text: read it with JSONExtract.
CREATE TABLE IF NOT EXISTS ingestion_warnings
(
    team_id Int64,
    source LowCardinality(String),
    type LowCardinality(String),
    details String CODEC(ZSTD(3)),
    timestamp DateTime64(6, 'UTC'),
    _timestamp DateTime,
    _partition UInt64,
    _offset UInt64
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (team_id, type, timestamp, _partition, _offset)
TTL _timestamp + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS ingestion_warnings_errors_mv TO recording_kafka_errors AS
SELECT
    ifNull(queue._timestamp, now()) AS _timestamp,
    queue._topic AS topic,
    queue._partition AS partition,
    queue._offset AS offset,
    queue._error AS error,
    queue._raw_message AS raw_message
FROM kafka_ingestion_warnings AS queue
WHERE queue._error != '';

CREATE MATERIALIZED VIEW IF NOT EXISTS ingestion_warnings_mv TO ingestion_warnings AS
SELECT
    *,
    ifNull(queue._timestamp, now()) AS _timestamp,
    queue._partition AS _partition,
    queue._offset AS _offset
FROM kafka_ingestion_warnings AS queue
WHERE queue._error = '';
