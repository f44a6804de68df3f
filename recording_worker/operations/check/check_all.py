"""All checks of the service's settings, for `check` and for `run`."""

from recording_worker.kafka.clients import BROKER_TIMEOUT
from recording_worker.operations.check.finding import Finding, exit_code_of
from recording_worker.operations.check.host import host_checks, settings_check
from recording_worker.operations.check.kafka import kafka_checks
from recording_worker.operations.check.lookups import lookup_checks
from recording_worker.operations.check.run import Check, run_checks
from recording_worker.operations.check.storage import storage_check
from recording_worker.settings.model import Settings

CHECK_SECONDS = 9.0
"""Seconds that all checks have together, so that `check` answers within 10."""
_START_SECONDS = 15.0
"""The same when the service starts: a slow start is better than none."""


def check_all(settings: Settings) -> list[Finding]:
    """Look at all that the service needs. Nothing is left behind: what is written is removed again."""
    checks = [
        settings_check(settings),
        *_common_checks(settings, connect_seconds=4.0, before_start=False),
        *host_checks(settings),
    ]
    return run_checks(checks, CHECK_SECONDS)


def check_before_start(settings: Settings) -> list[Finding]:
    """Look at what the workers will need, with the rights that they need. Brokers may create missing topics.

    If settings are missing or don't fit each other, nobody is asked. What only the supervisor needs is left out: it
    takes its port and its folder next, and tries transactions.
    """
    of_settings = run_checks([settings_check(settings)], _START_SECONDS)
    if exit_code_of(of_settings):
        return of_settings
    checks = _common_checks(settings, connect_seconds=BROKER_TIMEOUT, before_start=True)
    return [*of_settings, *run_checks(checks, _START_SECONDS)]


def _common_checks(settings: Settings, *, connect_seconds: float, before_start: bool) -> list[Check]:
    checks = [*lookup_checks(settings)]
    if settings.storage_dir is not None or settings.storage is not None:
        checks.append(storage_check(settings, read_back=not before_start))
    return [*checks, *kafka_checks(settings, connect_seconds=connect_seconds, before_start=before_start)]
