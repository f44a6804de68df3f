"""Hypothesis profiles; HYPOTHESIS_PROFILE chooses: default (fast), ci (minutes), thorough (hours; `--timeout 0`),
mutants (fast, the same each time), sanitized (fewer examples, because each takes longer)."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings

from recording_worker.logs import setup

pytest.register_assert_rewrite("tests.decoders")
pytest_plugins = ["tests.servers.fixtures", "tests.crashed_workers"]

_common = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("default", _common, max_examples=100)
settings.register_profile("ci", _common, max_examples=1_000, derandomize=True)
settings.register_profile("mutants", _common, max_examples=100, derandomize=True, database=None)
settings.register_profile("sanitized", _common, max_examples=25)
settings.register_profile("thorough", _common, max_examples=20_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# A job in a shell's background begins with Ctrl-C ignored, and hands that on to what the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

_TESTS = Path(__file__).parent


@pytest.fixture(autouse=True)
def _restore_logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo what a test sets up for the logs of its process, as commands do."""
    root, before, configure = logging.getLogger(), structlog.get_config(), structlog.configure

    def configure_uncached(**settings: Any) -> None:
        # a cached logger would keep what one test sets up for all tests after it
        configure(**settings | {"cache_logger_on_first_use": False})

    monkeypatch.setattr(structlog, "configure", configure_uncached)
    handlers, level = root.handlers[:], root.level
    hooks, is_json = (sys.excepthook, threading.excepthook), setup.logs_are_json()
    yield
    sys.excepthook, threading.excepthook = hooks
    logging.captureWarnings(False)
    setup._as_json = is_json
    configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


def pytest_configure(config: pytest.Config) -> None:
    """Register a marker for each folder of tests, and those for single tests."""
    config.addinivalue_line("markers", "unsanitized: little of its time is the core's; not run under sanitizers")
    for folder in sorted({path.relative_to(_TESTS).parts[0] for path in _TESTS.glob("*/**/test_*.py")}):
        config.addinivalue_line("markers", f"{folder}: the tests of tests/{folder}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with the name of its folder."""
    for item in items:
        if item.path.is_relative_to(_TESTS):
            item.add_marker(item.path.relative_to(_TESTS).parts[0])
    # they take longest, so they begin first, and other processes run the rest meanwhile
    items.sort(key=lambda item: (item.get_closest_marker("faults") is None, not item.path.name.startswith("test_run_")))
