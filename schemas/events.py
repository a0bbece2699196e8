"""Records of the pipeline, one for each topic value, immutable and in the field order of their Avro schema.

The `.avsc` files beside this module are the authority: they carry each field's meaning, and a test holds the two
together field by field.  Records are named tuples: they are made once per event on the hot path, and a named tuple
costs a quarter of a frozen dataclass.  Instants are integer milliseconds since 1970 UTC.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, TypeAlias, get_args

NOTHING: Mapping[str, str] = MappingProxyType({})
"""An empty map, the default of map fields that were added after the first release."""


IDENTITY = ("customer_id", "source", "id")
"""Fields of an event that say whose it is, and which; in none of them is there nothing but space."""


class Purchase(NamedTuple):
    """Event of an order: placed, delivered, returned ..."""

    source: str
    id: str
    type: str
    time: int
    customer_id: str
    order_id: str
    amount_minor: int | None
    currency: str | None
    attributes: Mapping[str, str]


class SupportCase(NamedTuple):
    """Event of a support case: opened, solved, reopened ..."""

    source: str
    id: str
    type: str
    time: int
    customer_id: str
    case_id: str
    attributes: Mapping[str, str]


class ContactUpdate(NamedTuple):
    """Statements of a customer about being contacted: consent, bounces, locale ...; a null field states nothing."""

    source: str
    id: str
    type: str
    time: int
    customer_id: str
    opted_out: bool | None
    time_zone: str | None
    locale: str | None
    attributes: Mapping[str, str]
    consents: Mapping[str, str] = NOTHING
    bounces: Mapping[str, str] = NOTHING
    preferred_channel: str | None = None
    erased: bool = False


class SurveyResponse(NamedTuple):
    """Answer to a survey, part of one, a correction of one, or its withdrawal."""

    source: str
    id: str
    type: str
    time: int
    customer_id: str
    survey_id: str
    score: int | None
    comment: str | None
    voided: bool
    channel: str | None
    provisional: bool = False


class Wakeup(NamedTuple):
    """Notice that a customer's due time has come; written by workers, for workers."""

    customer_id: str
    due_ms: int


class Decision(NamedTuple):
    """Outcome of one trigger: pending, sent or suppressed; exactly one for each."""

    decision_id: str
    customer_id: str
    trigger_source: str
    trigger_id: str
    trigger_type: str
    trigger_ms: int
    correlation_id: str
    rule: str | None
    survey: str | None
    outcome: str
    reason: str | None
    cause_id: str | None
    survey_id: str | None
    decided_ms: int
    segments: Sequence[str]
    program: str
    channel: str | None
    question: str | None
    question_version: int | None
    probability: float | None
    lag_ms: int | None
    version: int


class SurveyDispatch(NamedTuple):
    """Request to the delivery tool: send this survey, or its reminder, to the customer now."""

    survey_id: str
    customer_id: str
    survey: str
    rule: str
    trigger_source: str
    trigger_id: str
    trigger_ms: int
    correlation_id: str
    due_ms: int
    expires_ms: int
    segments: Sequence[str]
    dimensions: Mapping[str, str]
    program: str
    question: str
    question_version: int
    channel: str | None
    locale: str | None
    personalisation: Mapping[str, str]
    token: str | None
    reminder: int
    lag_ms: int
    probability: float
    version: int


class Answer(NamedTuple):
    """Whole state of one survey's answer after a revision; the highest version holds."""

    survey_id: str
    customer_id: str
    survey: str
    rule: str
    correlation_id: str
    response_source: str
    response_id: str
    revision: int
    score: int | None
    band: str | None
    comment: str | None
    counted: bool
    flag: str | None
    sent_ms: int
    answered_ms: int
    received_ms: int
    segments: Sequence[str]
    dimensions: Mapping[str, str]
    program: str
    version: int


class PaneTally(NamedTuple):
    """Absolute tally of one segment in one pane, as far as one source partition has counted.

    The tally of a pane is the sum over source partitions and supplements; `supplement` is 0 for the pane itself.
    """

    segment: str
    resolution: str
    start_ms: int
    source_partition: int
    promoters: int
    passives: int
    detractors: int
    program: str
    version: int
    supplement: int = 0


class SegmentNps(NamedTuple):
    """Rolling NPS of one segment over one window."""

    segment: str
    window: str
    start_ms: int
    as_of_ms: int
    promoters: int
    passives: int
    detractors: int
    n: int
    nps: float | None
    low: float | None
    high: float | None
    margin: float | None
    enough: bool
    published_ms: int
    program: str
    version: int


