"""Events of PagerDuty's Events API v2 (https://developer.pagerduty.com/docs/events-api-v2-overview).

`dedup_key` is the incident's id: a trigger repeated while it is open there pages nobody again.  Limits: summary 1,024
characters, dedup_key 255, the event 512 KB.
"""

from typing import Any

from schemas.oncall import Facts, Member
from sinks.notify.http_post import json_text
from sinks.notify.receiver import News
from sinks.notify.text import clipped, details, fitted, headline, instant, one_line, utf8_bytes

SUMMARY_LENGTH = 1_024
DEDUP_KEY_LENGTH = 255
LARGEST_BYTES = 512_000
SOURCE = "nps"
ACTIONS = {"open": "trigger", "update": "trigger", "acknowledge": "acknowledge", "resolve": "resolve"}


def event_of(news: News, routing_key: str) -> dict[str, Any]:
    """Make the event of news: trigger, acknowledge or resolve."""
    event = {
        "routing_key": routing_key,
        "event_action": ACTIONS[news.verb],
        "dedup_key": clipped(news.incident_id, DEDUP_KEY_LENGTH),
    }
    if event["event_action"] != "trigger":
        return event
    return fitted(news.facts, lambda facts: {**event, **_told(facts)}, _size_bytes, LARGEST_BYTES)


def _told(facts: Facts) -> dict[str, Any]:
    payload = {
        "summary": clipped(headline(facts), SUMMARY_LENGTH),
        "source": SOURCE,
        "severity": facts.severity,
        "timestamp": instant(facts.opened_ms),
        "class": facts.kind,
        "group": facts.route,
        "custom_details": {**dict(details(facts)), **_members(facts)},
    }
    if facts.survey:
        payload["component"] = facts.survey
    linked = {"client": "nps", "client_url": facts.link} if facts.link else {}
    return {"payload": payload, **linked, "links": [{"href": facts.link, "text": "Incident"}] if facts.link else []}


def _members(facts: Facts) -> dict[str, Any]:
    shown = {"members": [_member(member) for member in facts.members]} if facts.members else {}
    return {**shown, **({"more": facts.more} if facts.more else {})}


def _member(member: Member) -> dict[str, Any]:
    pairs = {
        "score": member.score,
        "severity": member.severity,
        "state": member.state,
        "opened": instant(member.opened_ms),
        "customer": member.customer_id,
        "comment": member.comment and one_line(member.comment),
    }
    return {name: value for name, value in pairs.items() if value is not None}


def _size_bytes(event: dict[str, Any]) -> int:
    return utf8_bytes(json_text(event))
