"""How often one may ask the collector, and whom a request counts against."""

import pytest

from streams.collector.limits import Buckets, client_network


def test_keys_have_buckets_of_their_own_in_bounded_memory() -> None:
    """One who asks too much hinders nobody else; the keys least lately seen give way."""
    buckets = Buckets(1, most_keys=10)
    assert [buckets.take("a", 0), buckets.take("a", 0), buckets.take("b", 0)] == [True, False, True]
    assert all(buckets.take(f"k{n}", 0) for n in range(100))
    assert len(buckets) == 10
    assert not buckets.take("k99", 0)


def test_a_token_that_is_given_back_can_be_taken_again() -> None:
    """Never above what there was at first, nor for whom nobody has seen."""
    buckets = Buckets(2)
    assert [buckets.take("a", 0.0) for _ in range(3)] == [True, True, False]
    buckets.give_back("a")
    assert [buckets.take("a", 0.0) for _ in range(2)] == [True, False]
    for _ in range(5):
        buckets.give_back("a")
        buckets.give_back("b")
    assert [buckets.take("a", 0.0) for _ in range(3)] == [True, True, False]
    assert len(buckets) == 1


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
        ("1.2.3.4:5678", 1, "1.2.3.4"),
        (" 1.2.3.4:5678 ,\t[2001:db8:1:2::9]:443 ", 1, "2001:db8:1:2::/64"),
        ("1.2.3.4:5678, [2001:db8:1:2::9]:443", 2, "1.2.3.4"),
        ("[2001:db8:1:2::9]", 1, "2001:db8:1:2::/64"),
        ('"[2001:db8:1:2::9]:4711"', 1, "2001:db8:1:2::/64"),
        ("[::ffff:1.2.3.4]:80", 1, "1.2.3.4"),
        ("fe80::1%eth0", 1, "fe80::/64"),
        ("9.9.9.9, unknown", 1, "10.0.0.1"),
        ("9.9.9.9, _hidden:80", 1, "10.0.0.1"),
        ("9.9.9.9,", 1, "10.0.0.1"),
        ("9.9.9.9, ,1.2.3.4", 1, "1.2.3.4"),
        ("[1.2.3", 1, "10.0.0.1"),
        ("1.2.3.4.5:80", 1, "10.0.0.1"),
        ("\u0661.2.3.4", 1, "10.0.0.1"),
        ("\ud800", 1, "10.0.0.1"),
        (":", 1, "10.0.0.1"),
        ("[]:", 1, "10.0.0.1"),
        ("," * 8_000, 100, "10.0.0.1"),
    ],
)
def test_whom_a_request_counts_against(forwarded: str, proxies: int, whom: str) -> None:
    """Only what our own proxies wrote is believed; a household's IPv6 network is one."""
    assert client_network("10.0.0.1", forwarded, proxies) == whom
