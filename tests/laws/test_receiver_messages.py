"""Whatever an incident holds, every service takes its message: by the published schema, within the limits, inert."""

import json
import re
from email import message_from_bytes
from email.headerregistry import Address
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from sinks.notify.alertmanager.alerts import alert_of as alertmanager_alert
from sinks.notify.email.message import message_of as email_of
from sinks.notify.goalert.request import alert_of as goalert_alert
from sinks.notify.http_post import json_text
from sinks.notify.pagerduty.request import event_of as pagerduty_event
from sinks.notify.receiver import News
from sinks.notify.slack.message import escape as slack_escape
from sinks.notify.slack.message import message_of as slack_message
from sinks.notify.teams.card import message_of as teams_message
from sinks.notify.text import clipped, utf8_bytes, utf16_units
from sinks.notify.webhook.event import event_of as webhook_event
from tests.support.laws import examples
from tests.support.oncall import ANY_NEWS, TEXTS

SCHEMAS = Path(__file__).parents[1] / "contract" / "receivers"
OURS = Path(__file__).parents[2] / "sinks" / "notify" / "webhook" / "notification.v1.schema.json"
KEY = "k" * 32
NOW_MS = 1_790_000_060_000


def validator(path: Path) -> Draft202012Validator:
    schema = json.loads(path.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=FormatChecker())


VALIDATORS = {path.name.partition(".")[0]: validator(path) for path in (*SCHEMAS.glob("*.json"), OURS)}


def check(name: str, message: Any) -> str:
    """The JSON of a message that keeps its service's schema."""
    text = json_text(message)
    VALIDATORS[name].validate(json.loads(text))
    return text


@settings(max_examples=examples(200))
@given(ANY_NEWS)
def test_every_message_keeps_its_schema_and_its_size(news: News) -> None:
    """Of any texts, however many."""
    assert utf8_bytes(check("pagerduty", pagerduty_event(news, KEY))) <= 512_000
    assert utf16_units(check("slack", slack_message(news.facts))) <= 12_000
    assert utf8_bytes(check("teams", teams_message(news.facts))) <= 20_000
    assert utf8_bytes(check("notification", webhook_event(news))) <= 20_000
    check("alertmanager", [alertmanager_alert(news, NOW_MS)])
    if (alert := goalert_alert(news)) is not None:
        check("goalert", alert)
        assert utf8_bytes(alert.get("details", "")) <= 6_144


@settings(max_examples=examples(100))
@given(ANY_NEWS)
def test_an_email_is_one_email(news: News) -> None:
    """It reads back with our headers alone, and both of its parts."""
    message = email_of(news, Address(addr_spec="nps@example.com"), [Address(addr_spec="oncall@example.com")])
    read = message_from_bytes(message.as_bytes(), policy=default)
    assert sorted(read.keys()) == sorted(
        ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]
    )
    assert read["To"] == "oncall@example.com"
    assert [part.get_content_type() for part in read.iter_parts()] == ["text/plain", "text/html"]
    html = read.get_body(["html"]).get_content()  # type: ignore[union-attr]  # it is there, as above
    assert set(re.findall(r"<(\w+)", html)) <= {
        "html", "body", "h2", "table", "tr", "th", "td", "ul", "li", "br", "p", "a"
    }  # fmt: skip


@settings(max_examples=examples(300))
@given(TEXTS, st.integers(0, 100), st.sampled_from([len, utf8_bytes, utf16_units]))
def test_a_cut_text_is_the_longest_that_fits(text: str, most: int, size: Any) -> None:
    """It is whole, or begins as the text does and ends with an ellipsis; never longer than allowed, as escaped."""
    cut = clipped(text, most, slack_escape, size)
    assert size(cut) <= most
    whole = slack_escape(text)
    assert cut == whole if size(whole) <= most else whole.startswith(cut.removesuffix("…"))
    assert "&" not in re.sub("&(amp|lt|gt);", "", cut), "no escape is cut in two"


@pytest.mark.parametrize(
    ("text", "most", "cut"),
    [
        ("abcdef", 6, "abcdef"), ("abcdef", 5, "abcd…"), ("e\u0301e\u0301", 4, "e\u0301e\u0301"),
        ("e\u0301e\u0301", 3, "e\u0301…"), ("e\u0301e\u0301", 2, "…"), ("a👩‍👩‍👧b", 6, "a…"), ("abc", 0, ""),
        ("ab  cd", 5, "ab…"),
    ],
)  # fmt: skip
def test_no_letter_is_cut_in_two(text: str, most: int, cut: str) -> None:
    """Accents and joined emoji stay with their letter or go with it."""
    assert clipped(text, most) == cut
