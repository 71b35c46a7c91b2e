"""Log, statistics and metrics."""
