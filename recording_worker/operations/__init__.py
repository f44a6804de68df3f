"""What operators run: verify, sweep, rewind and the DLQ commands."""
