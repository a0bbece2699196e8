"""What fastavro reads in bytes, to hold our own decoder against."""

from io import BytesIO
from typing import Any, cast

import fastavro

from schemas.codec import versions
from schemas.events import RECORDS, Record

SCHEMAS: dict[type[Record], Any] = {cls: fastavro.parse_schema(versions(cls)[-1]) for cls in RECORDS}


def library(data: bytes, wrote: Any, wanted: Any = None) -> dict[str, Any]:
    """What fastavro reads in all of these bytes.  Raises ValueError when some are left."""
    body = BytesIO(data)
    fields = cast(dict[str, Any], fastavro.schemaless_reader(body, wrote, wanted))
    if body.tell() != len(data):
        raise ValueError("bytes left over")
    return fields
