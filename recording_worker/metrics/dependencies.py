"""Metrics of what the service depends on."""

from recording_worker.dependencies import DEPENDENCIES
from recording_worker.metrics.family import Label, StatusFamily

_DEPENDENCY = Label("dependency", tuple(DEPENDENCIES))


class DependencyMetrics:
    """What the service depends on."""

    dependency_failing = StatusFamily(
        "dependency_failing_seconds", "For how long it has failed; 0 if it works.", _DEPENDENCY
    )
    dependency_answered = StatusFamily(
        "dependency_answered_timestamp_seconds", "When it last did what was asked of it.", _DEPENDENCY
    )
    dependency_round_trip = StatusFamily(
        "dependency_round_trip_seconds", "How long the last request took that it did.", _DEPENDENCY
    )
