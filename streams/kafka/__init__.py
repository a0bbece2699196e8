"""Kafka as the pipeline needs it: ports, adapters over librdkafka and in memory, topics, security.  No Faust."""
