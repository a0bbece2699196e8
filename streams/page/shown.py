"""Pieces of the stream: what of each thing a role may see, as JSON of server-sent events.

A viewer gets aggregates alone: each field that a viewer gets is named here, so that a new one stays with responders.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias
from urllib.parse import unquote

import msgspec

from schemas import oncall
from schemas.events import Answer, Case, Fall
from streams.domain.segments import ALL
from streams.page.access import Role
from streams.page.board import LiveBoard, OpenIncident, ShownFigure
from streams.page.shelf import Shelf

Shown: TypeAlias = Mapping[str, object]
"""Fields of one thing as they are sent; `key` names it, `gone` tells that it is no more."""

EVENTS = {"rolling": "rolling", "falls": "fall", "incidents": "incident", "cases": "case", "answers": "answer"}
"""Names of events, by the list of a snapshot that they change."""

_PERSONAL = frozenset({"cases", "answers"})
_SUBJECTS = {
    "no_answers": "No answers come in",
    "nothing_sent": "No surveys are sent",
    "response_rate": "Few customers answer",
    "stalled": "Scores stand still",
    "test": "Test of a receiver",
}


def event(name: str, told: object) -> bytes:
    """Make a server-sent event."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(told))


def snapshot(board: LiveBoard, role: Role, *, is_kafka_away: bool = False) -> bytes:
    """Make the event with everything that the role may see."""
    lists = {name: [_shown(board, role, name, key, value) for key, value in shelf]
             for name, shelf in _shelves(board, role)}  # fmt: skip
    return event("snapshot", lists | health(board, is_kafka_away=is_kafka_away))


def changes(board: LiveBoard, roles: Iterable[Role]) -> dict[Role, bytes]:
    """Make the events with everything that changed since the last call, for each role; nothing for one without any."""
    changed = {name: shelf.take_changes() for name, shelf in _shelves(board, Role.RESPONDER)}
    return {
        role: b"".join(
            event(EVENTS[name], [_shown(board, role, name, key, value) for key, value in changed[name]])
            for name, _ in _shelves(board, role)
            if changed[name]
        )
        for role in roles
    }


def health(board: LiveBoard, *, is_kafka_away: bool) -> dict[str, object]:
    """Health of the pipeline and size of the queue: numbers alone."""
    return {
        "health": {
            "at_ms": board.now_ms(),
            "rolling_ms": board.rolling_ms,
            "is_stalled": board.is_stalled,
            "is_kafka_away": is_kafka_away,
            "has_more_segments": board.has_more_segments,
            "lag_ms": board.lag_ms,
            "dead": board.letters(),
            "undelivered": board.deliveries("undelivered"),
            "doubtful": board.deliveries("doubtful"),
        },
        "queue": {"open": len(board.cases), "overdue": board.overdue()},
    }


def title_of(incident: OpenIncident) -> str:
    """Title of an incident, made of counts and segments alone."""
    record = incident.record
    if record.kind == "detractor":
        people = f"{record.open_cases} detractor{'' if record.open_cases == 1 else 's'}"
        return f"{people} · {_places(record.segments)}"
    if incident.fall is not None:
        return f"NPS of {_place(incident.fall.segment)} fell"
    return _SUBJECTS.get(record.kind, record.kind)


def _shelves(board: LiveBoard, role: Role) -> list[tuple[str, Shelf[Any]]]:
    shelves: list[tuple[str, Shelf[Any]]] = [
        ("rolling", board.figures), ("falls", board.falls), ("incidents", board.incidents), ("cases", board.cases),
        ("answers", board.answers),
    ]  # fmt: skip
    return [(name, shelf) for name, shelf in shelves if role is Role.RESPONDER or name not in _PERSONAL]


def _shown(board: LiveBoard, role: Role, name: str, key: str, value: object) -> Shown:
    match value:
        case ShownFigure():
            return {"key": key, **_figure(value)}
        case Fall():
            return {"key": key, "windows": _windows(value)}
        case OpenIncident():
            personal = _personal(value) if role is Role.RESPONDER else {}
            return {"key": key, **_incident(value), **personal}
        case Case() if role is Role.RESPONDER:
            return {"key": key, **_case(value, board.comments.get(key))}
        case Answer() if role is Role.RESPONDER:
            return {"key": key, **_answer(value)}
    return {"key": key, "gone": True}


def _figure(figure: ShownFigure) -> Shown:
    row = figure.row
    return {
        "segment": row.segment, "window": row.window, "nps": row.nps, "low": row.low, "high": row.high, "n": row.n,
        "promoters": row.promoters, "passives": row.passives, "detractors": row.detractors, "few": not row.enough,
        "trend": [nps for _, nps in figure.trend],
    }  # fmt: skip


def _windows(fall: Fall) -> list[Shown]:
    try:
        windows = oncall.decode(oncall.WindowFalls, fall.windows).windows
    except ValueError:
        return []
    return [{"window": each.window, "smallest": each.smallest} for each in windows]


def _incident(incident: OpenIncident) -> Shown:
    """Fields that a viewer may see, too."""
    record, fall = incident.record, incident.fall
    return {
        "title": title_of(incident), "kind": record.kind, "severity": record.severity, "state": record.state,
        "segments": record.segments, "survey": record.survey, "count": record.open_cases,
        "opened_ms": record.opened_ms, "fall": None if fall is None else _fall(fall),
    }  # fmt: skip


def _fall(fall: oncall.FallFacts) -> Shown:
    return {
        "segment": fall.segment, "window": fall.window, "before": fall.before_nps, "after": fall.after_nps,
        "n_before": fall.n_before, "n_after": fall.n_after, "smallest": fall.smallest,
    }  # fmt: skip


def _personal(incident: OpenIncident) -> Shown:
    record = incident.record
    return {
        "acknowledged_by": record.acknowledged_by, "assignee": record.assignee, "note": record.note,
        "members": [
            {"key": member.dedup_key, "customer": member.customer_id, "score": member.score,
             "comment": member.comment, "opened_ms": member.opened_ms, "state": member.state}
            for member in incident.members
        ],
    }  # fmt: skip


def _case(case: Case, comment: str | None) -> Shown:
    return {
        "incident": case.incident_id, "customer": case.customer_id, "score": case.score, "severity": case.severity,
        "comment": comment if case.customer_id is not None else None, "opened_ms": case.opened_ms,
        "due_ms": case.due_ms, "state": case.state, "owner": case.owner,
    }  # fmt: skip


def _answer(answer: Answer) -> Shown:
    return {
        "customer": answer.customer_id, "score": answer.score, "comment": answer.comment,
        "segments": answer.segments, "received_ms": answer.received_ms, "counted": answer.counted,
    }  # fmt: skip


def _places(segments: Iterable[str]) -> str:
    return ", ".join(_place(segment) for segment in segments if segment != ALL) or _place(ALL)


def _place(segment: str) -> str:
    if segment == ALL:
        return "all customers"
    pairs = (pair.partition("=") for pair in segment.split(","))
    return " · ".join(f"{name} {unquote(value)}" for name, _, value in pairs)