class Alert(NamedTuple):
    """Alert that a detractor answered, or that the customer no longer is one."""

    alert_id: str
    dedup_key: str
    status: str
    severity: str
    customer_id: str
    survey: str
    rule: str
    correlation_id: str
    score: int | None
    comment: str | None
    revision: int
    answered_ms: int
    received_ms: int
    segments: Sequence[str]
    program: str
    version: int


class Erasure(NamedTuple):
    """Notice that a customer was erased: every holder of the customer's rows must delete them."""

    erasure_id: str
    customer_id: str
    source: str
    id: str
    erased_ms: int
    received_ms: int
    program: str
    version: int


class JudgedComment(NamedTuple):
    """Themes and sentiment of an answer's comment; without a sentiment the answer has no comment any more."""

    survey_id: str
    customer_id: str
    revision: int
    themes: Sequence[str]
    sentiment: str | None
    confidence: float
    model: str
    sent_ms: int
    answered_ms: int
    version: int


class AlertAction(NamedTuple):
    """Action of a person on call about an alert."""

    dedup_key: str
    action: str
    actor: str
    time: int
    note: str | None


class LetterAction(NamedTuple):
    """Fate of a dead letter: put back where it lay, or dropped, by a person's command."""

    letter_id: str
    death: int
    action: str
    reason: str
    origin_topic: str
    origin_partition: int
    origin_offset: int
    time: int


class OncallEvent(NamedTuple):
    """Something that may page somebody, or stop it; `payload` is JSON of the kind's struct in `schemas.oncall`."""

    event_id: str
    kind: str
    time: int
    subject: str
    payload: str


class Incident(NamedTuple):
    """Whole state of one incident; the highest version holds."""

    incident_id: str
    kind: str
    group: str
    route: str
    told: Sequence[str]
    state: str
    severity: str
    opened_ms: int
    updated_ms: int
    notified_ms: int | None
    acknowledged_ms: int | None
    acknowledged_by: str | None
    first_acknowledged_ms: int | None
    resolved_ms: int | None
    resolved_by: str | None
    assignee: str | None
    note: str | None
    step: int
    seq: int
    due_ms: int | None
    cases: int
    open_cases: int
    segments: Sequence[str]
    survey: str | None
    members: str
    fall: str | None
    program: str
    as_of: int
    version: int


class Case(NamedTuple):
    """Whole state of the work on one detractor; the highest version holds."""

    dedup_key: str
    incident_id: str
    alert_id: str
    customer_id: str | None
    survey: str
    state: str
    severity: str
    score: int | None
    first_score: int | None
    revision: int
    segments: Sequence[str]
    owner: str | None
    actor: str | None
    opened_ms: int
    due_ms: int
    acknowledged_ms: int | None
    contacted_ms: int | None
    resolved_ms: int | None
    reason: str | None
    program: str
    version: int


class Notification(NamedTuple):
    """News of an incident for one receiver; `facts` is JSON of `schemas.oncall.Facts`."""

    notification_id: str
    receiver: str
    incident_id: str
    seq: int
    verb: str
    time: int
    facts: str


class Delivery(NamedTuple):
    """Fate of a notification at its receiver, so far."""

    notification_id: str
    receiver: str
    incident_id: str
    seq: int
    verb: str
    state: str
    attempts: int
    receiver_ref: str | None
    time: int
    error: str | None


class Fall(NamedTuple):
    """Evidence whether one segment's NPS fell; `windows` is JSON of `schemas.oncall.WindowFalls`."""

    segment: str
    end_ms: int
    windows: str
    program: str
    version: int


class Link(NamedTuple):
    """Link of an order, case or address, known by its digest, to the customer that it belongs to."""

    link: str
    customer_id: str
    source: str
    time: int


Trigger: TypeAlias = Purchase | SupportCase
"""An event that can lead to a survey."""

Inbound: TypeAlias = Purchase | SupportCase | ContactUpdate | SurveyResponse | Wakeup
"""An event that a customer's journey is made of; keyed by customer."""

Record: TypeAlias = (
    Inbound | Decision | SurveyDispatch | Answer | PaneTally | SegmentNps | Alert | AlertAction | Erasure | LetterAction
    | OncallEvent | Incident | Case | Notification | Delivery | Fall | Link | JudgedComment
)  # fmt: skip
"""Any value of any topic."""

RECORDS: tuple[type[Record], ...] = get_args(Record)
