-- The blocks of a session in playing order, each once. If the session was deleted, there are no rows.
-- clickhouse-client --param_team_id=1 --param_session_id=… < blocks_of_session.sql
SELECT
    block_url,
    first_timestamp,
    last_timestamp,
    codec,
    has_full_snapshot,
    event_count,
    size,
    partition,
    first_offset,
    last_offset
FROM session_replay_blocks FINAL
WHERE team_id = {team_id:Int64} AND session_id = {session_id:String} AND block_url != ''
    AND NOT exists(
        SELECT 1
        FROM session_replay_blocks
        WHERE team_id = {team_id:Int64} AND session_id = {session_id:String} AND is_deleted
    )
ORDER BY first_timestamp, partition, first_offset;
