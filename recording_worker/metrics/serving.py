"""Metrics of `serve`, which hands blocks out over HTTP. A process of its own has them."""

from recording_worker.metrics.family import CounterFamily, GaugeFamily, HistogramFamily, Label

_ROUTE = Label("route", ("sessions", "blocks", "block", "other"))
_STATUS = Label("status", bound="the statuses that the API gives")
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)


class ServingMetrics:
    """What `serve` does."""

    serve_requests = CounterFamily("serve_requests", "Requests that were answered.", _ROUTE, _STATUS)
    serve_request_seconds = HistogramFamily(
        "serve_request_seconds",
        "Time from a request to the end of its answer.",
        _ROUTE,
        buckets=_SECONDS,
    )
    serve_sent_bytes = CounterFamily("serve_sent_bytes", "Bytes of the answers' bodies.", _ROUTE)
    serve_memory_bytes = GaugeFamily("serve_memory_bytes", "Memory that the blocks take which are handled now.")
    serve_files = GaugeFamily("serve_files", "Files in the index.")
    serve_sessions = GaugeFamily("serve_sessions", "Sessions in the index, of all teams.")
    serve_listed_at = GaugeFamily("serve_listed_timestamp_seconds", "When the storage was last listed.")
    serve_unreadable_files = GaugeFamily(
        "serve_unreadable_files", "Files whose index could not be read at the last listing."
    )
    serve_clickhouse_seconds = HistogramFamily(
        "serve_clickhouse_seconds", "Time that ClickHouse took for an answer, or to fail.", buckets=_SECONDS
    )
    serve_clickhouse_errors = CounterFamily("serve_clickhouse_errors", "Questions that ClickHouse did not answer.")
