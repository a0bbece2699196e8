"""State of a worker: tables in memory, timers, the lineage of both, and recovery after a crash."""
