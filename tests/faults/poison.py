"""Records that are no events, of every kind that a topic may bring."""

import random
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from schemas.codec import Codec
from schemas.events import Purchase, SurveyResponse, Wakeup
from schemas.topics import CONTACTS, PURCHASES, RESPONSES, SUPPORT

if TYPE_CHECKING:
    from tests.faults.generator import Mix

TOPICS = (PURCHASES.name, SUPPORT.name, CONTACTS.name, RESPONSES.name)
UNKNOWN = b"\xc3\x01" + b"\xfe" * 8
"""A single-object header with a fingerprint that no schema has."""

Poison = tuple[str, bytes | None, bytes | None, tuple[tuple[str, bytes | None], ...]]
"""Topic, key, value and headers."""


def poisons(r: random.Random, mix: "Mix", codec: Codec, name: str) -> Iterator[Poison]:
    """As many as the mix asks for, each kind in turn."""
    for number in range(round(mix.visits * mix.poison_ratio)):
        kind, topic = KINDS[number % len(KINDS)], r.choice(TOPICS)
        customer = f"{name}-c{r.randrange(mix.customers)}"
        key, value = kind(r, codec, customer, mix.junk_bytes)
        yield topic, key, value, (("poison", kind.__name__.encode()),)


def truncated(r: random.Random, codec: Codec, customer: str, junk_bytes: int) -> tuple[bytes | None, bytes | None]:
    value = codec.encode(_response(r, customer))
    return customer.encode(), value[: r.randrange(1, len(value) - 1)]


def left_over(r: random.Random, codec: Codec, customer: str, junk_bytes: int) -> tuple[bytes | None, bytes | None]:
    return customer.encode(), codec.encode(_response(r, customer)) + b"\x00"


def unknown_fingerprint(r: random.Random, codec: Codec, customer: str, junk_bytes: int) -> tuple[bytes | None, bytes]:
    return customer.encode(), UNKNOWN + codec.encode(_response(r, customer))[10:]


def unknown_schema_id(r: random.Random, codec: Codec, customer: str, junk_bytes: int) -> tuple[bytes | None, bytes]:
    return customer.encode(), b"\x00" + r.randbytes(4) + codec.encode(_response(r, customer))[10:]


def junk(r: random.Random, codec: Codec, customer: str, junk_bytes: int) -> tuple[bytes | None, bytes | None]:
    return customer.encode(), r.randbytes(junk_bytes)


def no_value(r: random.Random, codec: Codec, customer: str, junk_bytes: int) -> tuple[bytes | None, bytes | None]:
    return customer.encode(), None


def empty(r: random.Random, codec: Codec, customer: str, junk_bytes: int) -> tuple[bytes | None, bytes | None]:
    return customer.encode(), b""


def wrong_type(r: random.Random, codec: Codec, customer: str, junk_bytes: int) -> tuple[bytes | None, bytes | None]:
    return customer.encode(), codec.encode(Wakeup(customer, 1))


def wrong_key(r: random.Random, codec: Codec, customer: str, junk_bytes: int) -> tuple[bytes | None, bytes | None]:
    return b"somebody else", codec.encode(_response(r, customer))


def no_key(r: random.Random, codec: Codec, customer: str, junk_bytes: int) -> tuple[bytes | None, bytes | None]:
    order = Purchase("shop", f"poison-{r.random()}", "order.delivered", 0, customer, "o", None, None, {})
    return None, codec.encode(order)


KINDS: tuple[Callable[[random.Random, Codec, str, int], tuple[bytes | None, bytes | None]], ...] = (
    truncated, left_over, unknown_fingerprint, unknown_schema_id, junk, no_value, empty, wrong_type, wrong_key, no_key,
)  # fmt: skip


def _response(r: random.Random, customer: str) -> SurveyResponse:
    return SurveyResponse(
        source="tool", id=f"poison-{r.random()}", type="survey.answered", time=0, customer_id=customer,
        survey_id="00000000-0000-5000-8000-000000000000", score=0, comment="poison", voided=False, channel=None,
    )  # fmt: skip
