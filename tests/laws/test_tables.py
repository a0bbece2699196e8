"""Laws of the tables: bytes come back as they were or stop the worker, and the highest version stays."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import PaneTally
from schemas.topics import INBOUND
from streams.domain.nps import Band, Tally
from streams.domain.panes import Pane, Resolution
from streams.domain.state import (
    NEW,
    Cancel,
    Click,
    Clicks,
    Contact,
    Given,
    Invitation,
    Journey,
    Message,
    Parked,
    Pending,
    Waiting,
)
from streams.errors import BadState
from streams.kafka.ports import KafkaRecord
from streams.state.tables import BLANK, UNCOUNTED, JourneyEntry, JourneyTable, PaneTable, PaneValue, encode
from tests.support.laws import examples
from tests.support.tables import restored

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
INSTANTS = st.integers(-(2**53), 2**53)
STAMPS = st.tuples(INSTANTS, st.integers(-(2**63), 2**63 - 1))
SEGMENTS = st.lists(TEXT, max_size=3).map(tuple)
DIMENSIONS = st.lists(st.tuples(TEXT, TEXT), max_size=2).map(tuple)
GIVEN = st.builds(
    Given,
    revision=st.integers(0, 99),
    scores=st.lists(st.tuples(INSTANTS, st.integers(-(2**63), 2**63 - 1), st.integers(0, 10)), max_size=3).map(tuple),
    comment=st.one_of(st.none(), TEXT),
    comment_stamp=STAMPS,
    voided_ms=INSTANTS,
    counted=st.one_of(st.none(), st.tuples(INSTANTS, st.sampled_from(Band))),
    severity=TEXT,
    parts=st.lists(st.tuples(INSTANTS, st.integers(-(2**63), 2**63 - 1), st.integers(-2, 10)), max_size=3).map(tuple),
    others=st.lists(st.tuples(INSTANTS, st.integers(-(2**63), 2**63 - 1), TEXT), max_size=2).map(tuple),
)
SHARES = st.floats(0, 1)
PENDING = st.builds(
    Pending, INSTANTS, *[TEXT] * 6, INSTANTS, TEXT, SEGMENTS, DIMENSIONS, INSTANTS, DIMENSIONS, SHARES, st.booleans()
)
REMINDER = st.builds(Message, INSTANTS, st.integers(1, 9), *[TEXT] * 3, DIMENSIONS, SHARES, st.booleans())
SAID = st.tuples(INSTANTS, TEXT)
STATED = st.lists(st.tuples(TEXT, INSTANTS, st.booleans()), max_size=2).map(tuple)
CONTACT = st.builds(Contact, SAID, SAID, SAID, STATED, STATED, INSTANTS)
CLICK = st.builds(Click, INSTANTS, st.integers(-1, 10))
SOME_CLICKS = st.lists(CLICK, max_size=2).map(tuple)
SOME_INSTANTS = st.lists(INSTANTS, max_size=2).map(tuple)
CLICKS = st.builds(Clicks, SOME_CLICKS, SOME_INSTANTS, SOME_INSTANTS, SOME_CLICKS)
INVITATION = st.builds(
    Invitation,
    *[TEXT] * 4,
    SEGMENTS,
    DIMENSIONS,
    INSTANTS,
    INSTANTS,
    st.one_of(st.none(), GIVEN),
    st.one_of(st.none(), CLICKS),
    TEXT,
    INSTANTS,
    st.lists(st.tuples(TEXT, INSTANTS), max_size=2).map(tuple),
    INSTANTS,
)


def some(values: st.SearchStrategy[tuple[object, ...]]) -> st.SearchStrategy[tuple[tuple[object, ...], ...]]:
    """Up to three of them."""
    return st.lists(values, max_size=3).map(tuple)


JOURNEYS = st.builds(
    Journey,
    clock_ms=INSTANTS,
    opted_out=st.booleans(),
    opted_ms=INSTANTS,
    pending=some(PENDING),
    invitations=some(INVITATION),
    parked=some(st.builds(Parked, TEXT, INSTANTS, st.binary(max_size=9))),
    seen=some(STAMPS),
    asked=some(st.tuples(TEXT, INSTANTS)),
    cancels=some(st.builds(Cancel, TEXT, TEXT, TEXT, INSTANTS)),
    waiting=some(st.builds(Waiting, INSTANTS, TEXT, CLICK)),
    contact=st.one_of(st.none(), CONTACT),
    reminders=some(REMINDER),
)
VERSIONS = st.lists(st.integers(-1, 2**63 - 1), min_size=len(INBOUND), max_size=len(INBOUND)).map(tuple)
ENTRIES = st.builds(JourneyEntry, VERSIONS, st.one_of(st.none(), INSTANTS), JOURNEYS)


@given(ENTRIES)
def test_a_journey_comes_back_as_it_was(entry: JourneyEntry) -> None:
    """Every field of every part, with the types that tuples need to be compared."""
    table = restored(encode(entry))
    assert table.get(b"c1") == entry
    assert table.timer_ms(b"c1") == entry.timer_ms
    assert list(table.timers()) == ([(b"c1", entry.timer_ms)] if entry.timer_ms is not None else [])


@given(st.integers(2, 8), st.binary(max_size=30))
def test_a_newer_format_stops_the_worker(format_byte: int, rest: bytes) -> None:
    """What a newer version wrote is never skipped."""
    with pytest.raises(BadState, match="offset 7"):
        restored(bytes([format_byte]) + rest)


@given(st.one_of(st.just(b""), st.binary(min_size=1, max_size=30).filter(lambda data: not 1 <= data[0] <= 8)))
def test_what_strangers_wrote_is_passed_over(value: bytes) -> None:
    """Text, JSON, Avro, nothing: no journey of ours, and not in place of one."""
    table = restored(encode(BLANK))
    assert table.restore(KafkaRecord(8, 0, b"c1", value)) is False
    assert table.get(b"c1") == BLANK
    assert len(table) == 1


@settings(max_examples=examples(50))
@given(ENTRIES)
def test_a_cut_off_journey_stops_the_worker(entry: JourneyEntry) -> None:
    """Whatever byte it ends at: found when the table is restored, before the first event."""
    data = encode(entry)
    for size in range(1, len(data)):
        with pytest.raises(BadState):
            list(restored(data[:size]).timers())


@given(st.binary(max_size=40))
def test_an_unreadable_journey_is_bad_state_wherever_it_is_met(junk: bytes) -> None:
    """Also where only the journey inside is wrong: never another error, never a blank journey instead."""
    for value in (b"\x01" + junk, encode(JourneyEntry((1,) * 5, None, NEW))[:-1] + junk):
        table = restored(value)
        with pytest.raises(BadState):
            refused(table)


def refused(table: JourneyTable) -> None:
    """Read it; raises BadState also for the rare junk that happens to be a journey."""
    list(table.timers())
    entry = table.get(b"c1")
    if encode(entry):
        raise BadState("readable by chance")


PANES = st.builds(
    Pane, st.sampled_from(["all", "a=b"]), st.sampled_from(list(Resolution)), st.sampled_from([-60_000, 0]),
    st.sampled_from([0, 0, 1, 2]),
)  # fmt: skip


@given(st.lists(st.tuples(PANES, st.integers(0, 9), st.integers(0, 99)), max_size=20))
def test_the_highest_version_of_a_pane_stays(rows: list[tuple[Pane, int, int]]) -> None:
    """In whatever order they are read."""
    table = PaneTable(0)
    for pane, version, promoters in rows:
        table.restore(PaneTally(*pane[:3], 0, promoters, 0, 0, "program", version, pane.supplement))
    for pane, _, _ in rows:
        version = max(v for p, v, _ in rows if p == pane)
        first = next(n for p, v, n in rows if (p, v) == (pane, version))
        assert table.get(pane) == PaneValue(version, Tally(first, 0, 0))
    assert len(table) == len({pane for pane, _, _ in rows})


@given(st.dictionaries(PANES, st.integers(0, 99), max_size=20), st.sampled_from([-60_001, 0, 1]), st.integers(0, 3),
       st.integers(0, 30))  # fmt: skip
def test_expired_panes_are_those_before_a_time(held: dict[Pane, int], start_ms: int, number: int, at_most: int) -> None:
    """Each once, never more than asked for; asked again after they are forgotten, all that is left can stay."""
    table = PaneTable(0)
    for pane, version in held.items():
        table.put(pane, PaneValue(version, Tally(1, 0, 0)))
    starts = dict.fromkeys(Resolution, start_ms)
    wanted = {
        pane for pane in held if (pane.supplement < number if pane.supplement else pane.start_ms < start_ms)
    }  # fmt: skip
    found = table.expired(starts, number, at_most)
    assert len(found) == len(set(found)) == min(at_most, len(wanted))
    assert set(found) <= wanted
    assert found == table.expired(starts, number, at_most), "asking changes nothing"
    table.forget([*found, *found])
    table.forget(table.expired(starts, number, 100))
    assert table.expired(starts, number, 100) == []
    assert {pane for pane in held if table.get(pane) != UNCOUNTED} == held.keys() - wanted
    assert len(table) == len(held) - len(wanted)
