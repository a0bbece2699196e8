"""The door: what is too long or of an absurd time is a dead letter that says so, and attributes come cut, once."""

from dataclasses import replace

import pytest

from schemas.codec import Codec
from schemas.events import ContactUpdate, Decision, Inbound, Purchase, SupportCase, SurveyDispatch, SurveyResponse
from schemas.reasons import FAULTS, Reason
from streams.domain.effects import Reject
from streams.domain.policy import Rule
from streams.intake import EARLIEST_MS, LATEST_MS, MOST_ATTRIBUTES, accept
from streams.kafka.ports import KafkaRecord
from tests.support.histories import CUSTOMER, START_MS, program, run

CODEC = Codec()
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


def taken(event: Inbound, at_ms: int = LATEST_MS) -> Inbound | Reject:
    """What comes through the door of a record of this event."""
    value = CODEC.encode(event)
    return accept(CODEC, type(event), KafkaRecord(0, at_ms, event.customer_id.encode(), value), at_ms)


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
