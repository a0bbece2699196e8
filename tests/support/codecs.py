"""The codec with and without a registry, and why it refuses bytes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.codec import Codec, Undecodable, versions
from schemas.events import Record
from schemas.memory_registry import MemoryRegistry
from tests.support.avro_files import stem

GOLDEN = Path(__file__).parents[1] / "contract" / "golden"
CODEC = Codec()


REGISTRY = MemoryRegistry()
REGISTERED = Codec(REGISTRY)


def reason_of(decode: Callable[[], object]) -> str:
    """The reason for which bytes are refused."""
    with pytest.raises(Undecodable) as caught:
        decode()
    assert str(caught.value), "the detail says what is wrong"
    assert "\n" not in str(caught.value)
    return caught.value.reason


def header_of(cls: type[Record]) -> bytes:
    """The single-object header of a record type, from its golden bytes."""
    line = (GOLDEN / f"{stem(cls)}.v{len(versions(cls))}.hex").read_text(encoding="utf-8").split()[0]
    return bytes.fromhex(line)[:10]
