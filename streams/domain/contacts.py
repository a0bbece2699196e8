"""Contact statements of customers, and the channel and language, or the reason for none, that follow from them.

For each matter the newest statement holds, by event time whatever the order of arrival; where two were made at the same
time a withdrawal or a bounce wins, of other statements the one that arrived later.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from schemas.events import ContactUpdate
from schemas.reasons import Reason
from streams.domain import bounds
from streams.domain.effects import Reject
from streams.domain.hours import zone
from streams.domain.policy import CHANNELS, Program, Rule
from streams.domain.state import NO_CONTACT, NO_STATEMENT, Contact, Journey, Statement

GRANTED, WITHDRAWN = "granted", "withdrawn"
BOUNCED, CLEARED = "bounced", "cleared"
EVERY = "*"
"""The channel that stands for all channels in a consent."""

MOST_CONSENTS = 100
"""The most consents, each for a purpose and channel, that one customer may have."""

Flags = tuple[tuple[str, int, bool], ...]
"""(name, time, holds) of each consent or bounce; names as in `Contact`."""


def fault(event: ContactUpdate, contact: Contact | None) -> Reject | None:
    """The rejection of an invalid update, None for a valid one.  A misspelt withdrawal must not get lost in silence."""
    for name, value in event.consents.items():
        if len(name.encode()) > bounds.MOST_CONSENT_BYTES:
            return Reject(Reason.TOO_LONG, f"consents: a name of more than {bounds.MOST_CONSENT_BYTES} bytes")
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


def zone_fault(event: ContactUpdate) -> Reject | None:
    """The rejection of an update whose time zone nobody knows; empty text states none, and an erasure needs none."""
    if not event.time_zone or event.erased or zone(event.time_zone) is not None:
        return None
    return Reject(
        Reason.INVALID_CONTACT, f"time_zone {event.time_zone!r} is no IANA or Windows zone, as 'Europe/Berlin' is one"
    )


def taken_away(event: ContactUpdate) -> ContactUpdate | None:
    """The part of an update that takes something away: an opt-out, withdrawals and bounces; None when it has none."""
    withdrawn = {name: value for name, value in event.consents.items() if value == WITHDRAWN}
    bounced = {channel: value for channel, value in event.bounces.items() if value == BOUNCED}
    if not (event.opted_out or withdrawn or bounced):
        return None
    return event._replace(
        opted_out=event.opted_out or None,
        time_zone=None,
        locale=None,
        consents=withdrawn,
        bounces=bounced,
        preferred_channel=None,
    )


def apply_update(journey: Journey, event: ContactUpdate) -> Journey:
    """Merge a contact update into the journey; `journey` itself when the update says nothing new."""
    if event.opted_out is not None and (event.time, event.opted_out) > (journey.opted_ms, journey.opted_out):
        journey = journey._replace(opted_out=event.opted_out, opted_ms=event.time)
    before = journey.contact or NO_CONTACT
    contact = before._replace(
        time_zone=_newer(before.time_zone, event.time, event.time_zone),
        locale=_newer(before.locale, event.time, event.locale),
        preferred=_newer(before.preferred, event.time, event.preferred_channel),
        consents=_merge_flags(before.consents, event.time, event.consents, GRANTED, tie_winner=False),
        bounces=_merge_flags(before.bounces, event.time, event.bounces, BOUNCED, tie_winner=True),
    )
    return journey if contact == before else journey._replace(contact=contact)


def forget_until(contact: Contact, erased_ms: int) -> Contact:
    """Forget all statements made until `erased_ms`, which is remembered; later ones stay."""

    def later(statement: Statement) -> Statement:
        return statement if statement[0] > erased_ms else NO_STATEMENT

    def later_flags(flags: Flags) -> Flags:
        return tuple(flag for flag in flags if flag[1] > erased_ms)

    return contact._replace(
        time_zone=later(contact.time_zone),
        locale=later(contact.locale),
        preferred=later(contact.preferred),
        consents=later_flags(contact.consents),
        bounces=later_flags(contact.bounces),
        erased_ms=erased_ms,
    )


def opted_in(journey: Journey, rule: Rule) -> bool:
    """False for an erased customer who has since neither opted in nor consented to the rule's purpose anywhere."""
    erased_ms = journey.contact.erased_ms if journey.contact else -1
    if erased_ms < 0 or (not journey.opted_out and journey.opted_ms > erased_ms):
        return True
    consents = (journey.contact or NO_CONTACT).consents
    return any(granted and name.startswith(f"{rule.purpose}/") for name, _, granted in consents)


def reach(journey: Journey, rule: Rule, due_ms: int, program: Program) -> str | Reason:
    """The channel to ask on at `due_ms`: the preferred one, else the rule's first that is free; or the reason for none.

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
def locale_for(requested: str, locales: tuple[str, ...]) -> str | None:
    """The rule's locale for the customer's: the same, else cut off from its end, else the first; None without any.

    RFC 4647, section 3.4, "Lookup": `pt-BR` becomes `pt`; case does not matter.
    """
    offered = {locale.lower(): locale for locale in reversed(locales)}
    parts = requested.lower().replace("_", "-").split("-")
    while parts:
        if locale := offered.get("-".join(parts)):
            return locale
        parts.pop()
        if parts and len(parts[-1]) == 1:
            parts.pop()
    return locales[0] if locales else None


def _preferred_first(contact: Contact | None, channels: tuple[str, ...]) -> Iterable[str]:
    preferred = contact.preferred[1] if contact else ""
    return sorted(channels, key=lambda channel: channel != preferred) if preferred in channels else channels


def _objection(journey: Journey, channel: str, rule: Rule, due_ms: int, program: Program) -> Reason | None:
    """The reason against this channel at `due_ms`: consent, a bounce or the channel's cap; None for a free channel."""
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
        messages = (
            message
            for invitation in journey.invitations
            for message in ((invitation.channel, invitation.sent_ms), *invitation.reminded)
        )
        if sum(used == channel and abs(due_ms - sent_ms) < cap.every_ms for used, sent_ms in messages) >= cap.at_most:
            return Reason.CHANNEL_LIMIT
    return None


def _consent(contact: Contact, purpose: str, channel: str) -> bool | None:
    """The newest consent for this purpose, for the channel or for every channel; None when there is none."""
    names = (f"{purpose}/{channel}", f"{purpose}/{EVERY}")
    consents = [(at_ms, not granted) for name, at_ms, granted in contact.consents if name in names]
    return not max(consents)[1] if consents else None


def _newer(known: Statement, at_ms: int, text: str | None) -> Statement:
    return known if text is None or at_ms < known[0] else (at_ms, text)


def _merge_flags(known: Flags, at_ms: int, updates: Mapping[str, str], positive: str, *, tie_winner: bool) -> Flags:
    """The newest flag of each name; of two at the same time the one that equals `tie_winner`."""
    if not updates:
        return known
    newest = {name: (stated_ms, holds == tie_winner, holds) for name, stated_ms, holds in known}
    for name, value in updates.items():
        holds = value == positive
        newest[name] = max(newest.get(name, (-1, False, False)), (at_ms, holds == tie_winner, holds))
    return tuple((name, stated_ms, holds) for name, (stated_ms, _, holds) in sorted(newest.items()))
