"""What customers say about being contacted: opt-outs, consents, bounces, erasure, at times what means nothing."""

from collections.abc import Mapping

from schemas.events import ContactUpdate
from tests.faults.oracle.terms import Ask
from tests.faults.traffic.pen import Pen


def update(id_: str, customer: str, at_ms: int, **said: object) -> ContactUpdate:
    """A contact update that says this and nothing else."""
    nothing = ContactUpdate("crm", id_, "contact.updated", at_ms, customer, None, None, None, {})
    return nothing._replace(**said)  # type: ignore[arg-type]


def opt(pen: Pen, id_: str, customer: str, at_ms: int) -> None:
    """The customer says no, or nothing, and at times yes again."""
    r = pen.r
    said = r.choice((True, True, True, None))
    pen.emit(update(id_, customer, pen.skewed(at_ms), opted_out=said, locale="de"), at_ms)
    if r.random() < 0.5:
        again_ms = at_ms + r.choice((0, r.randrange(pen.mix.spread_ms)))
        pen.emit(update(f"{id_}-in", customer, pen.skewed(again_ms), opted_out=False), again_ms)


def consent(pen: Pen, id_: str, customer: str, ask: Ask, at_ms: int) -> None:
    """Consent to what the rule asks for, given on one channel or on all; a rule that needs none has it for nothing."""
    channel = pen.r.choice((*ask.channels, "*"))
    granted = {f"{ask.purpose}/{channel}": "granted"}
    pen.emit(update(id_, customer, pen.skewed(at_ms), consents=granted), at_ms)


def contact(pen: Pen, id_: str, customer: str, ask: Ask, at_ms: int) -> None:
    """A withdrawal, a bounce, a wish or a mistake, and at times the opposite later."""
    r = pen.r
    channel, channels = r.choice((*ask.channels, "email", "*")), ask.channels or ("email",)
    matters: list[tuple[Mapping[str, object], Mapping[str, object]]] = [
        (
            {"consents": {f"{ask.purpose}/{channel}": "withdrawn"}},
            {"consents": {f"{ask.purpose}/{channel}": "granted"}},
        ),
        ({"bounces": dict.fromkeys(channels, "bounced")}, {"bounces": {channels[0]: "cleared"}}),
        ({"preferred_channel": channel.replace("*", "web")}, {"preferred_channel": "email"}),
        ({"consents": {f"{ask.purpose}/email": "withdrawn", f"{ask.purpose}/sms": "granted"}}, {}),
        ({"consents": {f"{ask.purpose}/fax": "withdrawn"}}, {"bounces": {"email": "hard"}}),
    ]
    said, later = r.choice(matters)
    pen.emit(update(id_, customer, pen.skewed(at_ms), **said), at_ms)
    if later and r.random() < 0.5:
        later_ms = at_ms + r.choice((0, r.randrange(pen.mix.spread_ms)))
        pen.emit(update(f"{id_}-later", customer, pen.skewed(later_ms), **later), later_ms)


def erase(pen: Pen, id_: str, customer: str, at_ms: int) -> None:
    """The customer is to be forgotten, and at times comes back with a new consent."""
    pen.emit(update(id_, customer, pen.skewed(at_ms), erased=True), at_ms)
    if pen.r.random() < 0.3:
        back_ms = at_ms + pen.r.randrange(1, pen.mix.spread_ms)
        pen.emit(update(f"{id_}-back", customer, back_ms, opted_out=False), back_ms)
