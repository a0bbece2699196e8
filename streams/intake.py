"""Intake: decodes and checks an inbound record before any journey is looked at, and cuts what none keeps whole."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from schemas.codec import Codec, Undecodable
from schemas.events import IDENTITY, ContactUpdate, Inbound, Purchase, SupportCase, SurveyResponse, Wakeup
from schemas.reasons import Reason
from schemas.topics import LARGEST_EVENT_BYTES, LETTER_HEADER
from streams.domain.effects import Reject
from streams.domain.segments import LONGEST
from streams.kafka.ports import FetchedRecord

LONGEST_NAME_BYTES = 256
"""The longest id, type, name of an attribute or other short text, in bytes of UTF-8."""

MOST_ATTRIBUTES = 64
"""The most attributes of an event that are looked at: the first by name."""

EARLIEST_MS, LATEST_MS = 946_684_800_000, 4_102_444_800_000
"""2000-01-01 and 2100-01-01: no event happened outside."""

_LONG_TEXTS = {"comment"}
_NAMES = {
    cls: [
        (place, name)
        for place, name in enumerate(cls._fields)
        if "str" in str(cls.__annotations__[name]) and name not in {*_LONG_TEXTS, "attributes", "consents", "bounces"}
    ]
    for cls in (Purchase, SupportCase, ContactUpdate, SurveyResponse)
}
"""Place and name of each short text of an event."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def accept(
    codec: Codec, cls: type[Inbound], record: FetchedRecord, latest_ms: int, is_placeholder: Callable[[str], bool]
) -> Inbound | Reject:
    """Decode a record of the topic of `cls`: its event, or the reason why it is a dead letter.

    `latest_ms` is the highest Kafka timestamp accepted, `is_placeholder` is the program's.  Attributes come cut as
    segments have them, so that conditions, segments, dimensions and what a dispatch repeats agree.  Raises RegistryAway
    when a registry is needed and away.
    """
    value, key, headers = record.value, record.key, record.headers
    size_bytes = len(value or b"") + len(key or b"")
    if headers:
        size_bytes += sum(len(name) + len(text or b"") for name, text in headers if name != LETTER_HEADER)
    if size_bytes > LARGEST_EVENT_BYTES:
        return Reject(Reason.TOO_LARGE, f"{size_bytes} bytes with key and headers, at most {LARGEST_EVENT_BYTES}")
    try:
        event: Inbound = codec.decode(cls, value)
    except Undecodable as error:
        return Reject(error.reason, str(error))
    customer_id = event.customer_id
    if not isinstance(event, Wakeup):
        if not (customer_id.strip() and event.source.strip() and event.id.strip()):
            empty = next(name for name in IDENTITY if not getattr(event, name).strip())
            return Reject(Reason.INVALID_EVENT, f"{empty} is empty")
        # an erasure of a placeholder is taken: there may be state from before it was one
        if is_placeholder(customer_id) and not (isinstance(event, ContactUpdate) and event.erased):
            return Reject(Reason.PLACEHOLDER, f"customer_id {customer_id!r} is one of events.placeholders")
    if key != customer_id.encode():
        return Reject(Reason.WRONG_KEY, "the record's key is not its customer_id; key records by customer_id")
    if not 0 <= record.timestamp <= latest_ms:
        return Reject(Reason.TOO_EARLY, f"Kafka timestamp {record.timestamp} is in the future or missing")
    if isinstance(event, Wakeup):
        return event
    if not EARLIEST_MS <= event.time < LATEST_MS:
        return Reject(Reason.ABSURD_TIME, absurd(event.time))
    if size_bytes > LONGEST_NAME_BYTES and (name := too_long(event)):
        return Reject(Reason.TOO_LONG, f"{name} has more than {LONGEST_NAME_BYTES} bytes")
    return event if isinstance(event, (SurveyResponse, ContactUpdate)) else _with_cut_attributes(event)


def _with_cut_attributes(event: Purchase | SupportCase) -> Purchase | SupportCase:
    attributes = event.attributes
    if len(attributes) <= MOST_ATTRIBUTES and not any(len(text) > LONGEST for text in attributes.values()):
        return event
    cut = {name: attributes[name][:LONGEST] for name in sorted(attributes)[:MOST_ATTRIBUTES]}
    return event._replace(attributes=cut)


def too_long(event: Purchase | SupportCase | ContactUpdate | SurveyResponse) -> str | None:
    """The name of the first field with a name that is too long; None when none is."""
    for place, name in _NAMES[type(event)]:
        if (text := event[place]) is not None and _is_long(str(text)):
            return name
    if not isinstance(event, SurveyResponse):
        for attribute in event.attributes:
            if _is_long(attribute):
                return "the name of an attribute"
    return None


def _is_long(text: str) -> bool:
    return len(text) * 4 > LONGEST_NAME_BYTES and len(text.encode()) > LONGEST_NAME_BYTES


def absurd(time_ms: int) -> str:
    """The absurd time, its day, and the unit that was probably meant."""
    try:
        day = f" is {(_EPOCH + timedelta(milliseconds=time_ms)).date()}"
    except OverflowError:
        day = " is in no calendar"
    for unit, factor in (("seconds", 1_000), ("microseconds", 1 / 1_000), ("nanoseconds", 1 / 1_000_000)):
        if EARLIEST_MS <= time_ms * factor < LATEST_MS:
            return f"time {time_ms}{day}: {unit} taken for milliseconds?"
    return f"time {time_ms}{day}: events are of the years 2000 to 2099"
