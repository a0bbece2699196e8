"""The lease: writing is allowed for one session timeout from the last accepted heartbeat's departure."""

import pytest

from streams.engine.lease import Lease
from streams.errors import LeaseLost


class Clock:
    """A clock moved by hand."""

    now_ms = 1_000

    def __call__(self) -> int:
        return self.now_ms


def test_not_held_before_the_group_accepted_us() -> None:
    """Without a first accepted request nothing may be written."""
    lease = Lease(100, Clock())
    assert not lease.held
    with pytest.raises(LeaseLost, match="not count us"):
        lease.check()


def test_ends_one_timeout_after_the_request_left() -> None:
    """The answer's own delay does not lengthen the lease: it counts from when the request was sent."""
    clock = Clock()
    lease = Lease(100, clock)
    clock.now_ms = 1_060
    lease.renew(sent_ms=1_010)
    clock.now_ms = 1_109
    lease.check()
    clock.now_ms = 1_110
    assert not lease.held
    with pytest.raises(LeaseLost, match="100 ms ago, session timeout 100 ms"):
        lease.check()


def test_an_older_answer_does_not_shorten_it() -> None:
    """Answers may come out of order; the latest departure counts."""
    clock = Clock()
    lease = Lease(100, clock)
    lease.renew(1_000)
    lease.renew(950)
    clock.now_ms = 1_080
    lease.check()


def test_lost_at_once_when_the_group_says_so() -> None:
    """An answer that we are no member ends the lease whatever the clock says; joining again renews it."""
    lease = Lease(100, Clock())
    lease.renew(1_000)
    lease.lose()
    assert not lease.held
    lease.renew(1_000)
    assert lease.held
