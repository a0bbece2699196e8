"""ClickHouse: its client, the migrations in `sql/`, customers' stories, and erasures."""
