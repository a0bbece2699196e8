"""Logger for librdkafka's clients, which would log every retry; errors come through callbacks and exceptions."""

import logging

SILENT = logging.getLogger("streams.kafka.librdkafka")
SILENT.setLevel(logging.CRITICAL)
