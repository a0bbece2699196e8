"""Life of an incident: `step(incident, event, rules, now_ms) -> (incident, effects)`, pure.

    waiting ──page──► open ◄──lapse── acknowledged
       │               │  ──acknowledge──►  │
       └───────────────┴──── resolved ◄─────┘

What an event changes is taken in first; then whatever is due by now is said, in one notification to each receiver.
Revisions of an answer may come in any order and more than once: the highest one holds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import TypeAlias

from schemas.oncall import (
    COMMENT_LENGTH,
    MOST_MEMBERS,
    AbsencePayload,
    Action,
    AlertPayload,
    Bands,
    CaseMember,
    DuePayload,
    ErasePayload,
    FallFacts,
    FallPayload,
    FallState,
    Kind,
    Payload,
    Severity,
    SilencePayload,
    UndeliveredPayload,
    Verb,
    WindowFall,
)  # fmt: skip
from streams.domain.ids import uuid5
from streams.domain.incidents.falls import FallWatch, OpenFall, WindowEvidence, follow
from streams.domain.incidents.rules import OLDEST_MS, OncallRules, Subject, group_of
from streams.domain.incidents.state import (
    IncidentEffect,
    IncidentSnapshot,
    cases,
    changed,
    erased,
    is_worse,
    member_with,
    notify,
    worst,
)  # fmt: skip
from streams.domain.nps import Tally
from streams.domain.windows import Window

FALL_SEVERITY: Severity = "error"
ABSENCE_SEVERITY: Mapping[str, Severity] = {"stalled": "critical"}
_UPDATE: Verb = "update"
_INCIDENTS = bytes.fromhex("6f1d3c521f3a5f0e9d4e6e7073696e63")

IncidentStep: TypeAlias = tuple[IncidentSnapshot | None, list[IncidentEffect]]


@dataclass(slots=True)
class Index:
    """Incidents that are known: by id, and the last one of each case and of each group."""

    by_id: dict[str, IncidentSnapshot] = field(default_factory=dict)
    by_case: dict[str, str] = field(default_factory=dict)
    by_group: dict[str, str] = field(default_factory=dict)

    def put(self, incident: IncidentSnapshot) -> None:
        """Know the incident as it is now."""
        self.by_id[incident.incident_id] = incident
        for member in incident.members:
            self._point(self.by_case, member.dedup_key, incident)
        self._point(self.by_group, incident.group, incident)

    def forget(self, incident_id: str) -> None:
        """Know nothing of an incident any more."""
        if (incident := self.by_id.pop(incident_id, None)) is None:
            return
        for member in incident.members:
            _drop(self.by_case, member.dedup_key, incident_id)
        _drop(self.by_group, incident.group, incident_id)

    def last_of_group(self, group: str) -> IncidentSnapshot | None:
        """The last incident of this group, resolved or not."""
        return self.by_id.get(self.by_group.get(group, ""))

    def of_group(self, group: str) -> IncidentSnapshot | None:
        """The incident of this group that is not resolved."""
        found = self.last_of_group(group)
        return None if found is None or found.is_resolved else found

    def of_case(self, dedup_key: str) -> IncidentSnapshot | None:
        """The last incident with this case."""
        return self.by_id.get(self.by_case.get(dedup_key, ""))

    def _point(self, names: dict[str, str], name: str, incident: IncidentSnapshot) -> None:
        known = self.by_id.get(names.get(name, ""))
        if known is None or _age(known) <= _age(incident):
            names[name] = incident.incident_id


def _age(incident: IncidentSnapshot) -> tuple[bool, int, int]:
    """Order of incidents that share a case or a group: what is not resolved comes last."""
    return not incident.is_resolved, incident.opened_ms, incident.as_of


def _drop(names: dict[str, str], name: str, incident_id: str) -> None:
    if names.get(name) == incident_id:
        del names[name]


def group_key(event: Payload, rules: OncallRules) -> str:
    """Key of the group that an event belongs to by itself; empty for one that names its incident."""
    match event:
        case AlertPayload():
            subject = _subject(event)
            return group_of(rules.route_of(subject), subject, event.survey)
        case FallPayload():
            return f"fall|{event.segment}"
        case AbsencePayload():
            return f"{event.kind}|{event.subject}"
        case _:
            return ""


def find(event: Payload, index: Index, rules: OncallRules) -> Sequence[IncidentSnapshot | None]:
    """Find the incidents that an event is about; [None] when it may open one, none when it changes nothing.

    An alert belongs to the incident of its case, else to that of its group; an erasure may touch several.
    """
    match event:
        case AlertPayload():
            return [_of_alert(event, index, rules)]
        case FallPayload() | AbsencePayload():
            return [index.of_group(group_key(event, rules))]
        case Action():
            found = index.by_id.get(event.incident_id) or index.of_case(event.dedup_key or "")
        case DuePayload() | UndeliveredPayload():
            found = index.by_id.get(event.incident_id)
        case SilencePayload():
            return [incident for incident in index.by_id.values() if not incident.is_resolved]
        case ErasePayload():
            customer = event.customer_id
            known = index.by_id.values()
            return [one for one in known if any(member.customer_id == customer for member in one.members)]
    return [] if found is None else [found]


def step(
    incident: IncidentSnapshot | None, event: Payload, event_id: str, rules: OncallRules, now_ms: int
) -> IncidentStep:
    """Take one event into an incident; `incident` is None for one that may open a new one.  `now_ms` is Kafka's time.

    Returns None for no incident, and the same incident for an event that changes nothing.
    """
    if incident is not None:
        now_ms = max(now_ms, incident.updated_ms)  # clocks of producers differ
    if isinstance(event, DuePayload):
        now_ms = max(now_ms, event.due_ms)
    taken = _take(incident, event, event_id, rules, now_ms)
    if taken is None:
        return None, []
    told: list[IncidentEffect] = []
    if taken.told and taken.state == "acknowledged" and _acknowledger(taken) != _acknowledger(incident):
        taken = changed(taken, seq=taken.seq + 1)
        told = notify(taken, [(name, "acknowledge") for name in taken.told], rules, now_ms)
    urged = _is_urged(incident, event)
    settled, said = settle(taken, rules, now_ms, urged=urged)
    return settled, [*cases(settled, incident, rules), *told, *said]


def _acknowledger(incident: IncidentSnapshot | None) -> tuple[str, str | None] | None:
    return None if incident is None else (incident.state, incident.acknowledged_by)


def settle(
    incident: IncidentSnapshot, rules: OncallRules, now_ms: int, *, urged: bool = False
) -> tuple[IncidentSnapshot, list[IncidentEffect]]:
    """Let everything that is due by now happen, and work out what is due next.  `urged`: the next step is due now."""
    if incident.is_resolved:
        return incident, []
    if incident.is_over or (incident.kind == "detractor" and not incident.open_members):
        return resolve(incident, rules, now_ms, incident.resolved_by)
    lapses_ms = _lapses_ms(incident, rules)
    if lapses_ms is not None and now_ms >= lapses_ms:
        incident = changed(
            incident, state="open" if incident.told else "waiting", acknowledged_ms=None, acknowledged_by=None,
            news=True, told_severity=None, stepped_ms=now_ms, updated_ms=now_ms,
        )  # fmt: skip
    effects: list[IncidentEffect] = []
    route = rules.named(incident.route)
    at_ms = speaks_ms(incident, rules)
    is_due = at_ms is not None and at_ms <= now_ms and rules.awake_ms(route, incident.routed, now_ms) <= now_ms
    if is_due or (urged and incident.step < len(route.steps)):
        incident, effects = _speak(incident, rules, now_ms, urged=urged)
    return changed(incident, due_ms=_due_ms(incident, rules, now_ms)), effects


def resolve(
    incident: IncidentSnapshot, rules: OncallRules, now_ms: int, actor: str | None
) -> tuple[IncidentSnapshot, list[IncidentEffect]]:
    """End an incident; whoever was told of it hears so, whatever is silenced."""
    ended = changed(
        incident, state="resolved", resolved_ms=now_ms, resolved_by=actor, updated_ms=now_ms, due_ms=None, news=False,
        seq=incident.seq + 1 if incident.told else incident.seq,
    )  # fmt: skip
    return ended, notify(ended, [(name, "resolve") for name in ended.told], rules, now_ms)


def speaks_ms(incident: IncidentSnapshot, rules: OncallRules) -> int | None:
    """Instant at which an incident is told next, if nothing happens and nothing is silenced; None for never."""
    steps = rules.named(incident.route).steps
    if incident.notified_ms is None:
        if incident.state == "acknowledged":
            return None
        wait_ms = 0 if incident.severity == "critical" else rules.wait_ms
        return incident.opened_ms + wait_ms + steps[0].after_ms
    is_escalating = is_worse(incident.severity, incident.told_severity)
    if incident.state == "acknowledged":
        return incident.notified_ms if incident.news and is_escalating else None
    instants = [incident.notified_ms + rules.repeat_ms]
    if incident.news:
        instants.append(incident.notified_ms + (0 if is_escalating else rules.interval_ms))
    if (step_ms := _step_ms(incident, rules)) is not None:
        instants.append(step_ms)
    return min(instants)


def _step_ms(incident: IncidentSnapshot, rules: OncallRules) -> int | None:
    """Instant of the next step of escalation; None when all were taken."""
    steps = rules.named(incident.route).steps
    if not 0 < incident.step < len(steps) or incident.stepped_ms is None:
        return None
    return incident.stepped_ms + steps[incident.step].after_ms - steps[incident.step - 1].after_ms


def _lapses_ms(incident: IncidentSnapshot, rules: OncallRules) -> int | None:
    return None if incident.acknowledged_ms is None else incident.acknowledged_ms + rules.acknowledge_ms


def _due_ms(incident: IncidentSnapshot, rules: OncallRules, now_ms: int) -> int | None:
    """The instant at which something happens to an incident by itself."""
    instants = []
    if (at_ms := speaks_ms(incident, rules)) is not None:
        instants.append(rules.awake_ms(rules.named(incident.route), incident.routed, max(at_ms, now_ms)))
    if (lapses_ms := _lapses_ms(incident, rules)) is not None:
        instants.append(lapses_ms)
    return min(instants, default=None)


def _speak(
    incident: IncidentSnapshot, rules: OncallRules, now_ms: int, *, urged: bool
) -> tuple[IncidentSnapshot, list[IncidentEffect]]:
    """Tell the next step's receivers where it is due, and everybody who was told before of what is new or repeated."""
    steps = rules.named(incident.route).steps
    step_ms = _step_ms(incident, rules)
    is_acknowledged = incident.state == "acknowledged"
    steps_now = incident.step < len(steps) and (
        urged or incident.step == 0 or (not is_acknowledged and step_ms is not None and step_ms <= now_ms)
    )
    told = dict[str, Verb]()
    if incident.news or not steps_now:
        told |= dict.fromkeys(incident.told, _UPDATE)
    if steps_now:
        told |= {name: "update" if name in incident.told else "open" for name in steps[incident.step].to}
    spoken = changed(
        incident,
        state="open" if incident.state == "waiting" else incident.state,
        told=(*incident.told, *(name for name in told if name not in incident.told)),
        seq=incident.seq + 1, notified_ms=now_ms, news=False, told_severity=incident.severity,
    )  # fmt: skip
    if steps_now:
        spoken = changed(spoken, step=spoken.step + 1, stepped_ms=now_ms, stepped_seq=spoken.seq)
    return spoken, notify(spoken, list(told.items()), rules, now_ms)


