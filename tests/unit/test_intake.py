"""The door: what is too long or of an absurd time is a dead letter that says so, and attributes come cut, once."""

from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files

import pytest

from schemas.codec import Codec
from schemas.events import (
    IDENTITY,
    ContactUpdate,
    Decision,
    Erasure,
    Inbound,
    Purchase,
    SupportCase,
    SurveyDispatch,
    SurveyResponse,
)
from schemas.reasons import FAULTS, Reason
from streams.domain.effects import Reject
from streams.domain.hours import Hours
from streams.domain.panes import HOUR_MS
from streams.domain.policy import Rule
from streams.intake import EARLIEST_MS, LATEST_MS, MOST_ATTRIBUTES, accept
from streams.kafka.ports import KafkaRecord
from streams.program import load, parse
from tests.support.histories import CUSTOMER, START_MS, program, run, wakeup
from tests.support.instants import ms

CODEC = Codec()
SHIPPED = load()
PURCHASE = Purchase("shop", "p", "x", START_MS, CUSTOMER, "o", 100, "EUR", {"country": "BR"})
CASE = SupportCase("desk", "k", "x", START_MS, CUSTOMER, "k1", {"country": "BR"})
UPDATE = ContactUpdate("crm", "u", "x", START_MS, CUSTOMER, True, "UTC", "en", {}, {}, {}, "email")
RESPONSE = SurveyResponse("tool", "r", "x", START_MS, CUSTOMER, "s", 9, "words", False, "email")
EVENTS: dict[str, Inbound] = {type(event).__name__: event for event in (PURCHASE, CASE, UPDATE, RESPONSE)}
TEXTS = [
    (kind, name)
    for kind, event in EVENTS.items()
    for name in event._fields
    if isinstance(getattr(event, name), str) and name != "comment"
]


def taken(
    event: Inbound, at_ms: int = LATEST_MS, is_placeholder: Callable[[str], bool] = lambda _: False
) -> Inbound | Reject:
    """What comes through the door of a record of this event."""
    value = CODEC.encode(event)
    return accept(CODEC, type(event), KafkaRecord(0, at_ms, event.customer_id.encode(), value), at_ms, is_placeholder)


