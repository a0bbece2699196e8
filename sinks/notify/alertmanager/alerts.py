"""Alerts of Alertmanager's API v2 (api/v2/openapi.yaml of prometheus/alertmanager).

Labels are what an alert is: they stay while an incident lives, but for its severity, with which another alert begins.
An open alert ends by itself five minutes after it was last told.
"""

from typing import Any, TypeAlias

from schemas.oncall import Facts
from sinks.notify.receiver import News
from sinks.notify.text import clipped, details, headline, instant, member_line, one_line

ENDS_AFTER_MS = 300_000
RESOLVED_FOR_MS = 300_000
TEXT_LENGTH = 2_000
NAMES = {
    "detractor": "NpsDetractors",
    "fall": "NpsFall",
    "no_answers": "NpsNoAnswers",
    "nothing_sent": "NpsNothingSent",
    "response_rate": "NpsResponseRate",
    "stalled": "NpsStalled",
    "test": "NpsTest",
}

PostableAlert: TypeAlias = dict[str, Any]


def labels_of(news: News) -> dict[str, str]:
    """Make the labels of an incident, which are its alert's identity."""
    facts = news.facts
    return {
        "alertname": NAMES[facts.kind],
        "incident_id": news.incident_id,
        "kind": facts.kind,
        "route": one_line(facts.route),
        "severity": facts.severity,
    }


def alert_of(news: News, now_ms: int) -> PostableAlert:
    """Make the alert of an incident as it is now: ending in five minutes while it is open, ended once resolved."""
    facts = news.facts
    ends_ms = now_ms + ENDS_AFTER_MS
    if facts.state == "resolved":
        ends_ms = min(now_ms, facts.updated_ms if facts.resolved_ms is None else facts.resolved_ms)
    return ended(news, max(ends_ms, facts.opened_ms))


def ended(news: News, ends_ms: int) -> PostableAlert:
    """Make the alert of an incident with this end."""
    facts = news.facts
    linked = {"generatorURL": facts.link} if facts.link else {}
    return {
        "labels": labels_of(news),
        "annotations": _annotations(facts),
        "startsAt": instant(facts.opened_ms),
        "endsAt": instant(ends_ms),  # cut to the second: an end in the future would end nothing now
        **linked,
    }


def _annotations(facts: Facts) -> dict[str, str]:
    members = "\n".join(_member(facts, place) for place in range(len(facts.members)))
    pairs = {name.lower().replace(" ", "_"): value for name, value in details(facts) if name not in ("Severity",)}
    texts = {"summary": headline(facts), "description": members, **pairs}
    return {name: clipped(text, TEXT_LENGTH) for name, text in texts.items() if text}


def _member(facts: Facts, place: int) -> str:
    member = facts.members[place]
    return f"{member_line(member)}{f': {one_line(member.comment)}' if member.comment else ''}"
