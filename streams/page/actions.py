"""Actions of responders, as events of nps.oncall."""

from typing import cast, get_args
from uuid import uuid4

import msgspec

from schemas import oncall
from schemas.codec import Codec
from schemas.events import OncallEvent
from schemas.topics import ONCALL, key_of
from streams.kafka.ports import Output

LARGEST_ACTION_BYTES = 16_384
VERBS: frozenset[str] = frozenset(get_args(oncall.ActionVerb))


class BadAction(ValueError):
    """A request that is no action; the message says what to send."""


class _Told(msgspec.Struct, frozen=True):
    """Body of an action's request."""

    note: oncall.Note | None = None
    dedup_key: oncall.Name | None = None


def parse_action(incident_id: str, verb: str, actor: str, body: bytes) -> oncall.Action:
    """Parse the request of an action.  Raises BadAction."""
    if verb not in VERBS:
        raise BadAction(f"unknown action: send one of {', '.join(sorted(VERBS))}")
    try:
        told = msgspec.json.decode(body or b"{}", type=_Told)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadAction(f"send a JSON object with note and dedup_key: {error}") from None
    if verb in ("note", "assign") and not told.note:
        raise BadAction(f"{verb} needs a note")
    if verb == "contacted" and not told.dedup_key:
        raise BadAction("contacted needs the dedup_key of a customer's answer")
    return oncall.Action(
        incident_id=incident_id, verb=cast(oncall.ActionVerb, verb), actor=actor, note=told.note or None,
        dedup_key=told.dedup_key,
    )  # fmt: skip


def as_output(codec: Codec, action: oncall.Action, now_ms: int) -> Output:
    """Make the record of an action; each is an event of its own, for a person means each press."""
    event = OncallEvent(str(uuid4()), "action", now_ms, action.incident_id, oncall.encode(action))
    return Output(ONCALL.name, codec.encode(event), key_of(event), timestamp_ms=now_ms)
