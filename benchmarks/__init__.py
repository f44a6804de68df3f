"""Benchmarks: `end_to_end` measures the whole job, `compare` the native core; `make parts` runs `test_*.py`."""
