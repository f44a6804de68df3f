-- The sessions of a team that began since a time (UTC), newest first, without deleted ones.
-- clickhouse-client --param_team_id=1 --param_since='2026-11-01 00:00:00' --param_limit=100 < sessions_of_team.sql
SELECT
    session_id,
    any(sessions.distinct_id) AS distinct_id,
    min(sessions.min_first_timestamp) AS started,
    max(sessions.max_last_timestamp) AS ended,
    argMinMerge(sessions.first_url) AS first_url,
    sum(sessions.active_milliseconds) AS active_milliseconds,
    sum(sessions.click_count) AS click_count,
    sum(sessions.keypress_count) AS keypress_count,
    sum(sessions.mouse_activity_count) AS mouse_activity_count,
    sum(sessions.console_error_count) AS console_error_count,
    sum(sessions.event_count) AS event_count,
    sum(sessions.size) AS size,
    argMinMerge(sessions.snapshot_source) AS snapshot_source,
    argMinMerge(sessions.snapshot_mode_v2) AS snapshot_mode,
    max(sessions._timestamp) + toIntervalDay(max(sessions.retention_period_days)) AS expires
FROM session_replay_events AS sessions
-- one day more, for sessions that began before midnight
WHERE team_id = {team_id:Int64} AND day >= toDate({since:DateTime64(3, 'UTC')}) - 1
GROUP BY session_id
HAVING started >= {since:DateTime64(3, 'UTC')} AND max(sessions.is_deleted) = 0
ORDER BY started DESC, session_id
LIMIT {limit:UInt32};
