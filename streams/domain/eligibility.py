"""May we ask this customer, and on which channel?  Checked when a invitation is scheduled and again when it is sent."""

from typing import NamedTuple

from schemas.reasons import Reason
from streams.domain import contacts
from streams.domain.ids import share
from streams.domain.panes import DAY_MS
from streams.domain.policy import Program, Rule
from streams.domain.state import Journey


class Ask(NamedTuple):
    """Yes, at this time and on this channel, empty where the delivery tool chooses."""

    due_ms: int
    channel: str


class Suppress(NamedTuple):
    """No, and why; `cause_id` is the event that cancelled or erased it, or the trigger that took its place."""

    reason: Reason
    cause_id: str | None = None


_ASKED_RECENTLY = Suppress(Reason.ASKED_RECENTLY)
"""The commonest: asking an enum for its member, and for a tuple, takes a tenth of such a decision."""


def decide(journey: Journey, rule: Rule, due_ms: int, program: Program) -> Ask | Suppress:
    """Ask at `due_ms`, or say why not.  The first rule that objects wins.

    Both clocks hold in both directions: a trigger that arrives out of order finds the later survey too.
    """
    if reason := refusal(journey, rule):
        return Suppress(reason)
    for asked, last_ms in journey.asked:
        if abs(due_ms - last_ms) < program.apart_ms(rule.survey, asked):
            return _ASKED_RECENTLY
    if rule.daily_limit is not None:
        today = sum(s.rule == rule.name and abs(due_ms - s.sent_ms) < DAY_MS for s in journey.invitations)
        if today >= rule.daily_limit:
            return Suppress(Reason.DAILY_LIMIT)
    if not rule.channels and journey.contact is None:
        return Ask(due_ms, "")
    channel = contacts.reach(journey, rule, due_ms, program)
    return Suppress(channel) if isinstance(channel, Reason) else Ask(due_ms, channel)


def refusal(journey: Journey, rule: Rule) -> Reason | None:
    """Why this customer is not asked by the rule at any time on any channel; None when nothing speaks against it."""
    if journey.opted_out:
        return Reason.OPTED_OUT
    if journey.contact is not None and not contacts.opted_in(journey, rule):
        return Reason.NO_CONSENT
    return None


def is_sampled(rule: Rule, customer_id: str) -> bool:
    """True for the customers whom the rule asks at all: the same ones for ever."""
    return rule.sample >= 1 or share(rule.name, customer_id) < rule.sample
