"""Law of the collector's texts: any header has a language."""

from hypothesis import given
from hypothesis import strategies as st

from streams.collector.texts import TEXTS, texts_for


@given(st.text(max_size=40), st.text(max_size=200))
def test_any_header_has_a_language(locale: str, accept: str) -> None:
    """Whatever a browser sends."""
    assert texts_for(locale, accept).language in TEXTS
