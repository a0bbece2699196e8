"""Messages of Slack's Block Kit (https://docs.slack.dev/reference/block-kit).

Limits: 50 blocks, a section 3,000 characters, a header 150, a field 2,000, the whole 12,000; lengths are counted as
JavaScript does.  `&`, `<` and `>` are escaped, and nothing of strangers becomes a link, a channel or a mention.
"""

from typing import Any
from urllib.parse import quote

from schemas.oncall import Facts, Member
from sinks.notify.http_post import json_text
from sinks.notify.text import clipped, details, fitted, headline, member_line, one_line, utf16_units

HEADER_LENGTH = 150
SECTION_LENGTH = 3_000
FIELD_LENGTH = 500
"""Below Slack's 2,000, so that one long value leaves room for the others."""

MOST_FIELDS = 10
MESSAGE_LENGTH = 12_000
TEXT_LENGTH = 1_000
SAFE = ":/?#[]@!$&'()*+,;=%~-._"
"""Characters that an address in a message keeps."""

MARKS = {"critical": "🔴", "error": "🟠", "warning": "🟡", "info": "🔵"}
DONE = "✅"


def message_of(facts: Facts) -> dict[str, Any]:
    """Make the message of an incident: blocks, and the text that notifications and screen readers show."""
    return fitted(facts, _message, _size, MESSAGE_LENGTH)


def news_line(facts: Facts) -> str:
    """Line of mrkdwn about the present state, for the incident's thread."""
    by = f" by {facts.acknowledged_by}" if facts.state == "acknowledged" and facts.acknowledged_by else ""
    count = f", {facts.count} customers" if facts.kind == "detractor" else ""
    note = f": {facts.note}" if facts.note else ""
    return _escaped(f"{_mark(facts)} {facts.state}{by}, {facts.severity}{count}{note}", SECTION_LENGTH)


def escape(text: str) -> str:
    """Escape Slack's three control characters."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _message(facts: Facts) -> dict[str, Any]:
    title = f"{_mark(facts)} {headline(facts)}"
    fields = [
        _mrkdwn(f"*{name}*\n{_escaped(value, FIELD_LENGTH)}") for name, value in details(facts)[:MOST_FIELDS] if value
    ]
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": _plain(title, HEADER_LENGTH)},
        {"type": "section", "fields": fields},
        *({"type": "section", "text": _plain(_line(member), SECTION_LENGTH)} for member in facts.members),
    ]
    if facts.more:
        blocks.append({"type": "context", "elements": [_plain(f"and {facts.more} more", SECTION_LENGTH)]})
    # a vertical bar or an angle bracket would end the address
    link = f"<{escape(quote(facts.link, safe=SAFE))}|Open the incident>"
    if facts.link and utf16_units(link) <= SECTION_LENGTH:
        blocks.append({"type": "section", "text": _mrkdwn(link)})
    return {"text": _escaped(title, TEXT_LENGTH), "blocks": blocks}


def _mark(facts: Facts) -> str:
    return DONE if facts.state == "resolved" else MARKS[facts.severity]


def _line(member: Member) -> str:
    comment = f"\n{one_line(member.comment)}" if member.comment else ""
    return f"{member_line(member)}{comment}"


def _escaped(text: str, most: int) -> str:
    return clipped(one_line(text), most, escape, utf16_units)


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _plain(text: str, most: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": clipped(text, most, size=utf16_units), "emoji": False}


def _size(message: dict[str, Any]) -> int:
    return utf16_units(json_text(message))
