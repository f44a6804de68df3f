-- Kafka's address, and how all queues read it. To change it: ALTER NAMED COLLECTION, then detach and attach the queues.
CREATE NAMED COLLECTION IF NOT EXISTS recordings_kafka AS
    kafka_broker_list = 'kafka:9092',
    kafka_format = 'JSONEachRow',
    -- a record that can't be read goes to recording_kafka_errors, and the others are read
    kafka_handle_error_mode = 'stream';

-- What could not be read from the topics.
CREATE TABLE IF NOT EXISTS recording_kafka_errors
(
    _timestamp DateTime,
    topic LowCardinality(String),
    partition UInt64,
    offset UInt64,
    error String,
    raw_message String CODEC(ZSTD(3))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (topic, partition, offset)
TTL _timestamp + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1;
