"""Kafka without Faust: ports, their adapters over librdkafka and in memory, topics, security settings."""
