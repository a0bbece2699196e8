"""What a worker remembers: tables in memory, timers, what the state was made from, and recovery after a crash."""
