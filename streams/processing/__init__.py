"""The worker: records become steps of journeys and windows, and leave as outputs that are durable in order."""
