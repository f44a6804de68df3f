"""The gate that noise can't fool: how many instructions the core takes. See docs/change/benchmarks.md."""
