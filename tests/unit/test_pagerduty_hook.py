"""What people do in PagerDuty comes back, if PagerDuty signed it."""

import hmac
import json

import pytest

from schemas.oncall import Action
from sinks.notify.pagerduty.hook import action_of

SECRET = "hook-secret"


def body(event_type: str = "incident.acknowledged", key: object = "i1", agent: object = "Ana") -> bytes:
    event = {"event_type": event_type, "agent": {"summary": agent}, "data": {"incident_key": key}}
    return json.dumps({"event": event}).encode()


def signed(text: bytes, *secrets: str) -> dict[str, str]:
    signatures = [f"v1={hmac.new(secret.encode(), text, 'sha256').hexdigest()}" for secret in secrets]
    return {"x-pagerduty-signature": ",".join(signatures)}


@pytest.mark.parametrize(
    ("event_type", "verb"), [("incident.acknowledged", "acknowledge"), ("incident.resolved", "resolve")]
)
def test_an_action_comes_back(event_type: str, verb: str) -> None:
    """By the key under which the incident was sent; any of several signatures may be ours."""
    text = body(event_type)
    expected = Action(incident_id="i1", verb=verb, actor="Ana")  # type: ignore[arg-type]  # one of them
    assert action_of(signed(text, SECRET), text, SECRET) == expected
    assert action_of(signed(text, "another", SECRET), text, SECRET) == expected


@pytest.mark.parametrize("headers", [{}, signed(body(), "another"), signed(body("incident.resolved"), SECRET),
                                     {"x-pagerduty-signature": "v1="}, {"x-pagerduty-signature": "é"}])  # fmt: skip
def test_a_forged_one_is_refused(headers: dict[str, str]) -> None:
    """Whatever it says, and whatever is not signed."""
    with pytest.raises(ValueError, match="does not hold"):
        action_of(headers, body(), SECRET)


def test_without_a_secret_nothing_is_believed() -> None:
    """An empty secret signs nothing."""
    with pytest.raises(ValueError, match="does not hold"):
        action_of(signed(body(), ""), body(), "")


@pytest.mark.parametrize(
    "text",
    [
        body("incident.triggered"),
        body("pagey.ping"),
        body(key=None),
        body(key=""),
        body(key="k" * 300),
        b"[]",
        b"{}",
        b"1",
    ],
)
def test_other_events_are_no_action(text: bytes) -> None:
    """Signed, but of another kind, of no incident of ours, or of another form."""
    assert action_of(signed(text, SECRET), text, SECRET) is None


def test_a_nameless_agent_is_the_service() -> None:
    """As when it resolves an incident by itself; a long name is cut."""
    for agent, actor in ((None, "PagerDuty"), ("n" * 300, "n" * 256)):
        text = body(agent=agent)
        action = action_of(signed(text, SECRET), text, SECRET)
        assert action is not None
        assert action.actor == actor
