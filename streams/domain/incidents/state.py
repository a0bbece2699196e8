"""State of one incident, effects of a step, and what is told of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from schemas.oncall import MOST_SHOWN, CaseMember, Facts, FallState, IncidentState, Kind, Member, Severity, Verb
from streams.domain.ids import uuid5
from streams.domain.incidents.rules import SEVERITIES, OncallRules, Receiver, Subject

_NOTIFICATIONS = bytes.fromhex("6f1d3c521f3a5f0e9d4e6e70736e6f74")


@dataclass(frozen=True, slots=True)
class IncidentSnapshot:
    """Whole state of one incident.

    `subject` is the segment or source of a fall or an absence.  `step` counts the steps of escalation that were taken,
    the last one at `stepped_ms` by the notification `stepped_seq`.  `news` is something that nobody was told yet,
    `told_severity` the worst severity that was; None makes the next page due at once.  `more` detractors found no room
    among the members.  `is_over` only while a step ends what it is about.
    """

    incident_id: str
    kind: Kind
    group: str
    route: str
    severity: Severity
    opened_ms: int
    updated_ms: int
    program: str
    subject: str = ""
    detail: str = ""
    state: IncidentState = "waiting"
    told: tuple[str, ...] = ()
    notified_ms: int | None = None
    acknowledged_ms: int | None = None
    acknowledged_by: str | None = None
    first_acknowledged_ms: int | None = None
    resolved_ms: int | None = None
    resolved_by: str | None = None
    assignee: str | None = None
    note: str | None = None
    step: int = 0
    stepped_ms: int | None = None
    stepped_seq: int = 0
    seq: int = 0
    due_ms: int | None = None
    news: bool = False
    told_severity: Severity | None = None
    members: tuple[CaseMember, ...] = ()
    more: int = 0
    is_over: bool = False
    fall: FallState | None = None
    as_of: int = -1

    @property
    def is_resolved(self) -> bool:
        """True when nothing more happens to it."""
        return self.state == "resolved"

    @property
    def open_members(self) -> tuple[CaseMember, ...]:
        """Members that are not resolved."""
        return tuple(member for member in self.members if member.state != "resolved")

    @property
    def segments(self) -> tuple[str, ...]:
        """Segments that all its members share, in their order; of a fall the one that fell."""
        if self.kind != "detractor":
            return (self.subject,)
        shared = set.intersection(*(set(member.segments) for member in self.members)) if self.members else set[str]()
        return tuple(segment for segment in self.members[0].segments if segment in shared) if self.members else ()

    @property
    def survey(self) -> str | None:
        """Survey that all its members share."""
        surveys = {member.survey for member in self.members}
        return surveys.pop() if len(surveys) == 1 else None

    @property
    def routed(self) -> Subject:
        """Facts by which silences and mute times match it."""
        return Subject(self.kind, self.severity, self.segments)


@dataclass(frozen=True, slots=True)
class Notify:
    """IncidentEffect: tell a receiver."""

    notification_id: str
    receiver: str
    incident_id: str
    seq: int
    verb: Verb
    time_ms: int
    facts: Facts


@dataclass(frozen=True, slots=True)
class CaseChanged:
    """IncidentEffect: a member of an incident is now so."""

    incident_id: str
    member: CaseMember
    due_ms: int


IncidentEffect: TypeAlias = Notify | CaseChanged


def worst(severities: Iterable[Severity], default: Severity) -> Severity:
    """The worst of these severities."""
    return min(severities, key=SEVERITIES.index, default=default)


def is_worse(severity: Severity, told: Severity | None) -> bool:
    """True when this severity is worse than what was told, or nothing was."""
    return told is None or SEVERITIES.index(severity) < SEVERITIES.index(told)


def notify(
    incident: IncidentSnapshot, told: Sequence[tuple[str, Verb]], rules: OncallRules, now_ms: int
) -> list[IncidentEffect]:
    """Make the notifications that this incident's `seq` stands for: one for each receiver with its verb."""
    return [
        Notify(
            uuid5(_NOTIFICATIONS, f"{incident.incident_id}:{incident.seq}:{name}"),
            name, incident.incident_id, incident.seq, verb, now_ms,
            facts_of(incident, rules.receivers.get(name, Receiver(name, ""))),
        )
        for name, verb in told
    ]  # fmt: skip


