"""Schema registry in memory: the port `schemas.codec.Registry` without a server, for tests and trials."""

from collections.abc import Sequence

from schemas.codec import RegistryAway

FIRST_ID = 70_000
"""Id of the first schema: more than two bytes, so that a mistake in their order shows."""


class MemoryRegistry:
    """Schemas by id, each registered once.  Set `away`, and looking one up raises RegistryAway.

    `references` holds the ids of the schemas that one refers to, by its id.
    """

    def __init__(self) -> None:
        self.schemas: dict[int, str] = {}
        self.references: dict[int, Sequence[int]] = {}
        self.away = False

    def texts_of(self, schema_id: int) -> list[str]:
        """The schema's JSON, after that of those it refers to.  Raises KeyError, and RegistryAway while `away`."""
        self._check()
        texts: dict[int, str] = {}
        self._add(schema_id, texts)
        return list(texts.values())

    def id_of(self, record: str, schema: str) -> int:
        """The id of a schema, a new one for a schema that is new; `record` is its subject.  Raises RegistryAway."""
        self._check()
        for schema_id, registered in self.schemas.items():
            if registered == schema:
                return schema_id
        schema_id = FIRST_ID + len(self.schemas)
        self.schemas[schema_id] = schema
        return schema_id

    def _add(self, schema_id: int, texts: dict[int, str]) -> None:
        for referred in self.references.get(schema_id, ()):
            if referred not in texts:
                self._add(referred, texts)
        texts[schema_id] = self.schemas[schema_id]

    def _check(self) -> None:
        if self.away:
            raise RegistryAway("the registry in memory is away")
