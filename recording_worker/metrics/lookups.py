"""Metrics of what is looked up: teams, restrictions, sessions in Redis, and keys."""

from recording_worker.metrics.family import CounterFamily, GaugeFamily, HistogramFamily, Label

_STORE = Label("store", bound="`teams`, `restrictions_file`, `restrictions_redis`, as far as they are set")


class LookupMetrics:
    """What is looked up: teams, restrictions, sessions in Redis, and keys."""

    store_reads = CounterFamily(
        "store_reads",
        "Readings of teams and restrictions, by how they ended.",
        _STORE,
        Label("outcome", ("read", "unchanged", "failed")),
    )
    store_read_at = GaugeFamily(
        "store_read_timestamp_seconds",
        "When the data in use was last known to be current; the oldest of all workers.",
        _STORE,
        mode="livemin",
    )
    store_entries = GaugeFamily("store_entries", "Entries in use; the fewest of all workers.", _STORE, mode="livemin")
    store_rejected = GaugeFamily(
        "store_entries_rejected",
        "Entries that can't be used and are left out; the most of all workers.",
        _STORE,
        mode="livemax",
    )
    redis_failures = CounterFamily(
        "redis_failures",
        "Times that Redis (`sessions_redis`) could not be asked, was still away, or refused commands.",
    )
    redis_seconds = HistogramFamily(
        "redis_request_seconds",
        "Time of each round trip to Redis (`sessions_redis`), whether it succeeded or not.",
        buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1),
    )
    new_sessions = CounterFamily("new_sessions", "Sessions that no worker had seen before.")
    new_sessions_over_limit = CounterFamily(
        "new_sessions_over_limit", "New sessions that exceed their team's limit, blocked or not."
    )
    sessions_blocked = CounterFamily("sessions_blocked", "New sessions that were blocked.")
    unlimited_sessions = CounterFamily(
        "unlimited_sessions", "Sessions that passed the limit on new ones because Redis could not be asked."
    )
    sessions_unmarked = CounterFamily(
        "sessions_unmarked", "Stored sessions that could not be marked as seen in Redis for PostHog's consumer."
    )
    session_keys_made = CounterFamily("session_keys_made", "Sessions that got a key to be encrypted with.")
    key_store_failures = CounterFamily(
        "key_store_failures", "Times that the key store could not be used; each time, recording waits for it."
    )
    key_store_seconds = HistogramFamily(
        "key_store_request_seconds",
        "Time to find and make the keys of a poll's sessions in the key store, with retries.",
        buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
    )
    retention_unpinned = CounterFamily(
        "retention_unpinned_sessions",
        "Sessions of a poll that got their team's retention period because Redis could not be asked for their own.",
    )
