"""The guard: an error is one line and one exit code; cancellation is no error."""

import asyncio
import logging

import pytest
from aiokafka import errors

from schemas.acls import NotAllowed
from schemas.errors import FuseBlown, Undelivered
from streams.engine.guard import guard
from streams.errors import BadTopics, BrokerAway, ExitCode, LeaseLost


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadTopics("x"), ExitCode.BAD_SETTINGS),
        (BrokerAway("x"), ExitCode.BROKER_AWAY),
        (LeaseLost("x"), ExitCode.LEASE_LOST),
        (FuseBlown("x"), ExitCode.FUSE_BLOWN),
        (Undelivered("x"), ExitCode.UNDELIVERED),
        (KeyError("x"), ExitCode.UNEXPECTED),
        (SystemExit(0), ExitCode.UNEXPECTED),
    ],
)
def test_each_error_has_its_exit_code(error: BaseException, code: ExitCode) -> None:
    """The supervisor can tell the causes apart, and no error ends with 0."""
    stopped: list[ExitCode] = []
    with pytest.raises(type(error)), guard("here", stopped.append):
        raise error
    assert stopped == [code]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (errors.GroupAuthorizationFailedError("nps-worker"), "--operation Read --group nps-worker"),
        (errors.TopicAuthorizationFailedError({"b", "a"}), "--operation Read --topic a, b"),
        (errors.TopicAuthorizationFailedError(("a",)), "--operation Read --topic a"),
        (errors.GroupAuthorizationFailedError(), "--operation Read --group"),
        (errors.ClusterAuthorizationFailedError(), "--operation ClusterAction --cluster"),
    ],
)
def test_a_refusal_by_acls_says_what_to_add(error: BaseException, told: str, caplog: pytest.LogCaptureFixture) -> None:
    """A person has to change something: 2, and the ACL in the line."""
    stopped: list[ExitCode] = []
    with pytest.raises(NotAllowed), guard("here", stopped.append):
        raise error
    assert stopped == [ExitCode.BAD_SETTINGS]
    assert caplog.records[0].getMessage().endswith(f"kafka-acls.sh --add --allow-principal User:... {told}")


def test_an_error_is_one_line_that_says_where(caplog: pytest.LogCaptureFixture) -> None:
    """Line breaks are folded; an unforeseen error names its type and the line that raised it."""
    with pytest.raises(ValueError, match="two"), guard("a[1] offsets 3 to 7", lambda code: None):
        raise ValueError("one\ntwo")
    (line,) = (record.getMessage() for record in caplog.records if record.levelno == logging.CRITICAL)
    assert line.startswith("worker stopped: a[1] offsets 3 to 7: ValueError: one two at ")
    assert "test_guard.py:" in line


@pytest.mark.parametrize("passing", [asyncio.CancelledError, GeneratorExit])
def test_cancellation_stops_nothing(passing: type[BaseException]) -> None:
    """Stopping an agent is not an error."""
    stopped: list[ExitCode] = []
    with pytest.raises(passing), guard("here", stopped.append):
        raise passing
    assert stopped == []
