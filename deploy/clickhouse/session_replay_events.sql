-- Block metadata: one row per block, and one row per session. Apply kafka.sql first.

-- The queue: the view below it reads each record once. Its columns are the record's keys.
CREATE TABLE IF NOT EXISTS kafka_session_replay_events
(
    uuid UUID,
    session_id String,
    team_id Int64,
    distinct_id String,
    batch_id UUID,
    first_timestamp DateTime64(3, 'UTC'),
    last_timestamp DateTime64(3, 'UTC'),
    block_url String,
    first_url Nullable(String),
    urls Array(String),
    click_count Int64,
    keypress_count Int64,
    mouse_activity_count Int64,
    active_milliseconds Int64,
    console_log_count Int64,
    console_warn_count Int64,
    console_error_count Int64,
    size Int64,
    message_count Int64,
    snapshot_source LowCardinality(Nullable(String)),
    snapshot_library Nullable(String),
    snapshot_mode LowCardinality(Nullable(String)),
    event_count Int64,
    retention_period_days UInt16,
    is_deleted UInt8,
    codec LowCardinality(String),
    partition Int32,
    first_offset Int64,
    last_offset Int64,
    has_full_snapshot Bool,
    first_full_snapshot_position Nullable(Int64),
    first_full_snapshot_timestamp Nullable(DateTime64(3, 'UTC')),
    out_of_order_count Int64,
    gap_count Int64
)
ENGINE = Kafka(recordings_kafka)
SETTINGS
    kafka_topic_list = 'clickhouse_session_replay_events',
    kafka_group_name = 'clickhouse-session-replay-events',
    kafka_num_consumers = 1,
    kafka_thread_per_consumer = 1;

-- One row per block. A record that ClickHouse reads twice has the same uuid, and counts once (FINAL).
CREATE TABLE IF NOT EXISTS session_replay_blocks
(
    uuid UUID,
    session_id String,
    team_id Int64,
    distinct_id String,
    batch_id UUID,
    first_timestamp DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    last_timestamp DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    block_url String CODEC(ZSTD(3)),
    first_url Nullable(String) CODEC(ZSTD(3)),
    urls Array(String) CODEC(ZSTD(3)),
    click_count Int64,
    keypress_count Int64,
    mouse_activity_count Int64,
    active_milliseconds Int64,
    console_log_count Int64,
    console_warn_count Int64,
    console_error_count Int64,
    size Int64,
    message_count Int64,
    snapshot_source LowCardinality(Nullable(String)),
    snapshot_library LowCardinality(Nullable(String)),
    snapshot_mode LowCardinality(Nullable(String)),
    event_count Int64,
    retention_period_days UInt16,
    is_deleted UInt8,
    codec LowCardinality(String),
    partition Int32,
    first_offset Int64,
    last_offset Int64,
    has_full_snapshot Bool,
    first_full_snapshot_position Nullable(Int64),
    first_full_snapshot_timestamp Nullable(DateTime64(3, 'UTC')),
    out_of_order_count Int64,
    gap_count Int64,
    -- when Kafka received the record, just after the file was stored; the retention period begins here
    _timestamp DateTime
)
ENGINE = ReplacingMergeTree
-- by retention, so that whole parts expire and are dropped without being read
PARTITION BY (retention_period_days, toYYYYMM(_timestamp))
ORDER BY (team_id, session_id, first_timestamp, uuid)
TTL _timestamp + toIntervalDay(retention_period_days)
SETTINGS ttl_only_drop_parts = 1;

