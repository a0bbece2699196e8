"""The laws of asking, over random lives of a customer and a program that uses all there is, each against its own count.

A life is told twice where it matters: loaded as history in one go, and lived, with a wakeup whenever one is due.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from itertools import combinations, groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import Codec
from schemas.events import ContactUpdate, Decision, Purchase, SupportCase, SurveyDispatch, Wakeup
from schemas.topics import CONTACTS, PURCHASES, SUPPORT, WAKEUPS
from streams.domain.journey import step
from streams.domain.panes import DAY_MS
from streams.domain.state import NEW
from streams.kafka.memory import MemoryLog
from streams.kafka.ports import KafkaRecord, Output
from streams.processing.merge import MergedBatch
from streams.processing.partition import PartitionProcessor
from streams.state.progress import Progress
from streams.state.tables import JourneyEntry
from tests.support.histories import Moment, Run, wakeup
from tests.support.instants import is_inside
from tests.support.laws import examples
from tests.support.tables import through_bytes
from tests.support.trigger_histories import (
    DELIVERY_QUARANTINE_MS,
    HOME,
    PROGRAM,
    QUARANTINE_MS,
    RULES,
    SMS,
    ZONES,
    asks_of,
    end,
    granting,
    histories,
    lived,
    loaded,
    statements,
    told_by,
    triggers,
)

CODEC = Codec()
LAW = settings(max_examples=examples(1_000))


@LAW
@given(histories())
def test_never_two_asks_inside_either_clock(history: list[Moment]) -> None:
    """Any two surveys lie apart by the common clock, two of one survey by its own too; and sms has its cap."""
    asks = asks_of(loaded(history))
    for one, other in combinations(asks, 2):
        apart_ms = abs(one.due_ms - other.due_ms)
        assert apart_ms >= QUARANTINE_MS
        assert one.survey != other.survey or one.survey != "delivery" or apart_ms >= DELIVERY_QUARANTINE_MS


@LAW
@given(histories())
def test_a_channel_keeps_its_cap(history: list[Moment]) -> None:
    """No more messages on a channel, reminders too, than it allows within its time, when a survey is sent there."""
    messages = [dispatch for dispatch in loaded(history).all(SurveyDispatch) if dispatch.channel == "sms"]
    for place, message in enumerate(messages):
        before = [one for one in messages[:place] if message.due_ms - one.due_ms < SMS.every_ms]
        assert len(before) < SMS.at_most


@LAW
@given(histories())
def test_never_early_and_never_outside_local_hours(history: list[Moment]) -> None:
    """Not before the delay is over, and the clock on the customer's wall shows the rule's hours; reminders too."""
    for dispatch in loaded(history).all(SurveyDispatch):
        rule = RULES[dispatch.rule]
        assert dispatch.due_ms >= dispatch.trigger_ms + rule.delay_ms + dispatch.reminder * rule.remind_after_ms
        said = [(each.time, place, each.time_zone) for place, each in enumerate(told_by(history, dispatch.due_ms))]
        at_once = [each for at, each in statements(history) if at == dispatch.due_ms]
        zone = max((named for named in said if named[2] in ZONES), default=(0, 0, HOME))[2]
        assert rule.hours is not None
        window = (rule.hours.opens_ms // 60_000, rule.hours.closes_ms // 60_000)
        assert at_once or is_inside(window, str(zone), dispatch.due_ms)


@LAW
@given(histories())
def test_one_decision_for_each_trigger(history: list[Moment]) -> None:
    """Triggers = sent + suppressed + still pending at any time; in the end none is pending."""
    wanted, journey = triggers(history), Run(PROGRAM)
    for moment in history:
        journey.take(moment)
    open_ = [pending.id for pending in journey.journey.pending]
    assert sorted([*open_, *(decision.trigger_id for decision in journey.all(Decision))]) == sorted(wanted)
    journey.take(end(history))
    decisions = journey.all(Decision)
    assert sorted(decision.trigger_id for decision in decisions) == sorted(wanted)
    assert all((d.outcome == "sent") == (d.reason is None) == (d.survey_id is not None) for d in decisions)
    assert [d.survey_id for d in decisions if d.survey_id] == [dispatch.survey_id for dispatch in asks_of(journey)]


@LAW
@given(histories())
def test_no_dispatch_against_a_customers_word(history: list[Moment]) -> None:
    """Opted out, withdrawn for purpose and channel, or bounced: by the newest word read before, nothing was sent."""
    for dispatch in loaded(history).all(SurveyDispatch):
        if any(at == dispatch.due_ms for at, _ in statements(history)):
            continue
        said = [each for at, each in statements(history) if at < dispatch.due_ms]
        out = [(each.time, each.opted_out) for each in said if each.opted_out is not None]
        assert not out or not max(out)[1]
        names = (f"feedback/{dispatch.channel}", "feedback/*")
        no = [
            (each.time, each.consents[name] == "withdrawn") for each in said for name in names if name in each.consents
        ]
        assert not no or not max(no)[1]
        channel = str(dispatch.channel)
        lost = [(each.time, each.bounces[channel] == "bounced") for each in said if channel in each.bounces]
        assert not lost or not max(lost)[1]


@LAW
@given(histories(), st.lists(st.tuples(st.integers(0, 14), st.integers(0, 9 * DAY_MS)), max_size=6))
def test_history_does_not_depend_on_wakeups(history: list[Moment], timers: list[tuple[int, int]]) -> None:
    """Loaded with wakeups at any times, or only at the end: the same decisions and messages, byte for byte.

    What customers take away is left out: see `test_objections`.
    """
    history = granting(history)
    extra = [wakeup(history[at % len(history)][0] + after_ms) for at, after_ms in timers]
    poked = sorted([*history, *extra], key=lambda moment: moment[0])
    plain, woken = loaded(history), Run(PROGRAM, history=True)
    for moment in [*poked, end(history)]:
        woken.take(moment)
    assert woken.all(Decision) == plain.all(Decision)
    assert woken.all(SurveyDispatch) == plain.all(SurveyDispatch)


@LAW
@given(histories())
def test_lived_is_as_loaded(history: list[Moment]) -> None:
    """A worker that is there in time misses nothing and puts nothing off: live and history decide the same.

    What customers take away is left out: see `test_objections`.
    """
    history = granting(history)
    live, old = lived(history), loaded(history)
    assert live.all(Decision) == old.all(Decision)
    assert live.all(SurveyDispatch) == old.all(SurveyDispatch)


@LAW
@given(histories(), st.integers(0, 15))
def test_any_prefix_replayed_gives_the_same(history: list[Moment], cut: int) -> None:
    """Stored after any prefix, read back from its bytes: the rest makes the same effects and the same journey."""
    whole, parts = Run(PROGRAM), Run(PROGRAM)
    for moment in history:
        whole.take(moment)
    for moment in history[:cut]:
        parts.take(moment)
    parts.journey = through_bytes(parts.journey)
    for moment in history[cut:]:
        parts.take(moment)
    assert parts.effects == whole.effects
    assert parts.journey == whole.journey == through_bytes(whole.journey)


@LAW
@given(histories())
def test_the_same_step_again_gives_the_same(history: list[Moment]) -> None:
    """Deterministic: nothing but its arguments decides, live or as history."""
    journey = NEW
    for number, (now_ms, event) in enumerate(history):
        once = step(journey, event, PROGRAM, now_ms, b"", number % 2 == 0)
        assert step(journey, event, PROGRAM, now_ms, b"", number % 2 == 0) == once
        journey = once[0]


TOPIC = {Purchase: PURCHASES.name, SupportCase: SUPPORT.name, ContactUpdate: CONTACTS.name, Wakeup: WAKEUPS.name}


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """One event loop for all examples."""
    with asyncio.Runner() as running:
        yield running


def worked(history: list[Moment], at_most: int, runner: asyncio.Runner) -> tuple[list[Output], JourneyEntry]:
    """All that is published and kept when the records come in batches of one topic, at most so many at once."""
    one, outputs, offsets = PartitionProcessor(0, PROGRAM, CODEC, len), list[Output](), Counter[str]()
    for topic, group in groupby([*history, end(history)], lambda moment: TOPIC[type(moment[1])]):
        moments = list(group)
        for start in range(0, len(moments), at_most):
            records = []
            for at_ms, event in moments[start : start + at_most]:
                records.append(KafkaRecord(offsets[topic], at_ms, b"c1", CODEC.encode(event), ()))
                offsets[topic] += 1
            outcome = one.decide(MergedBatch([(topic, record) for record in records], 1 << 50, Progress()))
            outputs += outcome.records
            runner.run(one.make_durable(outcome, MemoryLog(), lambda: None))
    return outputs, one.journeys.get(b"c1")


@LAW
@given(history=histories(), size=st.integers(2, 9))
def test_block_cuts_change_nothing(runner: asyncio.Runner, history: list[Moment], size: int) -> None:
    """One record at a time or many: the same bytes are published in the same order, and the same journey is kept."""
    assert worked(history, size, runner) == worked(history, 1, runner)