def _is_urged(before: IncidentSnapshot | None, event: Payload) -> bool:
    """True for an event that takes the next step at once: a person asks for it, or a receiver did not take the last."""
    if before is None or before.is_resolved:
        return False
    if isinstance(event, UndeliveredPayload):
        return before.state == "open" and event.seq >= before.stepped_seq
    return isinstance(event, Action) and event.verb == "escalate"


def _take(
    incident: IncidentSnapshot | None, event: Payload, event_id: str, rules: OncallRules, now_ms: int
) -> IncidentSnapshot | None:
    """Take what an event says into the state, saying nothing yet."""
    match event:
        case AlertPayload():
            return _alert(incident, event, event_id, rules, now_ms)
        case FallPayload():
            return _fall(incident, event, event_id, rules, now_ms)
        case AbsencePayload():
            return _absence(incident, event, event_id, rules, now_ms)
        case Action():
            return None if incident is None else act(incident, event, now_ms)
        case ErasePayload():
            return None if incident is None else _erase(incident, event, now_ms)
        case DuePayload() | UndeliveredPayload() | SilencePayload():
            return incident


def _of_alert(alert: AlertPayload, index: Index, rules: OncallRules) -> IncidentSnapshot | None:
    """The incident of the alert's case, unless it is resolved and the alert opens the case anew; else the group's."""
    known = index.of_case(alert.dedup_key)
    if known is not None:
        member = next(member for member in known.members if member.dedup_key == alert.dedup_key)
        is_old = alert.status == "resolved" or alert.revision <= member.revision
        if not known.is_resolved or is_old or _stays_closed(member, alert):
            return known
    if known is None and alert.status == "resolved":
        return None  # it came before what it corrects
    return index.of_group(group_key(alert, rules))


