"""JSON that on-call records carry in one field: payloads of events, facts of notifications, members of incidents.

The structs are frozen, and bounded where people or other services write into them: decoding checks types and bounds.
A field is added with a default, so that what was written before still decodes.

    payload of an OncallEvent   PAYLOADS, by the event's kind
    facts of a Notification     Facts
    members of an Incident      Members
    fall of an Incident         FallState
    windows of a Fall           WindowFalls
"""

from typing import Annotated, Literal, TypeAlias, TypeVar

import msgspec

from schemas.events import OncallEvent

NAME_LENGTH = 256
NOTE_LENGTH = 2_000
COMMENT_LENGTH = 1_000
"""Longest comment of a member, in characters: the answer has the whole."""

MOST_MEMBERS = 500
"""Members that an incident keeps; those after them are counted alone."""

MOST_SHOWN = 10
"""Members that a notification shows, worst first."""

MOST_WINDOWS = 20
MOST_SEGMENTS = 100
MOST_CONDITIONS = 50

Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_LENGTH)]
Note: TypeAlias = Annotated[str, msgspec.Meta(max_length=NOTE_LENGTH)]
Comment: TypeAlias = Annotated[str, msgspec.Meta(max_length=COMMENT_LENGTH)]
Instant: TypeAlias = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
Natural: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]

Kind: TypeAlias = Literal["detractor", "fall", "no_answers", "nothing_sent", "response_rate", "stalled", "test"]
"""Subject of an incident: a group of detractors, a segment's fall, an absence, or the test of a receiver."""

AbsenceKind: TypeAlias = Literal["no_answers", "nothing_sent", "response_rate", "stalled"]
Severity: TypeAlias = Literal["critical", "error", "warning", "info"]
IncidentState: TypeAlias = Literal["waiting", "open", "acknowledged", "resolved"]
CaseState: TypeAlias = Literal["open", "contacted", "resolved"]
CaseReason: TypeAlias = Literal["closed", "score_rose", "withdrawn", "erased"]
Verb: TypeAlias = Literal["open", "update", "acknowledge", "resolve"]
ActionVerb: TypeAlias = Literal["acknowledge", "resolve", "escalate", "assign", "note", "contacted"]


