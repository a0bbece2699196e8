"""Local ClickHouse: chDB, the engine in process, behind a small HTTP server."""
