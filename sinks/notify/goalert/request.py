"""Alerts of GoAlert's generic API (https://goalert.me/docs/integrations): `dedup` is the incident's id.

Limits: summary 1,024 characters, details 6 KiB.
"""

from typing import Any

from sinks.notify.receiver import News
from sinks.notify.text import clipped, fitted, headline, plain, utf8_bytes

SUMMARY_LENGTH = 1_024
LARGEST_DETAILS_BYTES = 6_144


def alert_of(news: News) -> dict[str, Any] | None:
    """Make the alert of news; None to acknowledge, which the API cannot."""
    if news.verb == "acknowledge":
        return None
    alert = {"summary": clipped(headline(news.facts), SUMMARY_LENGTH), "dedup": news.incident_id}
    if news.verb == "resolve":
        return {**alert, "action": "close"}
    text = fitted(news.facts, plain, utf8_bytes, LARGEST_DETAILS_BYTES)
    return {**alert, "details": clipped(text, LARGEST_DETAILS_BYTES, size=utf8_bytes)}
