"""Adaptive Cards 1.4 of incidents (https://adaptivecards.io/explorer), at most 20 KB with their envelope.

Texts of strangers are TextRuns, in which Teams obeys no Markdown; values of facts are escaped.
"""

import re
from typing import Any

from schemas.oncall import Facts, Member
from sinks.notify.http_post import json_text
from sinks.notify.text import clipped, details, fitted, headline, member_line, one_line, utf8_bytes

LARGEST_BYTES = 20_000
SCHEMA = "http://adaptivecards.io/schemas/adaptive-card.json"
CONTENT_TYPE = "application/vnd.microsoft.card.adaptive"
TEXT_LENGTH = 1_000
COLOURS = {"critical": "attention", "error": "attention", "warning": "warning", "info": "accent"}

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~<>&])")


def message_of(facts: Facts) -> dict[str, Any]:
    """Make the message with the card of an incident."""
    return fitted(facts, _message, lambda message: utf8_bytes(json_text(message)), LARGEST_BYTES)


def escape(text: str) -> str:
    """Escape every character that means something in Markdown."""
    return _MARKDOWN.sub(r"\\\1", text)


def _message(facts: Facts) -> dict[str, Any]:
    colour = "good" if facts.state == "resolved" else COLOURS[facts.severity]
    pairs = [{"title": name, "value": clipped(value, TEXT_LENGTH, escape)} for name, value in details(facts)]
    card: dict[str, Any] = {
        "$schema": SCHEMA,
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            _text(headline(facts), size="large", weight="bolder", color=colour),
            {"type": "FactSet", "facts": pairs},
            *(_member(member) for member in facts.members),
            *([_text(f"and {facts.more} more", isSubtle=True)] if facts.more else []),
        ],
    }
    if facts.link:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Open the incident", "url": facts.link}]
    attachment = {"contentType": CONTENT_TYPE, "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _member(member: Member) -> dict[str, Any]:
    comment = f": {one_line(member.comment)}" if member.comment else ""
    return _text(f"{member_line(member)}{comment}")


def _text(text: str, **style: object) -> dict[str, Any]:
    run = {"type": "TextRun", "text": clipped(text, TEXT_LENGTH), **style}
    return {"type": "RichTextBlock", "inlines": [run]}
