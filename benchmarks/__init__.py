"""Benchmarks: `compare` compares the native core with other decoders; `make bench` runs `test_*.py`."""
