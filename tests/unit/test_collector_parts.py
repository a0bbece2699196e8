"""The collector's small parts: how often one may ask, whom that counts against, and what the page says."""

import string
import tomllib
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.collector import page
from streams.collector.limits import Buckets, client_network
from streams.collector.texts import TEXTS, Texts, chosen, parsed

TEXT_FILES = Path(str(resources.files("streams.collector.texts")))


@given(st.integers(1, 20), st.lists(st.floats(0, 60), min_size=1, max_size=80))
def test_never_more_than_the_bucket_and_its_refill(per_minute: int, moments: list[float]) -> None:
    """In any stretch of time at most a full bucket and what flowed in since; and the first one always passes."""
    buckets, granted = Buckets(per_minute), []
    for now_s in sorted(moments):
        if buckets.take("a", now_s):
            granted.append(now_s)
    assert granted[0] == min(moments)
    for place, start_s in enumerate(granted):
        for more, end_s in enumerate(granted[place:], 1):
            assert more <= per_minute + (end_s - start_s) * per_minute / 60 + 1e-6


def test_keys_have_buckets_of_their_own_in_bounded_memory() -> None:
    """One who asks too much hinders nobody else; the keys least lately seen give way."""
    buckets = Buckets(1, most_keys=10)
    assert [buckets.take("a", 0), buckets.take("a", 0), buckets.take("b", 0)] == [True, False, True]
    assert all(buckets.take(f"k{n}", 0) for n in range(100))
    assert len(buckets) == 10
    assert not buckets.take("k99", 0)


@pytest.mark.parametrize(("per_minute", "most"), [(0, 1), (1, 0), (-1, 1)])
def test_limits_that_cannot_be_meant(per_minute: int, most: int) -> None:
    """Refused when they are made."""
    with pytest.raises(ValueError, match="above 0"):
        Buckets(per_minute, most)


@pytest.mark.parametrize(
    ("forwarded", "proxies", "whom"),
    [
        ("", 0, "10.0.0.1"),
        ("1.1.1.1", 0, "10.0.0.1"),
        ("1.1.1.1, 2.2.2.2", 1, "2.2.2.2"),
        ("1.1.1.1, 2.2.2.2", 2, "1.1.1.1"),
        ("2.2.2.2", 2, "10.0.0.1"),
        ("junk", 1, "10.0.0.1"),
        ("2001:db8:1:2:aaaa::1", 1, "2001:db8:1:2::/64"),
        ("::ffff:1.2.3.4", 1, "1.2.3.4"),
    ],
)
def test_whom_a_request_counts_against(forwarded: str, proxies: int, whom: str) -> None:
    """Only what our own proxies wrote is believed; a household's IPv6 network is one."""
    assert client_network("10.0.0.1", forwarded, proxies) == whom


def test_every_language_says_everything() -> None:
    """No sentence is empty or left in English, and each has the fields that are filled in."""
    for texts in TEXTS.values():
        assert all(texts)
        assert [name for _, name, _, _ in string.Formatter().parse(texts.scored) if name] == ["score"]
        others = set(TEXTS["en"]) if texts.language != "en" else set()
        assert not set(texts) & others
    assert set(TEXTS) >= {"en", "de", "fr", "es", "pt"}


def test_every_language_has_the_same_keys() -> None:
    """In the same order, so that two files can be read side by side; the languages are the files that there are."""
    files = {path.stem: tomllib.loads(path.read_text()) for path in TEXT_FILES.glob("*.toml")}
    assert files.keys() == TEXTS.keys()
    assert {tuple(keys) for keys in files.values()} == {Texts._fields[1:]}


@pytest.mark.parametrize(
    ("was", "becomes", "says"),
    [
        ("send = ", "# ", "key 'send' is missing"),
        ("send = ", "sned = ", "key 'send' is missing, key 'sned' is unknown"),
        ("send = ", 'more = "x"\nsend = ', "key 'more' is unknown"),
        ('send = "Send"', 'send = ""', "key 'send' is no sentence"),
        ('send = "Send"', "send = 1", "key 'send' is no sentence"),
        ('send = "Send"', 'language = "de"\nsend = "Send"', "key 'language' is unknown"),
        ('send = "Send"', "send = Send", r"Invalid value \(at line \d+, column \d+\)"),
    ],
)
def test_a_wrong_file_is_refused(was: str, becomes: str, says: str) -> None:
    """File and key are named."""
    shipped = (TEXT_FILES / "en.toml").read_text()
    assert parsed("en", shipped) == TEXTS["en"]
    with pytest.raises(ValueError, match=f"^en.toml: {says}$"):
        parsed("en", shipped.replace(was, becomes, 1))


@given(st.text(max_size=40), st.text(max_size=200))
def test_any_header_has_a_language(locale: str, accept: str) -> None:
    """Whatever a browser sends."""
    assert chosen(locale, accept).language in TEXTS


def test_what_comes_from_the_address_is_escaped() -> None:
    """A locale or path that is HTML stays text."""
    evil = '"><script>alert(1)</script>'
    for shown in (
        page.thanks(TEXTS["en"], page.Visit(evil, evil), 9, 1),
        page.question(TEXTS["en"], page.Visit(evil, evil)),
    ):
        assert "<script>alert" not in shown.html
        assert shown.html.count("<script") == 1
