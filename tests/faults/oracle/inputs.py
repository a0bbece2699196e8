"""What the inbound topics hold, record by record: an event of a customer, or a fault that needs no journey to be seen.

Written from the README alone.  Only the codec and the records' names are shared with the pipeline.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from schemas.codec import Codec, Undecodable
from schemas.events import ContactUpdate, Purchase, SupportCase, SurveyResponse, Wakeup
from tests.faults.harness.reading import Row
from tests.faults.oracle.contacts import is_meaningless
from tests.faults.oracle.terms import LONGEST_VALUE, Terms

PURCHASES, SUPPORT, CONTACTS, RESPONSES, WAKEUPS = (
    f"nps.{name}" for name in ("purchases", "support", "contacts", "responses", "wakeups")
)
ORDER = (CONTACTS, PURCHASES, SUPPORT, RESPONSES, WAKEUPS)
"""In which topics of one partition come at one time."""

Event: TypeAlias = Purchase | SupportCase | ContactUpdate | SurveyResponse | Wakeup
RECORDS: dict[str, type[Event]] = {
    PURCHASES: Purchase,
    SUPPORT: SupportCase,
    CONTACTS: ContactUpdate,
    RESPONSES: SurveyResponse,
    WAKEUPS: Wakeup,
}
BEACON = "beacon"
"""Header of a confirmation that a page sent, not the pipeline."""

CODEC = Codec()
LARGEST_BYTES = 65_536
LONGEST_NAME_BYTES = 256
LONGEST_COMMENT_BYTES = 16_384
EARLIEST_MS, LATEST_MS = 946_684_800_000, 4_102_444_800_000
"""2000-01-01 and 2100-01-01: an event of another time is of none."""

DAY_MS = 86_400_000

Place = tuple[str, int, int]
"""Topic, partition and offset of a record."""


class Taken(NamedTuple):
    """A record as it is read: its event, None for one that no journey sees, and what is wrong with it.

    `moves_time` is false for a Kafka timestamp in the future: that record moves neither its topic's nor anybody's time.
    """

    place: Place
    row: Row
    event: Event | None
    fault: str = ""
    moves_time: bool = True

    @property
    def now_ms(self) -> int:
        """The customer's time."""
        return self.row.timestamp_ms

    @property
    def confirms(self) -> str:
        """The id of an answer by which the pipeline, and no page, confirms a click; empty for any other event."""
        event = self.event
        if isinstance(event, SurveyResponse) and (event.source, event.type) == ("nps.collector", "survey.waited"):
            return "" if BEACON in dict(self.row.headers) else event.id
        return ""


def judge(
    topics: Mapping[str, Sequence[Row]], terms: Terms, now_ms: int, too_early: Collection[Place]
) -> Iterator[Taken]:
    """Judge all records as of `now_ms`.

    `too_early` are the dead letters of that reason: whether a Kafka timestamp lay in the future depends on when it was
    read, so for those of the last day what happened is taken as given.
    """
    for topic, cls in RECORDS.items():
        for row in topics[topic]:
            place = (topic, row.partition, row.offset)
            event = _decoded(cls, row)
            if isinstance(event, str):
                yield Taken(place, row, None, event, not _is_ahead(row, terms, now_ms))
            elif row.key != event.customer_id.encode():
                yield Taken(place, row, None, "wrong_key", not _is_ahead(row, terms, now_ms))
            elif _is_ahead(row, terms, now_ms) or (place in too_early and _was_ahead(event, row, terms, now_ms)):
                yield Taken(place, row, None, "too_early", moves_time=False)
            elif reason := _foreign(event):
                yield Taken(place, row, None, reason)
            else:
                yield Taken(place, row, _cut(event), _fault(event, row, terms))


def _decoded(cls: type[Event], row: Row) -> Event | str:
    """The event, or why it is none."""
    held = [row.key, row.value, *(part for name, value in row.headers for part in (name.encode(), value))]
    if sum(len(part) for part in held if part is not None) > LARGEST_BYTES:
        return "too_large"
    try:
        return CODEC.decode(cls, row.value)
    except Undecodable as error:
        return error.reason


def _is_ahead(row: Row, terms: Terms, now_ms: int) -> bool:
    return row.timestamp_ms > now_ms + terms.early_ms


def _was_ahead(event: Event, row: Row, terms: Terms, now_ms: int) -> bool:
    """True when only its Kafka timestamp can have been too early."""
    time_ms = event.due_ms if isinstance(event, Wakeup) else event.time
    return row.timestamp_ms > now_ms - DAY_MS and time_ms - row.timestamp_ms <= terms.early_ms


def _foreign(event: Event) -> str:
    """What no event of any customer is like."""
    if isinstance(event, Wakeup):
        return ""
    if not EARLIEST_MS <= event.time < LATEST_MS:
        return "absurd_time"
    names = [text for name, text in event._asdict().items() if isinstance(text, str) and name != "comment"]
    names += getattr(event, "attributes", ())
    return "too_long" if any(len(name.encode()) > LONGEST_NAME_BYTES for name in names) else ""


def _fault(event: Event, row: Row, terms: Terms) -> str:
    """What is wrong with an event that its customer's time is moved by."""
    if isinstance(event, Wakeup):
        return ""
    if event.time - row.timestamp_ms > terms.early_ms:
        return "too_early"
    if isinstance(event, ContactUpdate):
        return "invalid_contact" if is_meaningless(event) else ""
    if row.timestamp_ms - event.time > terms.late_ms:
        return "too_late"
    return _meaningless(event) if isinstance(event, SurveyResponse) else ""


def _meaningless(event: SurveyResponse) -> str:
    if event.score is not None and event.score not in range(11):
        return "invalid_score"
    says_nothing = event.score is None and event.comment is None and not event.voided
    return "empty_response" if says_nothing else ""


def _cut(event: Event) -> Event:
    """The event with no more of its texts than is kept."""
    if isinstance(event, Purchase | SupportCase):
        return event._replace(attributes={name: value[:LONGEST_VALUE] for name, value in event.attributes.items()})
    if isinstance(event, SurveyResponse) and event.comment is not None:
        return event._replace(comment=event.comment.encode()[:LONGEST_COMMENT_BYTES].decode(errors="ignore"))
    return event
