"""What `make` and CI run, and what writes the docs."""