def _subject(alert: AlertPayload) -> Subject:
    return Subject("detractor", alert.severity, alert.segments, alert.score, alert.comment)


def _opened(
    kind: Kind, event_id: str, subject: Subject, rules: OncallRules, now_ms: int, group: str
) -> IncidentSnapshot:
    route = rules.route_of(subject)
    severity: Severity = subject.severity  # type: ignore[assignment]  # of a payload, which was checked
    return IncidentSnapshot(
        uuid5(_INCIDENTS, event_id), kind, group, route.name, severity, now_ms, now_ms, rules.program, news=True
    )


def _alert(
    incident: IncidentSnapshot | None, alert: AlertPayload, event_id: str, rules: OncallRules, now_ms: int
) -> IncidentSnapshot | None:
    if incident is None:
        if now_ms - alert.received_ms > OLDEST_MS:
            return None
        incident = _opened("detractor", event_id, _subject(alert), rules, now_ms, group_key(alert, rules))
    known = next((member for member in incident.members if member.dedup_key == alert.dedup_key), None)
    if known is not None and alert.revision <= known.revision:
        return incident
    if known is None and len(incident.members) >= MOST_MEMBERS:
        return changed(incident, more=incident.more + 1, news=True, updated_ms=now_ms)
    member = _member(known, alert, now_ms)
    kept = tuple(member if one is known else one for one in incident.members)
    news = member.state != "resolved" and (known is None or known.state == "resolved" or known.score != member.score)
    return _with_members(incident, kept if known is not None else (*kept, member), now_ms, news=news)


