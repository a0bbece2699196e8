"""Incidents by example: silences, mute times, steps, falls, absences, and the work on cases."""

from dataclasses import replace

import pytest

from schemas.events import Incident
from schemas.oncall import (
    AbsencePayload,
    Bands,
    Facts,
    FallPayload,
    SilencePayload,
    UndeliveredPayload,
    WindowFall,
    decode,
)
from streams.domain.incidents.rules import EscalationStep, Match, Mute, Receiver, Route
from tests.support.incidents import HOUR_MS, RULES, SECOND_MS, START_MS, Desk, action, alert

OPENED = [(3, "open", "chat"), (3, "open", "pager")]


def at(second: int) -> int:
    return START_MS + second * SECOND_MS


def only(desk: Desk) -> Incident:
    (incident,) = desk.incidents.values()
    return incident


def opened(score: int = 5) -> Desk:
    """A desk that was told of one detractor."""
    desk = Desk()
    desk.take(at(0), alert("a", score=score))
    desk.wait(at(4))
    return desk


def silence(until_s: int, **more: object) -> SilencePayload:
    fields = {"silence_id": "s", "actor": "ana", "starts_ms": START_MS, "until_ms": at(until_s), **more}
    return SilencePayload(**fields)  # type: ignore[arg-type]  # as declared


def test_a_silence_withholds_pages_and_at_its_end_what_is_open_speaks() -> None:
    """State goes on meanwhile, and what it does not match is told."""
    desk = Desk()
    desk.take(at(0), silence(100, segments=("country=BR",)))
    desk.take(at(1), alert("a"))
    desk.wait(at(99))
    assert (desk.said(), only(desk).state) == ([], "waiting")
    desk.wait(at(100))
    assert desk.said() == [(100, "open", "chat"), (100, "open", "pager")]
    other = Desk()
    other.take(at(0), silence(100, segments=("country=DE",)))
    other.take(at(0), alert("a"))
    other.wait(at(4))
    assert other.said() == OPENED


def test_a_silence_that_ends_early_is_over_at_once() -> None:
    """The same id replaces it."""
    desk = Desk()
    desk.take(at(0), silence(1_000))
    desk.take(at(1), alert("a"))
    desk.take(at(50), silence(50))
    assert desk.said() == [(50, "open", "chat"), (50, "open", "pager")]


def test_a_silence_keeps_nobody_from_the_end() -> None:
    """Whoever was told hears that it is over."""
    desk = opened()
    desk.take(at(5), silence(1_000))
    desk.take(at(6), action("resolve", key="a"))
    assert desk.said()[2:] == [(6, "resolve", "chat"), (6, "resolve", "pager")]


@pytest.mark.parametrize(("score", "told"), [(5, 8), (2, 0)])
def test_a_mute_time_over_midnight_waits_for_the_morning(score: int, told: int) -> None:
    """But for severities that are loud.  START_MS is 22:13 UTC."""
    mute = Mute(20 * HOUR_MS, 8 * HOUR_MS, "UTC", frozenset({"critical"}))
    desk = Desk(replace(RULES, routes=(replace(RULES.routes[0], mute=mute),)))
    desk.take(START_MS, alert("a", score=score))
    desk.wait(START_MS + 10 * HOUR_MS)
    first_ms = desk.notifications[0].time
    assert first_ms == (START_MS if not told else START_MS - START_MS % (24 * HOUR_MS) + (24 + told) * HOUR_MS)


def test_a_page_that_does_not_arrive_takes_the_next_step_once() -> None:
    """However many receivers failed, and however often that is told."""
    desk = opened()
    incident_id = only(desk).incident_id
    for receiver in ("chat", "pager", "pager"):
        failed = UndeliveredPayload(incident_id=incident_id, notification_id="n", receiver=receiver, seq=1)
        desk.take(at(5), failed)
    assert desk.said() == [*OPENED, (5, "open", "lead")]


def test_whoever_escalates_is_heard_at_once() -> None:
    """Also of what is acknowledged."""
    desk = opened()
    desk.take(at(5), action("acknowledge", key="a"))
    desk.take(at(6), action("escalate", key="a"))
    assert desk.said()[-1] == (6, "open", "lead")


def test_the_work_on_a_case() -> None:
    """Who has it, when the customer was contacted, who closed it."""
    desk = opened()
    desk.take(at(5), action("assign", key="a", note="bob"))
    desk.take(at(6), action("contacted", key="a", actor="bob"))
    assert (desk.cases["a"].owner, desk.cases["a"].state, desk.cases["a"].contacted_ms) == ("bob", "contacted", at(6))
    assert desk.cases["a"].due_ms == START_MS + RULES.close_ms
    desk.take(at(7), action("note", only(desk).incident_id, note="called"))
    desk.take(at(8), action("resolve", only(desk).incident_id, actor="bob"))
    case, incident = desk.cases["a"], only(desk)
    assert (case.state, case.reason, case.actor, case.resolved_ms) == ("resolved", "closed", "bob", at(8))
    assert (incident.state, incident.resolved_by, incident.note, incident.open_cases) == (
        "resolved",
        "bob",
        "called",
        0,
    )


