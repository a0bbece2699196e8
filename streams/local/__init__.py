"""Local stack: broker, ClickHouse and our own processes on this machine, and the demo that runs on it."""
