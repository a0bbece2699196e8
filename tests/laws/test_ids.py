"""Ids made from their cause."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from streams.domain.ids import uuid5


@given(st.uuids(), st.text(st.characters(codec="utf-8")))
def test_ids_are_name_based_uuids(namespace: uuid.UUID, name: str) -> None:
    """An id is the version 5 UUID that the standard library makes of the same namespace and name."""
    assert uuid5(namespace.bytes, name) == str(uuid.uuid5(namespace, name))
