"""Sinks: output topics into ClickHouse, alerts to people.  Imports `schemas`, never `streams`."""
