"""Hypothesis profiles; HYPOTHESIS_PROFILE chooses: default (fast), ci (minutes), thorough (hours; `--timeout 0`)."""

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("tests.decoders")
pytest_plugins = ["tests.servers.fixtures"]

_common = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("default", _common, max_examples=100)
settings.register_profile("ci", _common, max_examples=1_000, derandomize=True)
settings.register_profile("thorough", _common, max_examples=20_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# A job in a shell's background begins with Ctrl-C ignored, and hands that on to what the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