@pytest.mark.parametrize(("kind", "name"), TEXTS)
@pytest.mark.parametrize("letter", ["x", "é", "€", "\U0001f600"])
def test_every_short_text_has_256_bytes(kind: str, name: str, letter: str) -> None:
    """Bytes of UTF-8, not characters: with 256 an event is taken, with more a dead letter that names the field."""
    fits = letter * (256 // len(letter.encode()))
    event = EVENTS[kind]._replace(**{name: fits})  # type: ignore[arg-type]  # a field of it
    assert taken(event) == event
    found = taken(event._replace(**{name: fits + letter}))  # type: ignore[arg-type]  # likewise
    assert isinstance(found, Reject)
    assert found.reason in FAULTS
    assert (found.reason, found.detail) == (Reason.TOO_LONG, f"{name} has more than 256 bytes")


@pytest.mark.parametrize("event", [PURCHASE, CASE, UPDATE], ids=["purchase", "case", "contact"])
def test_names_of_attributes_too(event: Purchase | SupportCase | ContactUpdate) -> None:
    """A name is an id that somebody chose."""
    found = taken(event._replace(attributes={"n" * 257: "v"}))
    assert isinstance(found, Reject)
    assert (found.reason, found.detail) == (Reason.TOO_LONG, "the name of an attribute has more than 256 bytes")
    assert not isinstance(taken(event._replace(attributes={"n" * 256: "v"})), Reject)


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
@pytest.mark.parametrize("name", IDENTITY)
@pytest.mark.parametrize("text", ["", " ", "\t\n", "\u00a0\u2003"])
def test_events_that_name_nobody_or_not_themselves(event: Inbound, name: str, text: str) -> None:
    """Nothing but space in customer, source or id is a dead letter that names the field, whatever the key is."""
    found = taken(event._replace(**{name: text}))  # type: ignore[arg-type]  # a field of it
    assert isinstance(found, Reject)
    assert (found.reason, found.detail) == (Reason.INVALID_EVENT, f"{name} is empty")
    assert found.reason in FAULTS


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
@pytest.mark.parametrize("customer", ["0", "null", "NULL", "Undefined", " guest ", "GUEST"])
def test_placeholders_are_no_customers(event: Inbound, customer: str) -> None:
    """Those of the program that ships, in any case; they are the shop's ways, not a fault, and blow no fuse."""
    found = taken(event._replace(customer_id=customer), is_placeholder=SHIPPED.is_placeholder)
    assert isinstance(found, Reject)
    assert (found.reason, found.detail) == (
        Reason.PLACEHOLDER, f"customer_id {customer!r} is one of events.placeholders",
    )  # fmt: skip
    assert found.reason not in FAULTS
    for near in ("00", "guest-1", "nullius", "10"):
        assert taken(event._replace(customer_id=near), is_placeholder=SHIPPED.is_placeholder) == event._replace(
            customer_id=near
        )


def test_a_placeholder_can_be_erased() -> None:
    """What was kept under it before it was listed goes on request."""
    request = UPDATE._replace(customer_id="guest", erased=True)
    assert taken(request, is_placeholder=SHIPPED.is_placeholder) == request


def test_the_list_of_placeholders_is_the_operators() -> None:
    """Without one nobody is a placeholder; with another one, those."""
    text = (files("streams") / "nps.toml").read_text(encoding="utf-8")
    start, end = text.index("placeholders = ["), text.index("]", text.index("placeholders = [")) + 1
    none, own = (parse(text[:start] + line + text[end:], "own") for line in ("", 'placeholders = ["Gast", "ß"]'))
    assert not any(map(none.is_placeholder, ("", "0", "null", "guest")))
    assert [own.is_placeholder(each) for each in ("gast", "GAST", "SS", "guest", "0")] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert len({none.hash, own.hash, SHIPPED.hash}) == 3


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
@pytest.mark.parametrize(
    ("time_ms", "detail"),
    [
        (1_764_000_000, "time 1764000000 is 1970-01-21: seconds taken for milliseconds?"),
        (1_764_000_000_000_000, "time 1764000000000000 is in no calendar: microseconds taken for milliseconds?"),
        (1_764_000_000_000_000_000, "time 1764000000000000000 is in no calendar: nanoseconds taken for milliseconds?"),
        (-62_135_596_800_000, "time -62135596800000 is 0001-01-01: events are of the years 2000 to 2099"),
        (-1, "time -1 is 1969-12-31: events are of the years 2000 to 2099"),
        (0, "time 0 is 1970-01-01: events are of the years 2000 to 2099"),
        (EARLIEST_MS - 1, f"time {EARLIEST_MS - 1} is 1999-12-31: events are of the years 2000 to 2099"),
        (LATEST_MS, f"time {LATEST_MS} is 2100-01-01: events are of the years 2000 to 2099"),
        ((1 << 63) - 1, f"time {(1 << 63) - 1} is in no calendar: events are of the years 2000 to 2099"),
        (-(1 << 63), f"time {-(1 << 63)} is in no calendar: events are of the years 2000 to 2099"),
    ],
)
def test_absurd_times_say_what_they_are(event: Inbound, time_ms: int, detail: str) -> None:
    """Of contact updates too, which are never too late and would hold for ever."""
    found = taken(event._replace(time=time_ms))  # type: ignore[call-arg]  # every one of these has a time
    assert isinstance(found, Reject)
    assert found.reason in FAULTS
    assert (found.reason, found.detail) == (Reason.ABSURD_TIME, detail)


@pytest.mark.parametrize("time_ms", [EARLIEST_MS, LATEST_MS - 1])
def test_the_edges_are_in_time(time_ms: int) -> None:
    """The first instant of 2000 and the last of 2099."""
    for event in EVENTS.values():
        assert not isinstance(taken(event._replace(time=time_ms)), Reject)  # type: ignore[call-arg]  # likewise


def test_attributes_are_cut_once_for_all() -> None:
    """Conditions, segments, dimensions, decision and dispatch have the same 64 characters of a longer value."""
    long = "é" * 65
    kept = "é" * 64
    rule = Rule(
        "r", "s", frozenset({"x"}), {"country": frozenset({kept})}, 0, 1_000, frozenset(), personalise=("country",)
    )
    event = taken(PURCHASE._replace(attributes={"country": long}))
    assert isinstance(event, Purchase)
    journey = run([(START_MS, event)], program([rule], quarantine_ms=0))
    (decision,), (dispatch,) = journey.all(Decision), journey.all(SurveyDispatch)
    assert dispatch.dimensions == dispatch.personalisation == {"country": kept}
    assert list(decision.segments) == list(dispatch.segments) == ["all", f"country={kept}"]


def test_the_first_attributes_by_name_are_looked_at() -> None:
    """Whatever their order in the record, so that a replay and another producer's map agree."""
    names = [f"a{n:03}" for n in range(MOST_ATTRIBUTES + 10)]
    found = [taken(CASE._replace(attributes=dict.fromkeys(order, "v"))) for order in (names, names[::-1])]
    assert found[0] == found[1]
    assert isinstance(found[0], SupportCase)
    assert list(found[0].attributes) == names[:MOST_ATTRIBUTES]


@pytest.mark.parametrize("written", ["europe/berlin", "EUROPE/BERLIN", " Europe/Berlin", "W. Europe Standard Time"])
def test_a_zone_by_any_of_its_names(written: str) -> None:
    """A contact's zone holds however the system that knows it writes it: at nine in Berlin, not at nine in London."""
    rule = replace(ASKS, hours=Hours(9 * HOUR_MS, 20 * HOUR_MS, "UTC"))
    night_ms = ms("2024-06-01T00:00+02:00")
    zone_told = UPDATE._replace(time=night_ms, time_zone=written, opted_out=None)
    journey = run([(night_ms, zone_told)], program([rule]))
    journey.take((night_ms + 1, PURCHASE._replace(type="order.delivered", time=night_ms + 1)))
    journey.take(wakeup(ms("2024-06-01T09:00+02:00")))
    (dispatch,) = journey.all(SurveyDispatch)
    assert dispatch.due_ms == ms("2024-06-01T09:00+02:00")


@pytest.mark.parametrize("written", ["Eastern Time (US & Canada)", "Berlin", "UTC+2", "Mars/Phobos", "+02:00", " "])
def test_a_zone_that_nobody_knows(written: str) -> None:
    """A dead letter that names it, not another zone in silence; what the customer objects to holds all the same."""
    update = UPDATE._replace(time_zone=written, opted_out=None, preferred_channel=None)
    journey = run([(START_MS, update)], program([ASKS]))
    (found,) = journey.all(Reject)
    assert (found.reason, repr(written) in found.detail) == (Reason.INVALID_CONTACT, True)
    assert journey.journey.contact is None
    opted_out = run([(START_MS, update._replace(opted_out=True, consents={"f/email": "granted"}))], program([ASKS]))
    assert opted_out.journey.opted_out
    assert opted_out.journey.contact is None


@pytest.mark.parametrize("written", ["", None])
def test_no_zone_is_no_mistake(written: str | None) -> None:
    """Whoever does not know the zone says so by saying nothing."""
    journey = run([(START_MS, UPDATE._replace(time_zone=written))], program([ASKS]))
    assert not journey.effects
    assert journey.journey.opted_out


def test_an_erasure_needs_no_zone() -> None:
    """A misspelt zone keeps nobody in memory."""
    erased = run([(START_MS, UPDATE._replace(time_zone="Nowhere", erased=True))], program([ASKS]))
    assert erased.all(Erasure)


def test_a_long_comment_is_cut_between_characters() -> None:
    """16 KiB of UTF-8 are kept, what was cut is counted as ignored, and score and answer are as ever."""
    asked = run([(START_MS, PURCHASE._replace(type="order.delivered"))], replace(program([ASKS], quarantine_ms=0)))
    (dispatch,) = asked.all(SurveyDispatch)
    said = RESPONSE._replace(survey_id=dispatch.survey_id, comment="\U0001f600" * 5_000 + "x", time=START_MS + 1)
    effects = asked.take((START_MS + 1, said))
    assert Reason.CUT in [getattr(effect, "reason", None) for effect in effects]
    answer = asked.answers[dispatch.survey_id]
    assert (answer.score, answer.comment) == (9, "\U0001f600" * 4_096)


ASKS = Rule("r", "s", frozenset({"order.delivered"}), {}, 0, 1_000_000, frozenset())