def fall(end_s: int, z: float) -> FallPayload:
    before, after = Bands(promoters=60, passives=20, detractors=20), Bands(promoters=30, passives=20, detractors=50)
    windows = (
        WindowFall(
            window="1d", start_ms=at(end_s - 86_400), before=before, after=after, z=z, threshold=4.0, smallest=9.0
        ),
        WindowFall(window="3d", start_ms=at(end_s - 3 * 86_400), before=before, after=after),
    )
    return FallPayload(segment="country=BR", end_ms=at(end_s), windows=windows)


def test_a_fall_opens_at_its_threshold_and_ends_below_half_of_it() -> None:
    """Between the two it stays; evidence that is not newer changes nothing."""
    desk = Desk()
    desk.take(at(0), fall(0, 3.9))
    assert not desk.incidents
    desk.take(at(10), fall(10, 4.0))
    desk.wait(at(13))
    facts = decode(Facts, desk.notifications[0].facts)
    assert (facts.title, facts.severity) == ("NPS of country=BR fell from 40 to -20 in 1d", "error")
    for end_s, z in ((20, 2.0), (5, 0.0)):
        desk.take(at(20), fall(end_s, z))
        assert only(desk).state == "open"
    desk.take(at(30), fall(30, 1.9))
    assert only(desk).state == "resolved"
    assert [verb for _, verb, _ in desk.said()][-2:] == ["resolve", "resolve"]


def recovering(hour: int, z_day: float, z_days: float) -> FallPayload:
    """Evidence at an hour at which a day is back where it was, and three days are not yet."""
    before, low = Bands(promoters=60, passives=20, detractors=20), Bands(promoters=30, passives=20, detractors=50)
    end_ms = at(hour * 3_600)
    windows = tuple(
        WindowFall(
            window=name, start_ms=end_ms - days * 86_400_000, before=before, after=after, z=z, threshold=4.0,
            smallest=9.0, standard_error=8.0,
        )
        for name, days, after, z in (("1d", 1, before if z_day < 2 else low, z_day), ("3d", 3, low, z_days))
    )  # fmt: skip
    return FallPayload(segment="country=BR", end_ms=end_ms, windows=windows)


def test_a_fall_ends_once_a_day_has_been_back_for_a_day_and_old_windows_open_no_other() -> None:
    """Not an hour before; then only a window that begins in the recovery may open the next."""
    desk = Desk()
    desk.take(at(0), recovering(0, 5.0, 4.5))
    for hour in range(30, 55):
        assert only(desk).state != "resolved", hour
        desk.take(at(hour * 3_600), recovering(hour, 1.0, 3.0))
    assert only(desk).state == "resolved"
    desk.take(at(56 * 3_600), recovering(56, 1.0, 5.0))
    assert len(desk.incidents) == 1
    desk.take(at(57 * 3_600), recovering(57, 4.5, 5.0))
    assert [one.state for one in desk.incidents.values()][1:] == ["waiting"]


def test_an_absence_opens_and_ends() -> None:
    """By its own word."""
    desk = Desk()
    for second, status in ((0, "open"), (1, "open"), (9, "resolved")):
        absent = {"kind": "no_answers", "status": status, "subject": "all", "since_ms": at(0), "detail": "6 h"}
        desk.take(at(second), AbsencePayload(**absent))  # type: ignore[arg-type]  # as declared
    assert desk.said() == [*OPENED, (9, "resolve", "chat"), (9, "resolve", "pager")]


def test_only_who_may_has_customers_and_comments() -> None:
    """Of the same page each receiver has its own facts."""
    receivers = {
        "chat": Receiver("chat", "console"),
        "pager": Receiver("pager", "console", comments=True, customers=True),
    }
    route = Route("rest", Match(), (EscalationStep(0, ("chat", "pager")),))
    desk = Desk(replace(RULES, receivers=receivers, routes=(route,)))
    desk.take(at(0), alert("a", score=0, comment="never again"))
    told = {one.receiver: decode(Facts, one.facts).members[0] for one in desk.notifications}
    assert (told["chat"].customer_id, told["chat"].comment) == (None, None)
    assert (told["pager"].customer_id, told["pager"].comment) == ("customer-a", "never again")


def test_old_alerts_page_nobody() -> None:
    """What was read a day late is no news."""
    desk = Desk()
    desk.take(at(0), alert("a", at_ms=START_MS - 25 * HOUR_MS))
    assert not desk.incidents


def test_groups_have_incidents_of_their_own() -> None:
    """By the dimensions that the route names."""
    desk = Desk(replace(RULES, routes=(replace(RULES.routes[0], group_by=("country",)),)))
    for number, country in enumerate(("BR", "BR", "DE")):
        desk.take(at(0), alert(str(number), segments=("all", f"country={country}")))
    assert sorted(one.cases for one in desk.incidents.values()) == [1, 2]
