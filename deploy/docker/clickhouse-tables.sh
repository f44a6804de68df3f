#!/bin/sh
# Make the tables of deploy/clickhouse when the server starts for the first time.
set -eu
for file in kafka session_replay_events log_entries ingestion_warnings; do
    clickhouse-client --database recordings --multiquery <"/sql/$file.sql"
done
