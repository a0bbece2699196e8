"""The encoder of our own against the library's."""

import pytest

from schemas.codec import Codec
from schemas.events import Wakeup
from schemas.fast.encoder import record_encoder

CODEC = Codec()


@pytest.mark.parametrize("due_ms", [1 << 63, -(1 << 63) - 1, "1", None, 1.5])
def test_a_value_of_another_type_is_refused(due_ms: object) -> None:
    """A value that the schema cannot hold raises ValueError and is never written as something else."""
    with pytest.raises(ValueError, match=r"contract|64 bits"):
        CODEC.encode(Wakeup("C1", due_ms))  # type: ignore[arg-type]  # what is tested


def test_an_unknown_type_is_refused_at_start() -> None:
    """A schema with a type the encoder does not know is refused when it is loaded, not when it is used."""
    with pytest.raises(ValueError, match="does not know"):
        record_encoder({"fields": [{"name": "x", "type": "bytes"}]}, b"")
