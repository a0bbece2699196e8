"""A block through one partition's work: bad records become dead letters whole, neighbours are unaffected."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import Codec
from schemas.deadletters import unwrap
from schemas.events import Answer, ContactUpdate, Decision, Erasure, PaneTally, SurveyDispatch, Wakeup
from schemas.events import Record as Event
from schemas.reasons import Reason
from schemas.topics import (
    ANSWERS,
    CONTACTS,
    DEAD_LETTERS,
    DECISIONS,
    DISPATCHES,
    EPOCH_HEADER,
    ERASURES,
    HISTORY_HEADER,
    JOURNEYS,
    PANES,
    PURCHASES,
    RESPONSES,
    WAKEUPS,
)
from streams.domain.ids import survey_id
from streams.domain.links import Claim, Keys, verify
from streams.domain.nps import Tally
from streams.domain.panes import HOUR_MS, MINUTE_MS, Pane, Resolution
from streams.kafka.ports import KafkaRecord, MemoryLog, Output
from streams.processing.outputs import BatchOutputs
from streams.processing.partition import PartitionProcessor
from streams.state.tables import PaneValue
from tests.support.histories import OPEN, START_MS, case, program, purchase, response, rule

CODEC = Codec()
NOW_MS = START_MS + HOUR_MS
HEADERS = [("trace", b"\x00\xff"), ("nps.dead.reason", b"not ours"), ("empty", None)]
KEY = b"c1"


def work(epoch: int = 0) -> PartitionProcessor:
    """The work of partition 3, blank."""
    return PartitionProcessor(3, OPEN, CODEC, lambda segment: len(segment), lambda: NOW_MS, epoch)


def record(event: Event, offset: int = 0, at_ms: int = START_MS, key: bytes | None = KEY) -> KafkaRecord:
    """An event as it was fetched."""
    return KafkaRecord(offset, at_ms, key, CODEC.encode(event), HEADERS)


def published(outcome: BatchOutputs, topic: str) -> list[Output]:
    """What goes to a topic."""
    return [output for output in outcome.records if output.topic == topic]


def durable(one: PartitionProcessor, outcome: BatchOutputs) -> MemoryLog:
    """Written and taken into the tables."""
    log = MemoryLog()
    asyncio.run(one.make_durable(outcome, log, lambda: None))
    return log


SHOP = purchase("p", "order.delivered", START_MS)
GOOD = record(SHOP)
BAD: dict[str, tuple[KafkaRecord, Reason]] = {
    "null value": (GOOD._replace(value=None), Reason.NO_VALUE),
    "not Avro": (GOOD._replace(value=b"\x00{junk"), Reason.UNKNOWN_SCHEMA),
    "no header": (GOOD._replace(value=b'{"score": 9}'), Reason.UNDECODABLE),
    "empty": (GOOD._replace(value=b""), Reason.UNDECODABLE),
    "cut off": (GOOD._replace(value=(GOOD.value or b"")[:-1]), Reason.UNDECODABLE),
    "another type": (record(case("k", "case.solved", START_MS)), Reason.WRONG_TYPE),
    "another's key": (GOOD._replace(key=b"c2"), Reason.WRONG_KEY),
    "no key": (GOOD._replace(key=None), Reason.WRONG_KEY),
    "key not UTF-8": (GOOD._replace(key=b"\xff"), Reason.WRONG_KEY),
    "future timestamp": (GOOD._replace(timestamp=NOW_MS + 300_001), Reason.TOO_EARLY),
    "no timestamp": (GOOD._replace(timestamp=-1), Reason.TOO_EARLY),
    "late": (record(purchase("p", "order.delivered", START_MS - 8 * 24 * HOUR_MS)), Reason.TOO_LATE),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_record_becomes_a_dead_letter(fault: str) -> None:
    """Original bytes, key, headers, topic, partition, offset and time; the reason; nothing else comes of it."""
    bad, reason = BAD[fault]
    bad = bad._replace(offset=42)
    outcome = work().decide(PURCHASES.name, [bad])
    (letter,) = outcome.records
    assert (letter.topic, letter.value, letter.key) == (DEAD_LETTERS, bad.value, bad.key)
    headers, death = unwrap(letter.headers)
    assert headers == HEADERS
    assert (death.reason, death.topic, death.partition, death.offset) == (reason, PURCHASES.name, 3, 42)
    assert death.timestamp_ms == bad.timestamp
    assert death.detail
    assert not outcome.panes
    assert outcome.tally["dead", reason] == 1


def test_the_last_moment_that_is_not_the_future() -> None:
    """A Kafka timestamp ahead by no more than `early` is a good one."""
    outcome = work().decide(PURCHASES.name, [record(purchase("p", "order.delivered", NOW_MS), 0, NOW_MS + 300_000)])
    assert published(outcome, DEAD_LETTERS) == []
    assert len(published(outcome, DECISIONS.name)) == 1


@settings(max_examples=60)
@given(st.lists(st.one_of(st.sampled_from(sorted(BAD)), st.integers(0, 4)), max_size=12))
def test_neighbours_are_unaffected(batch: list[str | int]) -> None:
    """Good records lead to the same with bad ones between them; each bad one to one dead letter, told by position."""
    records = [
        (BAD[each][0] if isinstance(each, str) else record(purchase(f"p{each}", "order.delivered", START_MS)))._replace(
            offset=offset
        )
        for offset, each in enumerate(batch)
    ]
    if not records:
        return
    good = [each for each, name in zip(records, batch, strict=True) if isinstance(name, int)]
    outcome = work().decide(PURCHASES.name, records)
    wanted = work().decide(PURCHASES.name, good).records if good else []
    assert [output for output in outcome.records if output.topic != DEAD_LETTERS] == wanted
    assert len(published(outcome, DEAD_LETTERS)) == len(records) - len(good)
    bad = [position for position, name in enumerate(batch) if isinstance(name, str) and name != "late"]
    assert [position for position, _ in outcome.bad] == bad, "what the fuse is told"


def test_the_fuse_is_told_of_answers_that_are_none() -> None:
    """A score of 11 and an empty answer are as bad as junk; an unknown survey or a late answer may be a backlog."""
    said = [response("a", START_MS, 11), response("b", START_MS), response("c", START_MS, 9)]
    late = response("d", START_MS - 8 * 24 * HOUR_MS, 9)
    batch = [record(event, offset) for offset, event in enumerate([*said, late])]
    outcome = work().decide(RESPONSES.name, batch)
    told = [(position, reject.reason) for position, reject in outcome.bad]
    assert told == [(0, Reason.INVALID_SCORE), (1, Reason.EMPTY_RESPONSE)]
    assert outcome.tally["in", RESPONSES.name] == 4, "they were stepped all the same"


CUSTOMERS = st.sampled_from(["c1", "c2"])


@settings(max_examples=60)
@given(
    st.lists(st.tuples(CUSTOMERS, st.integers(0, 4)), min_size=1, max_size=12),
    st.lists(st.tuples(CUSTOMERS, st.integers(0, 4), st.integers(0, 10)), min_size=1, max_size=12),
)
def test_pieces_do_not_show(bought: list[tuple[str, int]], said: list[tuple[str, int, int]]) -> None:
    """Blocks lead to the same however they are cut into pieces: outputs, panes, journeys, and who is woken when."""
    events: dict[str, list[Event]] = {
        PURCHASES.name: [purchase(f"{name}{n}", "order.delivered", START_MS, name) for name, n in bought],
        RESPONSES.name: [
            response(f"r{place}", START_MS + place, score, survey_id("shop", f"{name}{n}", "r"))
            for place, (name, n, score) in enumerate(said)
        ],
    }
    owners = {PURCHASES.name: [name for name, _ in bought], RESPONSES.name: [name for name, _, _ in said]}
    batches = {
        topic: [
            record(event._replace(customer_id=name), offset, START_MS + offset, name.encode())  # type: ignore[call-arg]
            for offset, (event, name) in enumerate(zip(events[topic], owners[topic], strict=True))
        ]
        for topic in events
    }
    expected = in_pieces(100, batches)
    for size in (1, 2, 5):
        assert in_pieces(size, batches) == expected


def in_pieces(size: int, batches: dict[str, list[KafkaRecord]]) -> tuple[list[BatchOutputs], list[bytes]]:
    """What blocks lead to in pieces of this size, and who is due in the end."""
    one = work()
    outcomes = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streams.processing.partition.PIECE_RECORDS", size)
        for topic, records in batches.items():
            outcomes.append(one.decide(topic, records))
            durable(one, outcomes[-1])
    return outcomes, one.due(START_MS + 400 * 24 * HOUR_MS, 100)


def test_through_changes_nothing() -> None:
    """Until a block is durable, the same block leads to the same."""
    one = work()
    first = one.decide(PURCHASES.name, [GOOD])
    assert one.decide(PURCHASES.name, [GOOD]) == first
    durable(one, first)
    assert one.decide(PURCHASES.name, [GOOD]).records == []
    assert one.decide(PURCHASES.name, [GOOD]).tally["skipped", PURCHASES.name] == 1


def test_what_is_published_carries_the_source_version() -> None:
    """Decision, dispatch, answer and panes: epoch and offset of their record, keyed by customer, on its partition."""
    one = work(epoch=2)
    asked = one.decide(PURCHASES.name, [GOOD._replace(offset=5)])
    durable(one, asked)
    answered = one.decide(RESPONSES.name, [record(response("a", START_MS, 9), 7)])
    for outcome, topic, cls, offset in (
        (asked, DECISIONS.name, Decision, 5), (asked, DISPATCHES.name, SurveyDispatch, 5),
        (answered, ANSWERS.name, Answer, 7),
    ):  # fmt: skip
        (output,) = published(outcome, topic)
        assert CODEC.decode(cls, output.value)[-1] == (2 << 48 | offset)
        assert (output.key, output.partition) == (KEY, 3)
    minute = Pane("all", Resolution.MINUTE, START_MS // MINUTE_MS * MINUTE_MS)
    assert answered.panes[minute] == PaneValue(2 << 48 | 7, Tally(1, 0, 0))
    rows = [CODEC.decode(PaneTally, each.value) for (topic, _), all_ in durable(one, answered).partitions.items()
            if topic == PANES.name for each in all_]  # fmt: skip
    assert len(rows) == 6
    assert {row.version for row in rows} == {2 << 48 | 7}
    assert {row.source_partition for row in rows} == {3}


def test_durable_in_the_order_that_replay_relies_on() -> None:
    """Outputs, then panes, then journeys; before each stage the lease is checked."""
    one, topics, checks = work(), list[str](), list[int]()

    class Listening(MemoryLog):
        def send_all(self, outputs: Iterable[Output]) -> None:
            topics.extend(out.topic for out in outputs)

    durable(one, one.decide(PURCHASES.name, [GOOD]))
    outcome = one.decide(RESPONSES.name, [record(response("a", START_MS, 3), 1)])
    asyncio.run(one.make_durable(outcome, Listening(), lambda: checks.append(len(topics))))
    stages = [PANES.name if t == PANES.name else JOURNEYS if t == JOURNEYS else "outputs" for t in topics]
    assert stages == sorted(stages, key=["outputs", PANES.name, JOURNEYS].index)
    assert checks == [0, stages.count("outputs"), len(stages) - 1]


def test_a_lost_lease_writes_nothing_into_the_tables() -> None:
    """The block is read again by whoever owns the partition now."""
    one = work()
    outcome = one.decide(PURCHASES.name, [GOOD])
    with pytest.raises(RuntimeError, match="lost"):
        asyncio.run(one.make_durable(outcome, MemoryLog(), lost))
    assert one.decide(PURCHASES.name, [GOOD]) == outcome


def lost() -> None:
    """Another owns the partition."""
    raise RuntimeError("lost")


def test_an_answer_held_too_long_dies_as_it_came() -> None:
    """Given up by a wakeup on another topic, the dead letter is the response: bytes, headers, its own offset."""
    one = work()
    orphan = record(response("a", START_MS, 9, survey="nobody's"), 9)
    durable(one, one.decide(RESPONSES.name, [orphan]))
    outcome = one.decide(WAKEUPS.name, [record(Wakeup("c1", NOW_MS), 0, NOW_MS)])
    (letter,) = outcome.records
    headers, death = unwrap(letter.headers)
    assert (letter.topic, letter.value, letter.key, headers) == (DEAD_LETTERS, orphan.value, KEY, HEADERS)
    assert (death.reason, death.topic, death.offset, death.timestamp_ms) == (
        Reason.UNKNOWN_SURVEY, RESPONSES.name, 9, START_MS
    )  # fmt: skip


def test_an_early_answer_is_put_back_as_it_came() -> None:
    """Once its survey is sent: same bytes, key, headers, partition and Kafka timestamp, and then it counts."""
    one = work()
    early = record(response("a", START_MS - 5, 9), 0, START_MS - 5)
    durable(one, one.decide(RESPONSES.name, [early]))
    outcome = one.decide(PURCHASES.name, [GOOD])
    (back,) = published(outcome, RESPONSES.name)
    assert (list(back.headers), back[:5]) == (HEADERS, (RESPONSES.name, early.value, KEY, 3, early.timestamp))
    durable(one, outcome)
    again = one.decide(RESPONSES.name, [early._replace(offset=1)])
    assert len(published(again, ANSWERS.name)) == 1
    assert {value.tally for value in again.panes.values()} == {Tally(1, 0, 0)}


@pytest.mark.parametrize("epoch", [1, 2])
def test_when_all_is_counted_anew_an_old_wakeup_gives_up_on_nothing(epoch: int) -> None:
    """It was written when all before it was read; now its topic may be ahead of the purchase that is answered."""
    park_ms = OPEN.limits.park_ms
    late_ms = START_MS + 2 * park_ms
    early = record(response("a", START_MS - 5, 9), 0, START_MS - 5)
    old = record(Wakeup("c1", late_ms), 0, late_ms)._replace(headers=[] if epoch == 1 else [(EPOCH_HEADER, b"1")])
    for wakeup, left in ((old, 0), (old._replace(headers=[(EPOCH_HEADER, str(epoch).encode())]), 1)):
        one = PartitionProcessor(3, OPEN, CODEC, len, lambda: late_ms, epoch=epoch)
        assert one.written_under == ((EPOCH_HEADER, str(epoch).encode()),)
        durable(one, one.decide(RESPONSES.name, [early]))
        outcome = one.decide(WAKEUPS.name, [wakeup])
        assert len(published(outcome, DEAD_LETTERS)) == left
        durable(one, outcome)
        back = published(one.decide(PURCHASES.name, [GOOD._replace(timestamp=late_ms + 1)]), RESPONSES.name)
        assert len(back) == 1 - left


def test_history_is_told_by_its_header() -> None:
    """What a record marked as history asks for is sent however late it is; without the mark it is missed."""
    strict = program(rules=[replace(rule("r", "s", "order.delivered", HOUR_MS), send_within_ms=MINUTE_MS)])
    late = record(Wakeup("c1", START_MS + 3 * HOUR_MS), 0, START_MS + 3 * HOUR_MS)
    for headers, reason in (([(HISTORY_HEADER, b"1")], None), ([("other", None)], Reason.MISSED), ((), Reason.MISSED)):
        one = PartitionProcessor(3, strict, CODEC, len, lambda: START_MS + 3 * HOUR_MS)
        durable(one, one.decide(PURCHASES.name, [GOOD._replace(headers=headers)]))
        (decision,) = published(one.decide(WAKEUPS.name, [late]), DECISIONS.name)
        assert CODEC.decode(Decision, decision.value).reason == reason


def test_a_dispatch_carries_a_token_when_there_are_keys() -> None:
    """Signed by the shell, for this survey, customer and expiry; without keys there is none."""
    keys = Keys.parse("k1:0123456789abcdef")
    for given_keys in (keys, None):
        one = PartitionProcessor(3, OPEN, CODEC, len, lambda: NOW_MS, keys=given_keys)
        (sent,) = published(one.decide(PURCHASES.name, [GOOD]), DISPATCHES.name)
        dispatch = CODEC.decode(SurveyDispatch, sent.value)
        claim = Claim(dispatch.survey_id, "c1", dispatch.expires_ms)
        assert (dispatch.token and verify(keys, dispatch.token, NOW_MS)) == (claim if given_keys else None)


def test_an_erasure_is_published_and_leaves_a_stub() -> None:
    """One record for the sinks; of the journey nothing is kept but when it was."""
    one = work()
    durable(one, one.decide(PURCHASES.name, [GOOD]))
    forget = ContactUpdate("crm", "e", "contact.erased", START_MS + 1, "c1", None, None, None, {}, erased=True)
    outcome = one.decide(CONTACTS.name, [record(forget, 4, START_MS + 1)])
    (told,) = published(outcome, ERASURES.name)
    erasure = CODEC.decode(Erasure, told.value)
    assert (erasure.customer_id, erasure.erased_ms, erasure.version) == ("c1", START_MS + 1, 4)
    (kept,) = durable(one, outcome).partitions[JOURNEYS, 3]
    assert kept.value is not None
    for personal in (b"order.delivered", b"country", b"BR", b"o1", b"delivery", erasure.customer_id.encode()):
        assert personal not in kept.value


def test_who_must_be_woken() -> None:
    """A customer is named when something is due, once, and not at all before."""
    one = work()
    durable(one, one.decide(RESPONSES.name, [record(response("a", START_MS, 9, survey="?"), 0)]))
    assert one.due(START_MS + HOUR_MS - 1_000, 10) == []
    assert one.due(START_MS + HOUR_MS, 10) == [KEY]
    assert one.due(START_MS + HOUR_MS, 10) == []


@settings(max_examples=40)
@given(st.lists(st.integers(0, 10), min_size=1, max_size=20), st.integers(1, 20))
def test_block_size_changes_nothing(scores: Sequence[int], size: int) -> None:
    """The same records in blocks of any size leave the same panes and publish the same."""
    events: list[Event] = [purchase(f"p{n}", "order.delivered", START_MS) for n in range(len(scores))]
    raw_fields, parts = run_in_blocks(events, scores, len(scores)), run_in_blocks(events, scores, size)
    assert raw_fields == parts


def run_in_blocks(events: list[Event], scores: Sequence[int], size: int) -> tuple[list[Output], dict[Pane, Tally]]:
    """All that is published, and the panes that are left."""
    one, outputs, panes = work(), list[Output](), dict[Pane, Tally]()
    answers = [response(f"r{n}", START_MS + n, score, survey=survey_id("shop", f"p{n}", "r")) for n, score in
               enumerate(scores)]  # fmt: skip
    for topic, all_events in ((PURCHASES.name, events), (RESPONSES.name, answers)):
        records = [record(event, offset) for offset, event in enumerate(all_events)]
        for start in range(0, len(records), size):
            outcome = one.decide(topic, records[start : start + size])
            outputs += outcome.records
            panes |= {pane: value.tally for pane, value in outcome.panes.items()}
            durable(one, outcome)
    return outputs, panes
