"""Webhooks v3 of PagerDuty: what people do there comes back as an Action, once its signature holds.

`X-PagerDuty-Signature` holds `v1=` and the HMAC-SHA256 of the body in hex, one for each secret, separated by commas
(https://developer.pagerduty.com/docs/verifying-webhook-signatures).
"""

import hmac
import json
from collections.abc import Mapping
from typing import Any

from schemas.oncall import NAME_LENGTH, Action

SIGNATURE = "x-pagerduty-signature"
VERBS = {"incident.acknowledged": "acknowledge", "incident.resolved": "resolve"}


def action_of(headers: Mapping[str, str], body: bytes, secret: str) -> Action | None:
    """Make the action of a webhook; None for an event that is none, such as one of an incident that is not ours.

    `headers` have names in small letters.  Raises ValueError for a signature that does not hold and for no JSON.
    """
    expected = f"v1={hmac.new(secret.encode(), body, 'sha256').hexdigest()}"
    given = headers.get(SIGNATURE, "").split(",")
    if not secret or not any(hmac.compare_digest(one.strip().encode(), expected.encode()) for one in given):
        raise ValueError("the signature of the PagerDuty webhook does not hold")
    event = _at(json.loads(body), "event")
    verb, incident_id = VERBS.get(str(event.get("event_type"))), _at(event, "data").get("incident_key")
    if verb is None or not isinstance(incident_id, str) or not 0 < len(incident_id) <= NAME_LENGTH:
        return None
    actor = _at(event, "agent").get("summary")
    name = actor if isinstance(actor, str) and actor else "PagerDuty"
    return Action(
        incident_id=incident_id, verb="resolve" if verb == "resolve" else "acknowledge", actor=name[:NAME_LENGTH]
    )


def _at(found: Any, name: str) -> dict[str, Any]:
    """Object under a name; an empty one for anything else."""
    inner = found.get(name) if isinstance(found, dict) else None
    return inner if isinstance(inner, dict) else {}
