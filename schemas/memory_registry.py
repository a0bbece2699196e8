"""Schema registry in memory: the port `schemas.codec.Registry` without a server, for tests and trials."""

from schemas.codec import RegistryAway

FIRST_ID = 70_000
"""Id of the first schema: more than two bytes, so that a mistake in their order shows."""


class MemoryRegistry:
    """Schemas by id, each registered once.  Set `away`, and looking one up raises RegistryAway."""

    def __init__(self) -> None:
        self.schemas: dict[int, str] = {}
        self.away = False

    def schema_of(self, schema_id: int) -> str:
        """The schema's JSON.  Raises KeyError for an unknown id, RegistryAway while `away`."""
        self._check()
        return self.schemas[schema_id]

    def id_of(self, record: str, schema: str) -> int:
        """The id of a schema, a new one for a schema that is new; `record` is its subject.  Raises RegistryAway."""
        self._check()
        for schema_id, registered in self.schemas.items():
            if registered == schema:
                return schema_id
        schema_id = FIRST_ID + len(self.schemas)
        self.schemas[schema_id] = schema
        return schema_id

    def _check(self) -> None:
        if self.away:
            raise RegistryAway("the registry in memory is away")
