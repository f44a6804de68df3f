"""Benchmarks: `compare` sets the native core beside other ways to do its job; `test_*.py` are for `make bench`."""
