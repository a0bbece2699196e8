"""Records that are no events, of every kind that a topic may bring."""

import random
from collections.abc import Callable, Iterator

from schemas.codec import Codec
from schemas.events import ContactUpdate, Inbound, Purchase, SupportCase, SurveyResponse, Wakeup
from schemas.topics import CONTACTS, PURCHASES, RESPONSES, SUPPORT
from tests.faults.traffic.mix import Mix

_CODEC = Codec()
UNKNOWN = b"\xc3\x01" + b"\xfe" * 8
"""A single-object header with a fingerprint that no schema has."""

Poison = tuple[str, bytes | None, bytes | None, tuple[tuple[str, bytes | None], ...]]
"""Topic, key, value and headers."""


def poisons(r: random.Random, mix: Mix, name: str) -> Iterator[Poison]:
    """As many as the mix asks for, each kind in turn."""
    for number in range(round(mix.visits * mix.poison_ratio)):
        kind, topic = KINDS[number % len(KINDS)], r.choice(tuple(EVENTS))
        customer = f"{name}-c{r.randrange(mix.customers)}"
        good = _CODEC.encode(EVENTS[topic](f"poison-{number}", customer))
        key, value = kind(r, good, customer.encode(), mix.junk_bytes)
        yield topic, key, value, (("poison", kind.__name__.encode()),)


Keyed = tuple[bytes | None, bytes | None]
"""A key and a value."""


def truncated(r: random.Random, good: bytes, key: bytes, junk_bytes: int) -> Keyed:
    return key, good[: r.randrange(1, len(good) - 1)]


def left_over(r: random.Random, good: bytes, key: bytes, junk_bytes: int) -> Keyed:
    return key, good + b"\x00"


def unknown_fingerprint(r: random.Random, good: bytes, key: bytes, junk_bytes: int) -> Keyed:
    return key, UNKNOWN + good[10:]


def unknown_schema_id(r: random.Random, good: bytes, key: bytes, junk_bytes: int) -> Keyed:
    return key, b"\x00" + r.randbytes(4) + good[10:]


def junk(r: random.Random, good: bytes, key: bytes, junk_bytes: int) -> Keyed:
    return key, r.randbytes(junk_bytes)


def no_value(r: random.Random, good: bytes, key: bytes, junk_bytes: int) -> Keyed:
    return key, None


def empty(r: random.Random, good: bytes, key: bytes, junk_bytes: int) -> Keyed:
    return key, b""


def wrong_type(r: random.Random, good: bytes, key: bytes, junk_bytes: int) -> Keyed:
    return key, _CODEC.encode(Wakeup(key.decode(), 1))


def wrong_key(r: random.Random, good: bytes, key: bytes, junk_bytes: int) -> Keyed:
    return b"somebody else", good


def no_key(r: random.Random, good: bytes, key: bytes, junk_bytes: int) -> Keyed:
    return None, good


KINDS: tuple[Callable[[random.Random, bytes, bytes, int], Keyed], ...] = (
    truncated, left_over, unknown_fingerprint, unknown_schema_id, junk, no_value, empty, wrong_type, wrong_key, no_key,
)  # fmt: skip


def _purchase(id_: str, customer: str) -> Purchase:
    return Purchase("shop", id_, "order.delivered", 0, customer, id_, None, None, {})


def _case(id_: str, customer: str) -> SupportCase:
    return SupportCase("desk", id_, "case.solved", 0, customer, id_, {})


def _contact(id_: str, customer: str) -> ContactUpdate:
    return ContactUpdate("crm", id_, "contact.updated", 0, customer, True, None, None, {})


def _response(id_: str, customer: str) -> SurveyResponse:
    return SurveyResponse("tool", id_, "survey.answered", 0, customer, "no survey", 0, "poison", False, None)


EVENTS: dict[str, Callable[[str, str], Inbound]] = {
    PURCHASES.name: _purchase,
    SUPPORT.name: _case,
    CONTACTS.name: _contact,
    RESPONSES.name: _response,
}
"""An event of each topic with nothing wrong but, if somebody took it, its time."""
