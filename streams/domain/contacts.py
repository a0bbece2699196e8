"""What customers say about being contacted, and what follows from it: which channel, which language, or why none.

For each matter the newest statement holds, by event time whatever the order of arrival; where two were made at the same
time a withdrawal or a bounce wins, of other statements the one that arrived later.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from schemas.events import ContactUpdate
from schemas.reasons import Reason
from streams.domain.effects import Reject
from streams.domain.policy import CHANNELS, Program, Rule
from streams.domain.state import SILENT, Contact, Journey, Said

GRANTED, WITHDRAWN = "granted", "withdrawn"
BOUNCED, CLEARED = "bounced", "cleared"
EVERY = "*"
"""Stands for all channels in a consent."""

MOST_CONSENTS = 100
"""Purposes and channels that are remembered of one customer."""

Stated = tuple[tuple[str, int, bool], ...]
"""What about, when, and whether it holds."""


def fault(event: ContactUpdate, contact: Contact | None) -> Reject | None:
    """What is wrong with an update; None when nothing is.  A misspelt withdrawal must not get lost in silence."""
    for name, value in event.consents.items():
        purpose, slash, channel = name.rpartition("/")
        if not (purpose and slash and channel in (*CHANNELS, EVERY) and value in (GRANTED, WITHDRAWN)):
            return Reject(Reason.INVALID_CONTACT, f"consent {name!r}: {value!r}, expected purpose/channel: granted ...")
    for channel, value in event.bounces.items():
        if channel not in CHANNELS or value not in (BOUNCED, CLEARED):
            return Reject(
                Reason.INVALID_CONTACT, f"bounce {channel!r}: {value!r}, expected channel: bounced or cleared"
            )
    if event.preferred_channel is not None and event.preferred_channel not in CHANNELS:
        return Reject(Reason.INVALID_CONTACT, f"preferred_channel {event.preferred_channel!r} is none of {CHANNELS}")
    known = {name for name, _, _ in contact.consents} if contact else set()
    if event.consents and len(known | set(event.consents)) > MOST_CONSENTS:
        return Reject(Reason.INVALID_CONTACT, f"more than {MOST_CONSENTS} consents of one customer")
    return None


def told(journey: Journey, event: ContactUpdate) -> Journey:
    """Take what the customer says; the same value when it says nothing new."""
    if event.opted_out is not None and (event.time, event.opted_out) > (journey.opted_ms, journey.opted_out):
        journey = journey._replace(opted_out=event.opted_out, opted_ms=event.time)
    before = journey.contact or SILENT
    contact = before._replace(
        time_zone=_newer(before.time_zone, event.time, event.time_zone),
        locale=_newer(before.locale, event.time, event.locale),
        preferred=_newer(before.preferred, event.time, event.preferred_channel),
        consents=_joined(before.consents, event.time, event.consents, GRANTED, wins=False),
        bounces=_joined(before.bounces, event.time, event.bounces, BOUNCED, wins=True),
    )
    return journey if contact == before else journey._replace(contact=contact)


def since(contact: Contact, erased_ms: int) -> Contact:
    """What is left of it when all that was said until `erased_ms` is forgotten."""

    def left(said: Said) -> Said:
        return said if said[0] > erased_ms else (-1, "")

    def still(stated: Stated) -> Stated:
        return tuple(each for each in stated if each[1] > erased_ms)

    return contact._replace(
        time_zone=left(contact.time_zone),
        locale=left(contact.locale),
        preferred=left(contact.preferred),
        consents=still(contact.consents),
        bounces=still(contact.bounces),
        erased_ms=erased_ms,
    )


def opted_in(journey: Journey, rule: Rule) -> bool:
    """False where a yes is needed and there is none, whatever the channel."""
    erased_ms = journey.contact.erased_ms if journey.contact else -1
    if erased_ms < 0 or (not journey.opted_out and journey.opted_ms > erased_ms):
        return True
    return any(
        granted and name.startswith(f"{rule.purpose}/") for name, _, granted in (journey.contact or SILENT).consents
    )


def reach(journey: Journey, rule: Rule, due_ms: int, program: Program) -> str | Reason:
    """The channel to ask on at `due_ms`: the preferred one, else the first of the rule's; or why there is none.

    When all channels object for one reason it is that, else `no_channel`.  Empty where the rule leaves the choice to
    the delivery tool.
    """
    contact = journey.contact
    if not rule.channels:
        withdrawn = contact is not None and _consent(contact, rule.purpose, EVERY) is False
        return Reason.NO_CONSENT if withdrawn else ""
    objections = set()
    for channel in _preferred_first(contact, rule.channels):
        objection = _objection(journey, channel, rule, due_ms, program)
        if objection is None:
            return channel
        objections.add(objection)
    return objections.pop() if len(objections) == 1 else Reason.NO_CHANNEL


@lru_cache(maxsize=4_096)
def locale_for(wanted: str, locales: tuple[str, ...]) -> str | None:
    """The rule's locale for a customer's: itself, else cut off from its end, else the first.  None without any.

    RFC 4647, section 3.4, "Lookup": `pt-BR` becomes `pt`; case does not matter.
    """
    offered = {locale.lower(): locale for locale in reversed(locales)}
    parts = wanted.lower().replace("_", "-").split("-")
    while parts:
        if found := offered.get("-".join(parts)):
            return found
        parts.pop()
        if parts and len(parts[-1]) == 1:
            parts.pop()
    return locales[0] if locales else None


def _preferred_first(contact: Contact | None, channels: tuple[str, ...]) -> Iterable[str]:
    preferred = contact.preferred[1] if contact else ""
    return sorted(channels, key=lambda channel: channel != preferred) if preferred in channels else channels


def _objection(journey: Journey, channel: str, rule: Rule, due_ms: int, program: Program) -> Reason | None:
    if (contact := journey.contact) is not None:
        consent = _consent(contact, rule.purpose, channel)
        needed = rule.consent_required or (contact.erased_ms >= 0 and journey.opted_ms <= contact.erased_ms)
        if consent is False or (needed and consent is None):
            return Reason.NO_CONSENT
        if any(name == channel and bounced for name, _, bounced in contact.bounces):
            return Reason.BOUNCED
    elif rule.consent_required:
        return Reason.NO_CONSENT
    if (cap := program.caps.get(channel)) is not None:
        sent = (message for s in journey.invitations for message in ((s.channel, s.sent_ms), *s.reminded))
        if sum(on == channel and abs(due_ms - at_ms) < cap.every_ms for on, at_ms in sent) >= cap.at_most:
            return Reason.CHANNEL_LIMIT
    return None


def _consent(contact: Contact, purpose: str, channel: str) -> bool | None:
    """The newest word on this purpose, for the channel or for every channel; None when there is none."""
    names = (f"{purpose}/{channel}", f"{purpose}/{EVERY}")
    said = [(at_ms, not granted) for name, at_ms, granted in contact.consents if name in names]
    return not max(said)[1] if said else None


def _newer(known: Said, at_ms: int, said: str | None) -> Said:
    return known if said is None or at_ms < known[0] else (at_ms, said)


def _joined(known: Stated, at_ms: int, said: Mapping[str, str], yes: str, *, wins: bool) -> Stated:
    """The newest of both for each name; at the same time what equals `wins`."""
    if not said:
        return known
    newest = {name: (when_ms, holds == wins, holds) for name, when_ms, holds in known}
    for name, word in said.items():
        holds = word == yes
        newest[name] = max(newest.get(name, (-1, False, False)), (at_ms, holds == wins, holds))
    return tuple((name, when_ms, holds) for name, (when_ms, _, holds) in sorted(newest.items()))
