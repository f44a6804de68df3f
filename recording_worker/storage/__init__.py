"""Where batch files go: one module a backend."""
