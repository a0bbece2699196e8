"""Body of the signed webhook: an event of Standard Webhooks about an incident, by `notification.v1.schema.json`."""

from typing import Any

import msgspec

from schemas.oncall import Facts
from sinks.notify.http_post import json_text
from sinks.notify.receiver import News
from sinks.notify.text import fitted, instant, utf8_bytes

LARGEST_BYTES = 20_000
SCHEMA_FILE = "notification.v1.schema.json"


def event_of(news: News) -> dict[str, Any]:
    """Make the event of news, at most 20 KB: with fewer members where all are too many."""
    return fitted(news.facts, lambda facts: _event(news, facts), _size_bytes, LARGEST_BYTES)


def _event(news: News, facts: Facts) -> dict[str, Any]:
    names = {"notification_id": news.notification_id, "incident_id": news.incident_id, "seq": news.seq}
    return {
        "type": f"incident.{news.verb}",
        "timestamp": instant(news.time_ms),
        "data": {**names, "verb": news.verb, **msgspec.to_builtins(facts)},
    }


def _size_bytes(event: dict[str, Any]) -> int:
    return utf8_bytes(json_text(event))