class Bands(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of answers by band."""

    promoters: Natural
    passives: Natural
    detractors: Natural


class WindowFall(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence of one window that ends at the Fall's `end_ms`.  `z` and `threshold` are in standard errors.

    `smallest` is the smallest fall that this window finds in 80 % of cases, in points of NPS; None when there is too
    little to judge, as are `z` and `threshold`.  `standard_error` is of the NPS after, in points.
    """

    window: Name
    start_ms: Instant
    before: Bands
    after: Bands
    z: float | None = None
    threshold: float | None = None
    smallest: float | None = None
    standard_error: float | None = None


class WindowFalls(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence of all windows of one segment, shortest first."""

    windows: Annotated[tuple[WindowFall, ...], msgspec.Meta(max_length=MOST_WINDOWS)] = ()


class FallFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts that people are told of a fall: NPS and answers before and in `window`, which shows it most clearly."""

    segment: Name
    window: Name
    before_nps: float
    after_nps: float
    n_before: Natural
    n_after: Natural
    smallest: float
    since_ms: Instant


class FallState(msgspec.Struct, frozen=True, kw_only=True):
    """State of a fall that an incident keeps: `facts` of its opening, the baseline, and the `latest` ones.

    `opening` is the window that opened it.  `above_since_ms` is the instant since which NPS has stayed above the middle
    of before and after; None while it has not.  `reopens_from_ms`: only windows that begin at or after it may open
    another incident; 0 where any may.
    """

    opening: WindowFall
    facts: FallFacts
    latest: FallFacts
    end_ms: Instant
    above_since_ms: Instant | None = None
    reopens_from_ms: Instant = 0


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One detractor of an incident, as a notification shows it."""

    dedup_key: Name
    alert_id: Name
    customer_id: str | None = None
    survey_id: str | None = None
    score: int | None = None
    severity: Severity = "warning"
    comment: Comment | None = None
    opened_ms: Instant = 0
    state: CaseState = "open"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a receiver may tell of an incident.

    `members` are the worst first, `more` counts those that are not shown; `link` is the incident's address on the page,
    or empty.  `customer_id` and `comment` of members are None for receivers that may not have them.
    """

    title: Annotated[str, msgspec.Meta(max_length=1_000)]
    kind: Kind
    severity: Severity
    state: IncidentState
    route: Name
    survey: str | None = None
    segments: Annotated[tuple[str, ...], msgspec.Meta(max_length=MOST_SEGMENTS)] = ()
    count: Natural = 0
    opened_ms: Instant
    updated_ms: Instant
    resolved_ms: Instant | None = None
    acknowledged_by: str | None = None
    assignee: str | None = None
    note: Note | None = None
    members: Annotated[tuple[Member, ...], msgspec.Meta(max_length=MOST_SHOWN)] = ()
    more: Natural = 0
    fall: FallFacts | None = None
    link: str = ""


class CaseMember(msgspec.Struct, frozen=True, kw_only=True):
    """One detractor as its incident keeps it: the work on it and the last revision of the answer.

    `revision` is the highest that was seen; alerts at or below it change nothing.  `reason` says why it is resolved.
    """

    dedup_key: Name
    alert_id: Name
    customer_id: str | None
    survey: str
    revision: int
    score: int | None
    first_score: int | None
    severity: Severity
    comment: Comment | None
    segments: tuple[str, ...]
    opened_ms: Instant
    state: CaseState = "open"
    acknowledged_ms: Instant | None = None
    contacted_ms: Instant | None = None
    resolved_ms: Instant | None = None
    reason: CaseReason | None = None
    owner: str | None = None
    actor: str | None = None


class Members(msgspec.Struct, frozen=True, kw_only=True):
    """Detractors of an incident in the order in which they came, at most MOST_MEMBERS, and how far people were told.

    `more` found no room among them.  `subject` and `detail` are of a fall or an absence.  `stepped_ms` is when the last
    step of escalation was taken, by the notification `stepped_seq`; `news` is something that nobody was told yet, and
    `told_severity` the worst severity that was.
    """

    members: Annotated[tuple[CaseMember, ...], msgspec.Meta(max_length=MOST_MEMBERS)] = ()
    more: Natural = 0
    subject: str = ""
    detail: str = ""
    news: bool = False
    stepped_ms: Instant | None = None
    stepped_seq: Natural = 0
    told_severity: Severity | None = None


class AlertPayload(msgspec.Struct, frozen=True, kw_only=True):
    """Alert of nps.alerts: a detractor answered ('open'), or no longer is one ('resolved')."""

    alert_id: Name
    dedup_key: Name
    status: Literal["open", "resolved"]
    severity: Severity
    customer_id: str
    survey: str
    rule: str
    score: int | None
    comment: Comment | None
    revision: int
    answered_ms: Instant
    received_ms: Instant
    segments: Annotated[tuple[str, ...], msgspec.Meta(max_length=MOST_SEGMENTS)]
    amount_minor: int | None = None
    themes: Annotated[tuple[str, ...], msgspec.Meta(max_length=MOST_CONDITIONS)] = ()


class FallPayload(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence of nps.falls that reaches a threshold, or is about a segment with an open incident."""

    segment: Name
    end_ms: Instant
    windows: Annotated[tuple[WindowFall, ...], msgspec.Meta(max_length=MOST_WINDOWS)]


class AbsencePayload(msgspec.Struct, frozen=True, kw_only=True):
    """Begin or end of an absence; `subject` names the source, survey or segment it is about, or is 'all'."""

    kind: AbsenceKind
    status: Literal["open", "resolved"]
    subject: Name
    since_ms: Instant
    detail: Annotated[str, msgspec.Meta(max_length=500)] = ""


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """Action of a person about an incident, or about one case in it when `dedup_key` is given.

    `note` holds the text of a note; of assign it is who takes care from now on, None or empty for nobody.  An empty
    `incident_id` finds the incident by `dedup_key`.
    """

    incident_id: Annotated[str, msgspec.Meta(max_length=NAME_LENGTH)]
    verb: ActionVerb
    actor: Name
    note: Note | None = None
    dedup_key: Name | None = None


class DuePayload(msgspec.Struct, frozen=True, kw_only=True):
    """Notice that an incident's due time has come, or a silence's end, which is an incident's due time too."""

    incident_id: Name
    due_ms: Instant


class UndeliveredPayload(msgspec.Struct, frozen=True, kw_only=True):
    """Notice that a receiver did not take a notification: the next step is taken at once."""

    incident_id: Name
    notification_id: Name
    receiver: Name
    seq: Natural


class SilencePayload(msgspec.Struct, frozen=True, kw_only=True):
    """Silence that a person makes, from `starts_ms` until `until_ms`; its id replaces an earlier one, until 0 ends it.

    Empty conditions match everything; `segments` must all be there, of `kinds` and `routes` one.
    """

    silence_id: Name
    actor: Name
    starts_ms: Instant
    until_ms: Instant
    kinds: Annotated[tuple[Kind, ...], msgspec.Meta(max_length=MOST_CONDITIONS)] = ()
    routes: Annotated[tuple[Name, ...], msgspec.Meta(max_length=MOST_CONDITIONS)] = ()
    segments: Annotated[tuple[Name, ...], msgspec.Meta(max_length=MOST_CONDITIONS)] = ()
    note: Note | None = None


class ErasePayload(msgspec.Struct, frozen=True, kw_only=True):
    """Notice that a customer was erased."""

    customer_id: Name
    erasure_id: Name


Payload: TypeAlias = (
    AlertPayload | FallPayload | AbsencePayload | Action | DuePayload | UndeliveredPayload | SilencePayload
    | ErasePayload
)  # fmt: skip

PAYLOADS: dict[str, type[Payload]] = {
    "alert": AlertPayload,
    "fall": FallPayload,
    "absence": AbsencePayload,
    "action": Action,
    "due": DuePayload,
    "undelivered": UndeliveredPayload,
    "silence": SilencePayload,
    "erase": ErasePayload,
}
"""Struct of an OncallEvent's payload, by the event's kind."""

S = TypeVar("S", bound=msgspec.Struct)

_ENCODER = msgspec.json.Encoder()


def encode(struct: msgspec.Struct) -> str:
    """Encode a struct as the JSON that a record's field takes."""
    return _ENCODER.encode(struct).decode()


def decode(cls: type[S], text: str) -> S:
    """Decode a struct.  Raises ValueError, which names the field, for other JSON and for values out of bounds."""
    return msgspec.json.decode(text, type=cls)


def payload_of(event: OncallEvent) -> Payload:
    """Decode the payload of an event.  Raises ValueError for one that is not of the event's kind."""
    if (struct := PAYLOADS.get(event.kind)) is None:
        raise ValueError(f"{event.kind!r} is no kind of event")
    return decode(struct, event.payload)
