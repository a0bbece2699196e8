"""What the inbound topics hold, record by record: an event of a customer, or a fault that needs no journey to be seen.

Written from the README alone.  Only the codec and the records' names are shared with the pipeline.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from schemas.codec import Codec, Undecodable
from schemas.events import ContactUpdate, Purchase, SupportCase, SurveyResponse, Wakeup
from tests.faults.harness.reading import Row
from tests.faults.oracle.terms import Terms

PURCHASES, SUPPORT, CONTACTS, RESPONSES, WAKEUPS = (
    f"nps.{name}" for name in ("purchases", "support", "contacts", "responses", "wakeups")
)
Event: TypeAlias = Purchase | SupportCase | ContactUpdate | SurveyResponse | Wakeup
RECORDS: dict[str, type[Event]] = {
    PURCHASES: Purchase,
    SUPPORT: SupportCase,
    CONTACTS: ContactUpdate,
    RESPONSES: SurveyResponse,
    WAKEUPS: Wakeup,
}
LARGEST_BYTES = 65_536
YEAR_2000_MS, YEAR_2100_MS = 946_684_800_000, 4_102_444_800_000
DAY_MS = 86_400_000

Place = tuple[str, int, int]
"""Topic, partition and offset of a record."""


class Taken(NamedTuple):
    """An event that a journey sees, at the customer's time `now_ms`; one with a fault only moves that time."""

    place: Place
    now_ms: int
    event: Event
    fault: str = ""


@dataclass(slots=True)
class Customer:
    """All events of one customer, by topic, in the order of their partition."""

    taken: dict[str, list[Taken]] = field(default_factory=dict)

    def of(self, topic: str) -> Sequence[Taken]:
        """The events on one topic."""
        return self.taken.get(topic, ())


@dataclass(frozen=True, slots=True)
class Inputs:
    """Every inbound record, judged: `dead` says why a record must be a dead letter, by its place."""

    rows: Mapping[Place, Row]
    customers: Mapping[str, Customer]
    dead: Mapping[Place, str]


def judge(topics: Mapping[str, Sequence[Row]], terms: Terms, now_ms: int, too_early: Collection[Place]) -> Inputs:
    """Judge all records as of `now_ms`.

    `too_early` are the dead letters of that reason: whether a Kafka timestamp lay in the future depends on when it was
    read, so for those of the last day what happened is taken as given.
    """
    codec, rows, customers, dead = Codec(), {}, dict[str, Customer](), dict[Place, str]()
    for topic, cls in RECORDS.items():
        for row in topics[topic]:
            place = (topic, row.partition, row.offset)
            rows[place] = row
            event = _decoded(codec, cls, row)
            fault = event if isinstance(event, str) else _fault(event, row, terms, now_ms, place in too_early)
            if fault:
                dead[place] = fault
            if not isinstance(event, str) and fault not in ("wrong_key", "clock", "absurd_time"):
                taken = Taken(place, row.timestamp_ms, event, fault)
                customers.setdefault(event.customer_id, Customer()).taken.setdefault(topic, []).append(taken)
    return Inputs(rows, customers, {place: "too_early" if why == "clock" else why for place, why in dead.items()})


def _decoded(codec: Codec, cls: type[Event], row: Row) -> Event | str:
    """The event, or why it is none."""
    held = [row.key, row.value, *(part for name, value in row.headers for part in (name.encode(), value))]
    if sum(len(part) for part in held if part is not None) > LARGEST_BYTES:
        return "too_large"
    try:
        return codec.decode(cls, row.value)
    except Undecodable as error:
        return error.reason


def _fault(event: Event, row: Row, terms: Terms, now_ms: int, was_too_early: bool) -> str:
    """What is wrong with an event; 'clock' for a Kafka timestamp in the future, which no journey sees."""
    if row.key != event.customer_id.encode():
        return "wrong_key"
    time_ms = event.due_ms if isinstance(event, Wakeup) else event.time
    refused = was_too_early and row.timestamp_ms > now_ms - DAY_MS and time_ms - row.timestamp_ms <= terms.early_ms
    if refused or row.timestamp_ms > now_ms + terms.early_ms:
        return "clock"
    if isinstance(event, Wakeup):
        return ""
    if not YEAR_2000_MS <= time_ms < YEAR_2100_MS:
        return "absurd_time"
    if row.timestamp_ms - time_ms > terms.late_ms and not isinstance(event, ContactUpdate):
        return "too_late"
    if time_ms - row.timestamp_ms > terms.early_ms:
        return "too_early"
    return _meaningless(event) if isinstance(event, SurveyResponse) else ""


def _meaningless(event: SurveyResponse) -> str:
    if event.score is not None and event.score not in range(11):
        return "invalid_score"
    says_nothing = event.score is None and event.comment is None and not event.voided
    return "empty_response" if says_nothing else ""
