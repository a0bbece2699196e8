"""Adapter of the codec's `Registry` port to a Confluent-compatible schema registry."""

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from schemas.codec import RegistryAway

_NOT_FOUND = 40403


class ConfluentRegistry:
    """Client of the schema registry: looks schemas up and registers ours.  Connects when first used."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = SchemaRegistryClient({"url": url, "timeout": 10})

    def schema_of(self, schema_id: int) -> str:
        """Look up the JSON of a schema.  Raises KeyError for an unknown id, RegistryAway when there is no answer."""
        try:
            return str(self._client.get_schema(schema_id).schema_str)
        except SchemaRegistryError as error:
            if error.error_code == _NOT_FOUND:
                raise KeyError(schema_id) from None
            raise RegistryAway(f"schema registry {self._url}: {error}") from error
        except Exception as error:  # the client lets any error of its HTTP library through
            raise RegistryAway(f"cannot reach the schema registry at {self._url}: {error}") from error

    def id_of(self, record: str, schema: str) -> int:
        """Return a schema's id, registering it under the record's name if it is new.  Raises RegistryAway."""
        try:
            return int(self._client.register_schema(record, Schema(schema, "AVRO")))
        except Exception as error:  # the same
            raise RegistryAway(f"cannot register {record} at {self._url}: {error}") from error
