"""Examples of conversions that the laws of sources do not draw."""

import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from streams.sources import conversions
from streams.sources.conversions import JsonNumber

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YEAR_MS = 1_767_225_600_000


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("plain", "plain"), ("  a < b & c  ", "a < b & c"), ("I <3 it", "I <3 it"), ("1 < 2 > 0", "1 < 2 > 0"),
        ("<p>One</p><p>Two</p>", "One\nTwo"), ("a<br>b<br/>c", "a\nb\nc"), ("<b>bold</b>ly", "boldly"),
        ("<script>alert('<p>')</script>seen", "seen"), ("a<!-- no --- > -->b", "ab"), ("<style>p{}</style>x", "x"),

        ("&lt;b&gt; &amp;amp; &euro;&#8364;", "<b> &amp; €€"), ("open <b", "open <b"),
        ("<!-- never closed", "<!-- never closed"),
        ("<p>many   blanks\t here</p>", "many blanks here"), ("", ""), ("<p></p>", ""), ("<ul><li>1<li>2</ul>", "1\n2"),
    ],
)  # fmt: skip
def test_html_becomes_text(html: str, text: str) -> None:
    """Tags and scripts go, blocks end lines, entities are characters; a `<` that begins no tag stays."""
    assert conversions.plain(html) == text


@pytest.mark.parametrize("piece", ["<", "<!--", "<a '>", "<script>", "&", "</", "<p>", "&#x110000;"])
def test_html_is_read_in_one_pass(piece: str) -> None:
    """However tags are nested or left open, twice as long a text takes about twice as many steps."""
    few, many = (steps_of(piece * times) for times in (1_000, 2_000))
    assert many <= 2 * few + 10


def steps_of(html: str) -> int:
    """Calls, in Python and in C, that a conversion takes."""
    steps = 0

    def count(*_: object) -> None:
        nonlocal steps
        steps += 1

    sys.setprofile(count)
    try:
        conversions.plain(html)
    finally:
        sys.setprofile(None)
    return steps


@pytest.mark.parametrize(
    ("convert", "value", "at_ms"),
    [
        (conversions.mail_time, "Thu, 01 Jan 2026 01:00:00 +0100", NEW_YEAR_MS),
        (conversions.mail_time, "Thu, 01 Jan 2026 00:00:00 -0000", NEW_YEAR_MS),
        (lambda value: conversions.formatted_time(value, "%d.%m.%Y %H:%M", BERLIN), "01.01.2026 01:00", NEW_YEAR_MS),
        (lambda value: conversions.formatted_time(value, "%Y-%m-%d %H %z", None), "2025-12-31 23 -0100", NEW_YEAR_MS),
        (lambda value: conversions.iso_time(value, None), "2026-01-01T01:00:00 +0100", NEW_YEAR_MS),
        (lambda value: conversions.iso_time(value, None), "2026-01-01t00:00:00.0000000z", NEW_YEAR_MS),
        (lambda value: conversions.iso_time(value, None), "2026-01-01T01+01", None),
        (lambda value: conversions.iso_time(value, BERLIN), "2026-01-01", NEW_YEAR_MS - 3_600_000),
        (lambda value: conversions.iso_time(value, BERLIN), "2026-10-25 02:30", 1_792_888_200_000),
        (lambda value: conversions.iso_time(value, None), "2026-W01-4T00:00:00Z", None),
        (lambda value: conversions.iso_time(value, None), "20260101T000000Z", None),
        (lambda value: conversions.iso_time(value, None), "2026-02-30T00:00:00Z", None),
        (lambda value: conversions.iso_time(value, None), "2026-01-01T00:00:00+24:00", None),
        (lambda value: conversions.epoch_time(value, "seconds"), JsonNumber("1767225600.0009"), NEW_YEAR_MS),
        (lambda value: conversions.epoch_time(value, "nanos"), 1_767_225_600_000_999_999, NEW_YEAR_MS),
        (lambda value: conversions.epoch_time(value, "seconds"), "1e300", None),
        (lambda value: conversions.epoch_time(value, "millis"), True, None),
        (conversions.mail_time, "yesterday", None),
    ],
)  # fmt: skip
def test_times(convert: Callable[[Any], int], value: Any, at_ms: int | None) -> None:
    """Milliseconds UTC rounded down, or refused."""
    if at_ms is not None:
        assert convert(value) == at_ms
    else:
        with pytest.raises(ValueError, match=r"^[a-z ]"):
            convert(value)


@pytest.mark.parametrize(
    ("value", "currency", "scale", "minor"),
    [
        ("12.5", "EUR", None, 1_250), (12, "eur", None, 1_200), (JsonNumber("1.1e1"), "EUR", None, 1_100),
        ("-3", "JPY", None, -3),
        ("1.2345", "CLF", None, 12_345),
        (b"\x0f\x9e", "EUR", 2, 3_998), ("D54=", "EUR", 2, 3_998), ("/w==", "EUR", 2, -1),
        (Decimal("4.50"), "USD", None, 450), (3_998, "EUR", 2, 3_998),
        ("1.005", "EUR", None, None), ("1,5", "EUR", None, None),
        ("1", "XXX", None, None), ("1", "EURO", None, None), ("1e400", "EUR", None, None),
        ("9" * 30, "EUR", None, None),
        ("!!", "EUR", 2, None), (True, "EUR", None, None), ("", "EUR", 2, None), ("\uff11\uff12", "EUR", None, None),
    ],
)  # fmt: skip
def test_money(value: Any, currency: str, scale: int | None, minor: int | None) -> None:
    """Minor units exactly, or refused; never rounded."""
    if minor is not None:
        assert conversions.minor_units(value, currency, scale) == minor
    else:
        with pytest.raises(ValueError, match=r"^(the|no|not|more|an?) "):
            conversions.minor_units(value, currency, scale)
