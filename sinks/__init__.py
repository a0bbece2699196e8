"""The pipeline's far side: topics into ClickHouse and alerts to people.  Imports `schemas`, never `streams`."""