def _member(known: CaseMember | None, alert: AlertPayload, now_ms: int) -> CaseMember:
    """The case as of an alert of a higher revision; one that a person closed stays closed unless it is worse."""
    comment = None if alert.comment is None else alert.comment[:COMMENT_LENGTH]
    severity = alert.severity if known is None or alert.status == "open" else known.severity
    said = {
        "alert_id": alert.alert_id, "revision": alert.revision, "score": alert.score, "comment": comment,
        "severity": severity,
    }  # fmt: skip
    if known is None:
        known = CaseMember(
            dedup_key=alert.dedup_key, customer_id=alert.customer_id, survey=alert.survey, first_score=alert.score,
            segments=alert.segments, opened_ms=now_ms, **said,  # type: ignore[arg-type]  # of the alert, as declared
        )  # fmt: skip
    if known.reason == "erased":
        return member_with(known, revision=alert.revision)
    if alert.status == "open" and _stays_closed(known, alert):
        return member_with(known, **said)
    if alert.status == "resolved":
        reason = "closed" if known.reason == "closed" else "withdrawn" if alert.score is None else "score_rose"
        ended_ms = known.resolved_ms if known.resolved_ms is not None else now_ms
        return member_with(known, **said, state="resolved", reason=reason, resolved_ms=ended_ms)
    if known.state == "resolved":
        return member_with(known, **said, state="open", reason=None, resolved_ms=None)
    return member_with(known, **said)


