"""The collector's page: what comes from outside stays text."""

from streams.collector import page
from streams.collector.texts import TEXTS


def test_what_comes_from_the_address_is_escaped() -> None:
    """A locale or path that is HTML stays text."""
    evil = '"><script>alert(1)</script>'
    for shown in (
        page.thanks(TEXTS["en"], page.Visit(evil, evil), 9, 1),
        page.question(TEXTS["en"], page.Visit(evil, evil)),
    ):
        assert "<script>alert" not in shown.html
        assert shown.html.count("<script") == 1
