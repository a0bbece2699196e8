"""Values of the mapping language: what a mapping file says, checked, before it is compiled.

SourceMapping    one file: a topic, the format of its records, and the events that they become
EventMapping     one `[[events]]`: a topic of ours, conditions, and an expression for each field
LinkMapping      one `[[links]]`: an order, case or address, and the customer that it belongs to
Expression       where a value comes from (Fixed, FirstPlace, Joined, Picked or Linked), and how it is converted
Place            a pointer into the record, into an element of an array, or to what came with the record
Requirement      a condition on the value at one place
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias

from schemas.events import Inbound

Scalar: TypeAlias = str | int | bool
"""A value that a mapping file may hold itself."""

FORMATS = ("json", "form", "csv", "avro")
ENVELOPES = ("cloudevents", "debezium")
COMPRESSIONS = ("gzip",)
OTHERWISE = ("bury", "ignore")
SIGNATURES = (
    "shopify", "woocommerce", "stripe", "zendesk", "typeform", "standard", "intercom", "delighted", "token",
)  # fmt: skip
"""Ways in which senders of webhooks sign what they send; `token` is for those who sign nothing."""

LINKS = ("order", "case", "address")
"""Kinds of things that a link leads from; addresses are known by their HMAC alone."""

MOST_EVENTS = 1_000
"""The most events that one record may become, and the most elements of an array that are looked at."""

MOST_ATTRIBUTES = 32
"""The most attributes that one event may be given."""

LARGEST_RECORD_BYTES = 1 << 20
"""Upper bound of a foreign record's value, also when it is unpacked."""

ROOT, ITEM, HEADER, KEY, RECORD, ENVELOPE = "", ".", "@header", "@key", "@record", "@envelope"
RECORD_FIELDS = ("timestamp", "topic", "partition", "offset")


@dataclass(frozen=True, slots=True)
class Place:
    """A pointer: `kind` says into what, `path` holds its tokens.  `text` is what the file has."""

    kind: str
    path: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Requirement:
    """A condition on the value at a place; every part that is not None must hold."""

    place: Place
    any_of: tuple[Scalar, ...] | None = None
    none_of: tuple[Scalar, ...] | None = None
    exists: bool | None = None
    at_least: Decimal | None = None
    starts: tuple[str, ...] | None = None
    differs_from: Place | None = None


@dataclass(frozen=True, slots=True)
class Fixed:
    """A value that stands in the mapping file."""

    value: Scalar


@dataclass(frozen=True, slots=True)
class FirstPlace:
    """The first of these places at which there is a value."""

    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Joined:
    """Texts written one behind the other; absent when one of them is."""

    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Picked:
    """The value at `take` in one element of an array: the first that fits, or the first of those with the largest."""

    of: Place
    where: tuple[Requirement, ...]
    largest: Place | None
    take: Place


@dataclass(frozen=True, slots=True)
class Linked:
    """The customer to whom the link of this order, case or address leads."""

    link: str
    of: "Expression"


Source: TypeAlias = Fixed | FirstPlace | Joined | Picked | Linked


@dataclass(frozen=True, slots=True)
class Expression:
    """A value's source, then in this order: `after`, `choices` and `otherwise`, conversion `to`, `default`."""

    source: Source
    to: str
    after: str | None = None
    choices: Mapping[str, Scalar] | None = None
    otherwise: Scalar | None = None
    zone: str | None = None
    format: str | None = None
    currency: "Expression | None" = None
    scale: int | None = None
    default: Scalar | None = None


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """A field of an event, `attributes.country` for an entry of a map, and the line that it is on."""

    name: str
    expression: Expression
    line: int


@dataclass(frozen=True, slots=True)
class EventMapping:
    """One `[[events]]`.  `maps` holds the entries of `attributes`, `consents` and `bounces` by field."""

    topic: str
    record: type[Inbound]
    line: int
    when: tuple[Requirement, ...]
    each: Place | None
    fields: Mapping[str, FieldMapping]
    maps: Mapping[str, Sequence[tuple[str, FieldMapping]]]

    @property
    def label(self) -> str:
        """Short name of the topic, as the file has it in `to`."""
        return self.topic.removeprefix("nps.")

    def mappings(self) -> list[FieldMapping]:
        """Every field and every entry of a map."""
        return [*self.fields.values(), *(mapping for entries in self.maps.values() for _, mapping in entries)]

    def expressions(self) -> list[Expression]:
        """Every expression, with those inside others."""
        return [one for mapping in self.mappings() for one in expressions_of(mapping.expression)]

    def line_of(self, field: str) -> int:
        """Line of a field, `attributes.country` for an entry; that of the event where the file does not give it."""
        return next((mapping.line for mapping in self.mappings() if mapping.name == field), self.line)


@dataclass(frozen=True, slots=True)
class LinkMapping:
    """One `[[links]]`: the order, case or address at `of` belongs to the customer at `customer_id`."""

    link: str
    line: int
    when: tuple[Requirement, ...]
    each: Place | None
    of: Expression
    customer_id: Expression


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """Proof that a webhook's sender gives; `secret` names the environment variable that holds the secret."""

    verify: str
    secret: str


@dataclass(frozen=True, slots=True)
class SourceMapping:
    """A mapping file.  `file` is its name for people, `hash` the first 12 hex digits of its SHA-256."""

    file: str
    hash: str
    name: str
    topic: str
    events: tuple[EventMapping, ...]
    format: str = "json"
    envelope: str | None = None
    unwrap: Place | None = None
    compressed: str | None = None
    otherwise: str = "bury"
    schema: str | None = None
    personal: frozenset[str] = field(default_factory=frozenset)
    webhook: WebhookSettings | None = None
    links: tuple[LinkMapping, ...] = ()

    @property
    def asked_links(self) -> frozenset[str]:
        """Kinds of links by which events find their customer."""
        expressions = [expression for event in self.events for expression in event.expressions()]
        return frozenset(one.source.link for one in expressions if isinstance(one.source, Linked))

    @property
    def has_links(self) -> bool:
        """True for a source that teaches links or asks for them."""
        return bool(self.links or self.asked_links)


def expressions_of(expression: Expression) -> list[Expression]:
    """The expression itself and those inside it: joined parts, the currency of an amount."""
    inner = list(expression.source.parts) if isinstance(expression.source, Joined) else []
    if isinstance(expression.source, Linked):
        inner.append(expression.source.of)
    if expression.currency is not None:
        inner.append(expression.currency)
    return [expression, *(found for part in inner for found in expressions_of(part))]


def places_of(expression: Expression) -> list[Place]:
    """Every place that an expression reads in its event's own scope, without those in elements of a picked array."""
    places: list[Place] = []
    for part in expressions_of(expression):
        if isinstance(part.source, FirstPlace):
            places += part.source.places
        elif isinstance(part.source, Picked):
            places.append(part.source.of)
    return places