def _stays_closed(member: CaseMember, alert: AlertPayload) -> bool:
    """True for a case that an alert does not open anew: a person closed it and it got no worse, or it was erased."""
    return member.reason == "erased" or (member.reason == "closed" and not is_worse(alert.severity, member.severity))


def _with_members(
    incident: IncidentSnapshot, members: tuple[CaseMember, ...], now_ms: int, *, news: bool
) -> IncidentSnapshot:
    severity = worst((member.severity for member in members if member.state != "resolved"), incident.severity)
    return changed(incident, members=members, severity=severity, updated_ms=now_ms, news=incident.news or news)


def act(incident: IncidentSnapshot, action: Action, now_ms: int) -> IncidentSnapshot:
    """Take a person's action into the state."""
    if incident.is_resolved:
        return incident
    chosen = [one for one in incident.open_members if action.dedup_key in (None, one.dedup_key)]
    if action.dedup_key is not None and not chosen:
        return incident
    match action.verb:
        case "acknowledge":
            first_ms = incident.first_acknowledged_ms if incident.first_acknowledged_ms is not None else now_ms
            incident = changed(
                incident, state="acknowledged", acknowledged_ms=now_ms, acknowledged_by=action.actor,
                first_acknowledged_ms=first_ms, updated_ms=now_ms,
            )  # fmt: skip
            fields: dict[str, object] = {"acknowledged_ms": now_ms}
            chosen = [member for member in incident.open_members if member.acknowledged_ms is None]
        case "resolve":
            fields = {"state": "resolved", "reason": "closed", "resolved_ms": now_ms}
            is_over = incident.kind != "detractor" or len(chosen) == len(incident.open_members)
            incident = changed(incident, is_over=is_over, resolved_by=action.actor if is_over else None)
        case "contacted":
            fields = {"state": "contacted", "contacted_ms": now_ms}
            chosen = [member for member in chosen if member.contacted_ms is None]
        case "assign":
            fields = {"owner": action.note or None}
            if action.dedup_key is None:
                incident = changed(incident, assignee=action.note or None)
        case "note":
            return changed(incident, note=action.note, updated_ms=now_ms)
        case "escalate":
            return incident
    keys = {member.dedup_key for member in chosen}
    members = tuple(
        member_with(member, **fields, actor=action.actor) if member.dedup_key in keys else member
        for member in incident.members
    )
    return _with_members(incident, members, now_ms, news=False)


def _erase(incident: IncidentSnapshot, event: ErasePayload, now_ms: int) -> IncidentSnapshot:
    members = tuple(
        erased(member, now_ms) if member.customer_id == event.customer_id else member for member in incident.members
    )
    return _with_members(incident, members, now_ms, news=False)


def _absence(
    incident: IncidentSnapshot | None, absence: AbsencePayload, event_id: str, rules: OncallRules, now_ms: int
) -> IncidentSnapshot | None:
    if incident is None:
        if absence.status == "resolved" or now_ms - absence.since_ms > 30 * OLDEST_MS:
            return None
        subject = Subject(absence.kind, ABSENCE_SEVERITY.get(absence.kind, "error"), (absence.subject,))
        opened = _opened(absence.kind, event_id, subject, rules, now_ms, group_key(absence, rules))
        return changed(opened, subject=absence.subject, detail=absence.detail)
    return _ended(incident, now_ms) if absence.status == "resolved" else incident


