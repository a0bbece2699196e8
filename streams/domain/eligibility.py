"""Eligibility: may this customer be asked, and on which channel; checked when a survey is scheduled and when sent."""

from typing import NamedTuple

from schemas.reasons import Reason
from streams.domain import contacts
from streams.domain.ids import share
from streams.domain.panes import DAY_MS
from streams.domain.policy import Program, Rule
from streams.domain.state import Journey


class Ask(NamedTuple):
    """Permission to ask at `due_ms` on `channel`, which is empty where the delivery tool chooses."""

    due_ms: int
    channel: str


class Suppress(NamedTuple):
    """Refusal to ask, and its reason; `cause_id` is the event that cancelled or erased it, or the rival trigger."""

    reason: Reason
    cause_id: str | None = None


_ASKED_RECENTLY = Suppress(Reason.ASKED_RECENTLY)
"""The commonest refusal, made once: asking an enum for its member, and for a tuple, takes a tenth of a decision."""


def decide(journey: Journey, rule: Rule, due_ms: int, program: Program) -> Ask | Suppress:
    """Ask at `due_ms`, or say why not.  The first check that objects wins.

    Both quarantines hold in both directions: a trigger that arrives out of order finds the later survey too.
    """
    if reason := refusal(journey, rule):
        return Suppress(reason)
    for survey, sent_ms in journey.asked:
        if abs(due_ms - sent_ms) < program.apart_ms(rule.survey, survey):
            return _ASKED_RECENTLY
    if rule.daily_limit is not None:
        sent_today = sum(
            invitation.rule == rule.name and abs(due_ms - invitation.sent_ms) < DAY_MS
            for invitation in journey.invitations
        )
        if sent_today >= rule.daily_limit:
            return Suppress(Reason.DAILY_LIMIT)
    if not rule.channels and journey.contact is None:
        return Ask(due_ms, "")
    channel = contacts.reach(journey, rule, due_ms, program)
    return Suppress(channel) if isinstance(channel, Reason) else Ask(due_ms, channel)


def refusal(journey: Journey, rule: Rule) -> Reason | None:
    """The reason that holds at any time on any channel: opted out, or no consent; None when there is neither."""
    if journey.opted_out:
        return Reason.OPTED_OUT
    if journey.contact is not None and not contacts.opted_in(journey, rule):
        return Reason.NO_CONSENT
    return None


def is_sampled(rule: Rule, customer_id: str) -> bool:
    """True for the share of customers whom the rule asks at all: the same customers for ever."""
    return rule.sample >= 1 or share(rule.name, customer_id) < rule.sample
