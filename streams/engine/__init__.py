"""Faust and aiokafka, which no other room imports: the worker's consumer group, batches, commits and life cycle."""