-- One row per session and day on which blocks of it begin, once parts are merged. So queries group by session_id.
-- The columns have the names and meanings of PostHog's session_replay_events. Those after _timestamp are additional.
CREATE TABLE IF NOT EXISTS session_replay_events
(
    session_id String,
    team_id Int64,
    day Date,
    distinct_id SimpleAggregateFunction(any, String),
    min_first_timestamp SimpleAggregateFunction(min, DateTime64(6, 'UTC')),
    max_last_timestamp SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
    block_first_timestamps SimpleAggregateFunction(groupArrayArray, Array(DateTime64(6, 'UTC'))),
    block_last_timestamps SimpleAggregateFunction(groupArrayArray, Array(DateTime64(6, 'UTC'))),
    block_urls SimpleAggregateFunction(groupArrayArray, Array(String)) CODEC(ZSTD(3)),
    first_url AggregateFunction(argMin, Nullable(String), DateTime64(6, 'UTC')),
    all_urls SimpleAggregateFunction(groupUniqArrayArray, Array(String)) CODEC(ZSTD(3)),
    click_count SimpleAggregateFunction(sum, Int64),
    keypress_count SimpleAggregateFunction(sum, Int64),
    mouse_activity_count SimpleAggregateFunction(sum, Int64),
    active_milliseconds SimpleAggregateFunction(sum, Int64),
    console_log_count SimpleAggregateFunction(sum, Int64),
    console_warn_count SimpleAggregateFunction(sum, Int64),
    console_error_count SimpleAggregateFunction(sum, Int64),
    size SimpleAggregateFunction(sum, Int64),
    message_count SimpleAggregateFunction(sum, Int64),
    event_count SimpleAggregateFunction(sum, Int64),
    -- not LowCardinality: ClickHouse can make states of it that it can't merge (PostHog/posthog pull request 100235)
    snapshot_source AggregateFunction(argMin, Nullable(String), DateTime64(6, 'UTC')),
    snapshot_library AggregateFunction(argMin, Nullable(String), DateTime64(6, 'UTC')),
    snapshot_mode_v2 AggregateFunction(argMin, Nullable(String), DateTime64(6, 'UTC')),
    retention_period_days UInt16,
    is_deleted SimpleAggregateFunction(max, UInt8),
    _timestamp SimpleAggregateFunction(max, DateTime),
    first_full_snapshot_timestamp SimpleAggregateFunction(min, Nullable(DateTime64(6, 'UTC'))),
    out_of_order_count SimpleAggregateFunction(sum, Int64),
    gap_count SimpleAggregateFunction(sum, Int64)
)
ENGINE = AggregatingMergeTree
PARTITION BY (retention_period_days, toYYYYMM(day))
ORDER BY (team_id, day, session_id)
TTL _timestamp + toIntervalDay(retention_period_days)
SETTINGS ttl_only_drop_parts = 1, index_granularity = 1024;

-- The views, from the last table to the queue. Reading begins with the last view.
CREATE MATERIALIZED VIEW IF NOT EXISTS session_replay_events_mv TO session_replay_events AS
SELECT
    session_id,
    team_id,
    toDate(blocks.first_timestamp) AS day,
    any(blocks.distinct_id) AS distinct_id,
    min(blocks.first_timestamp) AS min_first_timestamp,
    max(blocks.last_timestamp) AS max_last_timestamp,
    groupArrayIf(blocks.first_timestamp, blocks.block_url != '') AS block_first_timestamps,
    groupArrayIf(blocks.last_timestamp, blocks.block_url != '') AS block_last_timestamps,
    groupArrayIf(blocks.block_url, blocks.block_url != '') AS block_urls,
    argMinState(blocks.first_url, CAST(blocks.first_timestamp, 'DateTime64(6, \'UTC\')')) AS first_url,
    groupUniqArrayArray(blocks.urls) AS all_urls,
    sum(blocks.click_count) AS click_count,
    sum(blocks.keypress_count) AS keypress_count,
    sum(blocks.mouse_activity_count) AS mouse_activity_count,
    sum(blocks.active_milliseconds) AS active_milliseconds,
    sum(blocks.console_log_count) AS console_log_count,
    sum(blocks.console_warn_count) AS console_warn_count,
    sum(blocks.console_error_count) AS console_error_count,
    sum(blocks.size) AS size,
    sum(blocks.message_count) AS message_count,
    sum(blocks.event_count) AS event_count,
    argMinState(
        CAST(blocks.snapshot_source, 'Nullable(String)'), CAST(blocks.first_timestamp, 'DateTime64(6, \'UTC\')')
    ) AS snapshot_source,
    argMinState(
        CAST(blocks.snapshot_library, 'Nullable(String)'), CAST(blocks.first_timestamp, 'DateTime64(6, \'UTC\')')
    ) AS snapshot_library,
    argMinState(
        CAST(blocks.snapshot_mode, 'Nullable(String)'), CAST(blocks.first_timestamp, 'DateTime64(6, \'UTC\')')
    ) AS snapshot_mode_v2,
    retention_period_days,
    max(blocks.is_deleted) AS is_deleted,
    max(blocks._timestamp) AS _timestamp,
    min(blocks.first_full_snapshot_timestamp) AS first_full_snapshot_timestamp,
    sum(blocks.out_of_order_count) AS out_of_order_count,
    sum(blocks.gap_count) AS gap_count
FROM session_replay_blocks AS blocks
GROUP BY session_id, team_id, day, retention_period_days;

CREATE MATERIALIZED VIEW IF NOT EXISTS session_replay_errors_mv TO recording_kafka_errors AS
SELECT
    ifNull(queue._timestamp, now()) AS _timestamp,
    queue._topic AS topic,
    queue._partition AS partition,
    queue._offset AS offset,
    queue._error AS error,
    queue._raw_message AS raw_message
FROM kafka_session_replay_events AS queue
WHERE queue._error != '';

CREATE MATERIALIZED VIEW IF NOT EXISTS session_replay_blocks_mv TO session_replay_blocks AS
SELECT *, ifNull(queue._timestamp, now()) AS _timestamp
FROM kafka_session_replay_events AS queue
WHERE queue._error = '';
