"""Conversion between the values of `streams.domain.incidents` and records of Kafka."""

from typing import Any, get_args

from schemas import oncall
from schemas.events import Alert, AlertAction, Case, Erasure, Fall, Incident, Notification, OncallEvent
from schemas.oncall import (
    COMMENT_LENGTH,
    MOST_SEGMENTS,
    Action,
    AlertPayload,
    DuePayload,
    ErasePayload,
    FallPayload,
    FallState,
    IncidentState,
    Kind,
    Members,
    Severity,
    WindowFalls,
)
from streams.domain.ids import uuid5
from streams.domain.incidents.state import CaseChanged, IncidentSnapshot, Notify

_EVENTS = bytes.fromhex("6f1d3c521f3a5f0e9d4e6e70736f6576")
_SAME = (
    "incident_id", "group", "route", "told", "opened_ms", "updated_ms", "notified_ms", "acknowledged_ms",
    "acknowledged_by", "first_acknowledged_ms", "resolved_ms", "resolved_by", "assignee", "note", "step", "seq",
    "due_ms", "program", "as_of",
)  # fmt: skip
"""Fields that an incident and its record share."""

_IN_MEMBERS = ("members", "more", "subject", "detail", "news", "stepped_ms", "stepped_seq", "told_severity")
"""Fields of an incident that its record keeps in `members`."""


def row_of(incident: IncidentSnapshot, version: int) -> Incident:
    """Make the record of an incident."""
    fields: dict[str, Any] = {name: getattr(incident, name) for name in _SAME}
    is_group = incident.kind == "detractor"
    return Incident(
        **fields,
        kind=incident.kind,
        state=incident.state,
        severity=incident.severity,
        cases=len(incident.members) + incident.more if is_group else 1,
        open_cases=len(incident.open_members) if is_group else int(not incident.is_resolved),
        segments=incident.segments,
        survey=incident.survey,
        members=oncall.encode(Members(**{name: getattr(incident, name) for name in _IN_MEMBERS})),
        fall=oncall.encode(incident.fall) if incident.fall is not None else None,
        version=version,
    )


def incident_of(row: Incident) -> IncidentSnapshot:
    """Make an incident of its record.  Raises ValueError for a record that we did not write."""
    members = oncall.decode(Members, row.members)
    fields: dict[str, Any] = {name: getattr(row, name) for name in _SAME}
    fields |= {name: getattr(members, name) for name in _IN_MEMBERS}
    for name, known in (("kind", Kind), ("state", IncidentState), ("severity", Severity)):
        if getattr(row, name) not in get_args(known):
            raise ValueError(f"{getattr(row, name)!r} is no {name} of an incident")
        fields[name] = getattr(row, name)
    fall = oncall.decode(FallState, row.fall) if row.fall is not None else None
    return IncidentSnapshot(**{**fields, "told": tuple(row.told), "fall": fall})


def notification_of(notify: Notify) -> Notification:
    """Make the record of a notification."""
    return Notification(
        notify.notification_id,
        notify.receiver,
        notify.incident_id,
        notify.seq,
        notify.verb,
        notify.time_ms,
        oncall.encode(notify.facts),
    )


def case_of(changed: CaseChanged, program: str, version: int) -> Case:
    """Make the record of a case."""
    member = changed.member
    fields: dict[str, Any] = {name: getattr(member, name) for name in Case._fields if hasattr(member, name)}
    severity = member.severity if member.severity != "info" else "warning"  # no alert has that
    more = {"incident_id": changed.incident_id, "due_ms": changed.due_ms, "program": program, "version": version}
    return Case(**{**fields, **more, "severity": severity})


def event_of_alert(alert: Alert) -> OncallEvent:
    """Make the event of an alert."""
    payload = AlertPayload(
        alert_id=alert.alert_id,
        dedup_key=alert.dedup_key,
        status=alert.status,  # type: ignore[arg-type]  # an enum of its schema, as is the severity
        severity=alert.severity,  # type: ignore[arg-type]
        customer_id=alert.customer_id,
        survey=alert.survey,
        rule=alert.rule,
        score=alert.score,
        comment=None if alert.comment is None else alert.comment[:COMMENT_LENGTH],
        revision=alert.revision,
        answered_ms=alert.answered_ms,
        received_ms=alert.received_ms,
        segments=tuple(alert.segments[:MOST_SEGMENTS]),
    )
    return _event("alert", alert.received_ms, alert.dedup_key, payload, alert.alert_id)


def event_of_action(action: AlertAction) -> OncallEvent:
    """Make the event of an action that names an alert by its dedup key."""
    verb: Any = action.action
    note = None if action.note is None else action.note[: oncall.NOTE_LENGTH]
    payload = Action(
        incident_id="", verb=verb, actor=action.actor[: oncall.NAME_LENGTH] or "unknown", note=note,
        dedup_key=action.dedup_key,
    )  # fmt: skip
    cause = f"{action.dedup_key}:{action.action}:{action.actor}:{action.time}"
    return _event("action", action.time, action.dedup_key, payload, cause)


def event_of_erasure(erasure: Erasure) -> OncallEvent:
    """Make the event of an erasure."""
    payload = ErasePayload(customer_id=erasure.customer_id, erasure_id=erasure.erasure_id)
    return _event("erase", erasure.erased_ms, erasure.customer_id, payload, erasure.erasure_id)


def event_of_fall(fall: Fall) -> OncallEvent:
    """Make the event of evidence of a fall.  Raises ValueError for a record whose windows are not ours."""
    windows = oncall.decode(WindowFalls, fall.windows).windows
    payload = FallPayload(segment=fall.segment, end_ms=fall.end_ms, windows=windows)
    return _event("fall", fall.end_ms, fall.segment, payload, f"{fall.segment}:{fall.end_ms}:{fall.version}")


def event_of_due(incident_id: str, due_ms: int) -> OncallEvent:
    """Make the event that an incident's due time has come."""
    payload = DuePayload(incident_id=incident_id, due_ms=due_ms)
    return _event("due", due_ms, incident_id, payload, f"{incident_id}:{due_ms}")


def _event(kind: str, time_ms: int, subject: str, payload: oncall.Payload, cause: str) -> OncallEvent:
    event_id = uuid5(_EVENTS, f"{kind}:{cause}")
    return OncallEvent(event_id, kind, time_ms, subject, oncall.encode(payload))