def cases(incident: IncidentSnapshot, before: IncidentSnapshot | None, rules: OncallRules) -> list[IncidentEffect]:
    """Make an effect of each member that is not as it was before."""
    known = set(before.members) if before is not None else set[CaseMember]()
    return [
        CaseChanged(incident.incident_id, member, member.opened_ms + rules.close_ms)
        for member in incident.members
        if member not in known
    ]


def facts_of(incident: IncidentSnapshot, receiver: Receiver) -> Facts:
    """Gather what this receiver may be told of an incident."""
    shown = sorted(incident.open_members or incident.members, key=_badness)[:MOST_SHOWN]
    count = len(incident.members) + incident.more if incident.kind == "detractor" else 1
    return Facts(
        title=title_of(incident, count),
        kind=incident.kind,
        severity=incident.severity,
        state=incident.state,
        route=incident.route,
        survey=incident.survey,
        segments=incident.segments,
        count=count,
        opened_ms=incident.opened_ms,
        updated_ms=incident.updated_ms,
        resolved_ms=incident.resolved_ms,
        acknowledged_by=incident.acknowledged_by,
        assignee=incident.assignee,
        note=incident.note,
        members=tuple(_shown(member, receiver) for member in shown),
        more=count - len(shown) if incident.kind == "detractor" else 0,
        fall=incident.fall.latest if incident.fall else None,
    )


def title_of(incident: IncidentSnapshot, count: int) -> str:
    """One line on what happened, without personal data."""
    if incident.fall is not None:
        fall = incident.fall.latest
        return f"NPS of {fall.segment} fell from {fall.before_nps:.0f} to {fall.after_nps:.0f} in {fall.window}"
    if incident.kind != "detractor":
        return f"{incident.kind.replace('_', ' ')}: {incident.detail or incident.subject}"
    where = [segment for segment in incident.segments if segment != "all"]
    of = incident.survey or "several surveys"
    return f"{count} detractor{'' if count == 1 else 's'}, {of}{': ' + where[-1] if where else ''}"[:1_000]


def erased(member: CaseMember, now_ms: int) -> CaseMember:
    """A member without the customer, resolved."""
    return _changed(
        member, customer_id=None, comment=None, state="resolved", reason="erased",
        resolved_ms=member.resolved_ms if member.resolved_ms is not None else now_ms,
    )  # fmt: skip


def changed(incident: IncidentSnapshot, **fields: object) -> IncidentSnapshot:
    """Copy an incident with these fields replaced."""
    return replace(incident, **fields)  # type: ignore[arg-type]  # names and types of its own fields


def _badness(member: CaseMember) -> tuple[int, int, int, str]:
    score = member.score if member.score is not None else 11
    return SEVERITIES.index(member.severity), score, member.opened_ms, member.dedup_key


def _shown(member: CaseMember, receiver: Receiver) -> Member:
    return Member(
        dedup_key=member.dedup_key,
        alert_id=member.alert_id,
        customer_id=member.customer_id if receiver.customers else None,
        survey_id=member.dedup_key,
        score=member.score,
        severity=member.severity,
        comment=member.comment if receiver.comments else None,
        opened_ms=member.opened_ms,
        state=member.state,
    )


def _changed(member: CaseMember, **fields: object) -> CaseMember:
    return CaseMember(**{**{name: getattr(member, name) for name in member.__struct_fields__}, **fields})


member_with = _changed
"""Copy a member with these fields replaced."""