def _fall(
    incident: IncidentSnapshot | None, fall: FallPayload, event_id: str, rules: OncallRules, now_ms: int
) -> IncidentSnapshot | None:
    """Open at a window's threshold; end as `falls.follow` says."""
    clearest = max(fall.windows, key=_clearness, default=None)
    if clearest is None or (incident is None and _clearness(clearest) < 1):
        return None
    facts = _fall_facts(fall, clearest)
    if incident is None:
        subject = Subject("fall", FALL_SEVERITY, (fall.segment,))
        opened = _opened("fall", event_id, subject, rules, now_ms, group_key(fall, rules))
        state = FallState(opening=clearest, facts=facts, latest=facts, end_ms=fall.end_ms)
        return changed(opened, subject=fall.segment, fall=state)
    known = incident.fall
    if known is None or fall.end_ms <= known.end_ms:
        return incident
    watch = follow(_watch(known), fall.end_ms, [_evidence(window, fall.end_ms) for window in fall.windows])
    state = FallState(
        opening=known.opening, facts=known.facts, latest=facts, end_ms=fall.end_ms,
        above_since_ms=watch.fall.back_since_ms if watch.fall else None, reopens_from_ms=watch.begin_ms,
    )  # fmt: skip
    after = changed(incident, fall=state, updated_ms=now_ms)
    return after if watch.fall else _ended(after, now_ms)


def openable(fall: FallPayload, last: IncidentSnapshot | None) -> FallPayload:
    """The windows that may open an incident: after the segment's `last` one recovered, those that begin in that."""
    if last is None or last.fall is None or not last.fall.reopens_from_ms:
        return fall
    begin_ms = last.fall.reopens_from_ms
    windows = tuple(window for window in fall.windows if window.start_ms >= begin_ms)
    return FallPayload(segment=fall.segment, end_ms=fall.end_ms, windows=windows)


def _watch(known: FallState) -> FallWatch:
    opening = known.opening
    fall = OpenFall(
        window=opening.window, since_ms=known.facts.since_ms, before=_tally(opening.before),
        after=_tally(opening.after), smallest=opening.smallest or 0.0, back_since_ms=known.above_since_ms,
    )  # fmt: skip
    return FallWatch(fall, known.end_ms)


def _evidence(window: WindowFall, end_ms: int) -> WindowEvidence:
    return WindowEvidence(
        Window(window.window, end_ms - window.start_ms), _tally(window.before), _tally(window.after),
        window.z, window.threshold or inf, window.smallest, window.standard_error,
    )  # fmt: skip


def _tally(bands: Bands) -> Tally:
    return Tally(bands.promoters, bands.passives, bands.detractors)


def _ended(incident: IncidentSnapshot, now_ms: int) -> IncidentSnapshot:
    """Mark what an incident is about as over: `settle` resolves it."""
    return changed(incident, is_over=True, updated_ms=now_ms)


def _clearness(window: WindowFall) -> float:
    """Evidence of a window as a multiple of its threshold; 0 where there is too little to judge."""
    return window.z / window.threshold if window.z is not None and window.threshold else 0.0


def _fall_facts(fall: FallPayload, window: WindowFall) -> FallFacts:
    return FallFacts(
        segment=fall.segment,
        window=window.window,
        before_nps=_nps(window.before),
        after_nps=_nps(window.after),
        n_before=_n(window.before),
        n_after=_n(window.after),
        smallest=window.smallest or 0.0,
        since_ms=window.start_ms,
    )


def _n(tally: Bands) -> int:
    return tally.promoters + tally.passives + tally.detractors


def _nps(tally: Bands) -> float:
    return round(100 * (tally.promoters - tally.detractors) / _n(tally), 2) if _n(tally) else 0.0
