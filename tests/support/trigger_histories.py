"""Histories for the laws of asking: four time zones, both daylight-saving days, and a program that uses all there is.

Every event is one small tuple, so that histories are cheap to draw and shrink well.
"""

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import strategies as st

from schemas.events import ContactUpdate, Purchase, SupportCase, SurveyDispatch
from streams.domain.hours import MINUTE_MS, Hours
from streams.domain.journey import next_timer_ms
from streams.domain.panes import DAY_MS, HOUR_MS
from streams.domain.policy import Cap, Program, Rule
from tests.support.histories import Moment, Run, case, program, purchase, told, wakeup

ZONES = ["Asia/Kolkata", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe"]
HOME = "Europe/Berlin"
"""The zone of customers whose own is unknown."""

DAYLIGHT_MS = [
    round(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)
    for day in ("2018-11-01", "2019-02-14", "2024-03-28", "2024-04-04", "2024-10-03", "2024-10-24")
]
"""Days before some zone shifts; from one to the next a history reaches by its longest gaps."""

DELIVERY = Rule(
    "delivery", "delivery", frozenset({"order.delivered"}), {}, 3 * DAY_MS, 30 * DAY_MS, frozenset({"order.returned"}),
    channels=("email", "sms"), hours=Hours(9 * HOUR_MS, 20 * HOUR_MS, HOME, HOUR_MS), reminders=2,
    remind_after_ms=2 * DAY_MS, send_within_ms=DAY_MS, cancel_closes=True, locales=("en", "pt"),
)  # fmt: skip
SUPPORT = Rule(
    "support", "support", frozenset({"case.solved"}), {}, HOUR_MS, 14 * DAY_MS, frozenset({"case.reopened"}),
    priority=5, channels=("sms", "phone"), hours=Hours(0, 90 * MINUTE_MS, HOME, 90 * MINUTE_MS), send_within_ms=DAY_MS,
)  # fmt: skip
COLLECTED = Rule(
    "collected", "delivery", frozenset({"order.collected"}), {}, 0, 14 * DAY_MS, frozenset({"order.returned"}),
    priority=1, jitter_ms=2 * HOUR_MS, hours=Hours(2 * HOUR_MS, 3 * HOUR_MS, HOME), send_within_ms=DAY_MS,
)  # fmt: skip
RULES = {rule.name: rule for rule in (DELIVERY, SUPPORT, COLLECTED)}
QUARANTINE_MS, DELIVERY_QUARANTINE_MS = 4 * DAY_MS, 8 * DAY_MS
SMS = Cap(2, 30 * DAY_MS)


def rich() -> Program:
    """A program that uses every means of putting off and turning down."""
    return replace(
        program(list(RULES.values()), QUARANTINE_MS, {"delivery": DELIVERY_QUARANTINE_MS}),
        caps={"sms": SMS},
        events=frozenset({*(type_ for rule in RULES.values() for type_ in (*rule.on, *rule.cancel_on)), "order.noise"}),
    )


PROGRAM = rich()
TYPES = [*["order.delivered"] * 4, *["case.solved"] * 3, *["order.collected"] * 2]
TYPES += ["order.returned", "case.reopened", "order.noise", "order.unheard_of"]
TIMES_MS = [0, 0, 1, HOUR_MS, 7 * HOUR_MS, 13 * HOUR_MS, DAY_MS, 3 * DAY_MS, 5 * DAY_MS, 60 * DAY_MS, 130 * DAY_MS]
BACK_MS = [0, 0, 0, HOUR_MS, 2 * DAY_MS, 6 * DAY_MS, 8 * DAY_MS, -200_000]
CONSENTS: list[dict[str, str]] = [{}, {"feedback/email": "granted"}, {"feedback/email": "withdrawn"},
                                  {"feedback/*": "withdrawn"}, {"feedback/sms": "granted"}]  # fmt: skip
BOUNCES: list[dict[str, str]] = [{}, {}, {"email": "bounced"}, {"email": "cleared"}]
OPTED = [None, None, None, True, False]
EVENTS = st.tuples(
    st.integers(0, len(TYPES) + 5), st.integers(0, len(TIMES_MS) - 1), st.integers(0, len(BACK_MS) - 1),
    st.integers(0, 119),
)  # fmt: skip


def contact(number: int, time_ms: int, pick: int) -> ContactUpdate:
    """One of all there is to say."""
    zone = [*ZONES, None, "Mars/Phobos"][pick % 6]
    consents, bounces = CONSENTS[pick % len(CONSENTS)], BOUNCES[pick // 2 % len(BOUNCES)]
    preferred = [None, "sms", "phone"][pick // 3 % 3]
    return told(f"u{number}", time_ms, consents, bounces, preferred, zone, OPTED[pick // 7 % len(OPTED)])


@st.composite
def histories(draw: st.DrawFn) -> list[Moment]:
    """One customer, in order of Kafka timestamps: triggers, cancels, contacts, repeats."""
    now_ms = draw(st.sampled_from(DAYLIGHT_MS)) + draw(st.integers(0, 3 * DAY_MS))
    history: list[Moment] = [(now_ms, told("zone", now_ms, time_zone=draw(st.sampled_from(ZONES))))]
    for number, (kind, gap, back, pick) in enumerate(draw(st.lists(EVENTS, min_size=1, max_size=14))):
        now_ms += TIMES_MS[gap] + pick * 1_000
        time_ms, about = now_ms - BACK_MS[back], "ab"[pick % 2]
        if kind >= len(TYPES) + 4:
            history.append((now_ms, history[pick % len(history)][1]))
        elif kind >= len(TYPES):
            history.append((now_ms, contact(number, time_ms, pick)))
        elif TYPES[kind].startswith("case"):
            history.append((now_ms, case(f"t{number}", TYPES[kind], time_ms, about)))
        else:
            history.append((now_ms, purchase(f"t{number}", TYPES[kind], time_ms, about)))
    return history


def granting(history: list[Moment]) -> list[Moment]:
    """The same without what takes something away, which holds at once for whatever is not sent yet."""
    return [(at, _granting(event) if isinstance(event, ContactUpdate) else event) for at, event in history]


def _granting(event: ContactUpdate) -> ContactUpdate:
    consents = {name: value for name, value in event.consents.items() if value == "granted"}
    bounces = {channel: value for channel, value in event.bounces.items() if value == "cleared"}
    return event._replace(opted_out=event.opted_out and None, consents=consents, bounces=bounces)


def end(history: list[Moment]) -> Moment:
    """A wakeup by which nothing is left to be sent."""
    return wakeup(history[-1][0] + 90 * DAY_MS)


def loaded(history: list[Moment], asks: Program = PROGRAM) -> Run:
    """The whole history, marked as such, and its end."""
    journey = Run(asks, history=True)
    for moment in [*history, end(history)]:
        journey.take(moment)
    return journey


def lived(history: list[Moment], asks: Program = PROGRAM) -> Run:
    """The same as it would have happened: the customer is woken whenever something falls due."""
    journey = Run(asks)
    for moment in [*history, end(history)]:
        while (due_ms := next_timer_ms(journey.journey, asks)) is not None and due_ms <= moment[0]:
            journey.take(wakeup(max(due_ms, journey.journey.clock_ms)))
        journey.take(moment)
    return journey


def asks_of(journey: Run) -> list[SurveyDispatch]:
    """The first message of every survey."""
    return [dispatch for dispatch in journey.all(SurveyDispatch) if dispatch.reminder == 0]


def triggers(history: list[Moment]) -> dict[str, Purchase | SupportCase]:
    """What must be decided on, worked out on its own: in time, first of its id, no mere cancel."""
    found: dict[str, Purchase | SupportCase] = {}
    for now_ms, event in history:
        if isinstance(event, Purchase | SupportCase) and -300_000 <= now_ms - event.time <= 7 * DAY_MS:
            found.setdefault(event.id, event)
    return {id_: event for id_, event in found.items() if event.type not in ("order.returned", "case.reopened")}


def statements(history: list[Moment]) -> list[tuple[int, ContactUpdate]]:
    """The contact updates that were taken, with the time at which they were read; none of them is too late."""
    return [(at, event) for at, event in history if isinstance(event, ContactUpdate) and event.time <= at + 300_000]


def told_by(history: list[Moment], at_ms: int) -> list[ContactUpdate]:
    """What had been read when the customer's time reached this: what was read at the very time may count or not."""
    return [event for at, event in statements(history) if at < at_ms]
