"""A batch through one partition's work: bad records become dead letters whole, neighbours are unaffected."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace

import pytest

from schemas.deadletters import unwrap
from schemas.events import Answer, ContactUpdate, Decision, Erasure, PaneTally, Purchase, SurveyDispatch, Wakeup
from schemas.reasons import Reason
from schemas.topics import (
    ANSWERS,
    CONTACTS,
    DEAD_LETTERS,
    DECISIONS,
    DISPATCHES,
    ERASURES,
    HISTORY_HEADER,
    JOURNEYS,
    MOVED_HEADER,
    PANES,
    PURCHASES,
    RESPONSES,
    WAKEUPS,
)
from streams import metrics
from streams.domain.links import Claim, Keys, verify
from streams.domain.nps import Tally
from streams.domain.panes import HOUR_MS, MINUTE_MS, Pane, Resolution
from streams.kafka.memory import MemoryLog
from streams.kafka.partitioner import partition_of
from streams.kafka.ports import KafkaRecord, Output
from streams.processing.partition import AGAIN_MS, PartitionProcessor
from streams.state.tables import PaneValue, erased_key
from tests.support.histories import OPEN, START_MS, program, purchase, response, rule
from tests.support.partition import (
    BAD,
    CODEC,
    GOOD,
    HEADERS,
    KEY,
    NOW_MS,
    batch_of,
    durable,
    processor,
    published,
    record,
)


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_record_becomes_a_dead_letter(fault: str) -> None:
    """Original bytes, key, headers, topic, partition, offset and time; the reason; nothing else comes of it."""
    bad, reason = BAD[fault]
    bad = bad._replace(offset=42)
    outputs = processor().decide(batch_of(PURCHASES.name, [bad]))
    (letter,) = outputs.records
    assert (letter.topic, letter.value, letter.key) == (DEAD_LETTERS, bad.value, bad.key)
    headers, death = unwrap(letter.headers)
    assert headers == HEADERS
    assert (death.reason, death.topic, death.partition, death.offset) == (reason, PURCHASES.name, 3, 42)
    assert death.timestamp_ms == bad.timestamp
    assert death.detail
    assert not outputs.panes
    assert outputs.tally[metrics.EVENTS_DEAD, reason] == 1


def test_the_last_moment_that_is_not_the_future() -> None:
    """A Kafka timestamp ahead by no more than `early` is a good one."""
    ahead = record(purchase("p", "order.delivered", NOW_MS), 0, NOW_MS + 300_000)
    outputs = processor().decide(batch_of(PURCHASES.name, [ahead]))
    assert published(outputs, DEAD_LETTERS) == []
    assert len(published(outputs, DECISIONS.name)) == 1


def test_the_fuse_is_told_of_answers_that_are_none() -> None:
    """A score of 11 and an empty answer are as bad as junk; an unknown survey or a late answer may be a backlog."""
    said = [response("a", START_MS, 11), response("b", START_MS), response("c", START_MS, 9)]
    late = response("d", START_MS - 8 * 24 * HOUR_MS, 9)
    batch = [record(event, offset) for offset, event in enumerate([*said, late])]
    outputs = processor().decide(batch_of(RESPONSES.name, batch))
    told = [(position, reject.reason) for position, reject in outputs.bad]
    assert told == [(0, Reason.INVALID_SCORE), (1, Reason.EMPTY_RESPONSE)]
    assert outputs.tally[metrics.EVENTS_IN, RESPONSES.name] == 4, "they were stepped all the same"


def test_through_changes_nothing() -> None:
    """Until a batch is durable, the same batch leads to the same."""
    one = processor()
    first = one.decide(batch_of(PURCHASES.name, [GOOD]))
    assert one.decide(batch_of(PURCHASES.name, [GOOD])) == first
    durable(one, first)
    assert one.decide(batch_of(PURCHASES.name, [GOOD])).records == []
    assert one.decide(batch_of(PURCHASES.name, [GOOD])).tally[metrics.EVENTS_SKIPPED, PURCHASES.name] == 1


def test_what_is_published_carries_the_source_version() -> None:
    """Decision, dispatch, answer and panes: epoch and offset of their record, keyed by customer, on its partition."""
    one = processor(epoch=2)
    asked = one.decide(batch_of(PURCHASES.name, [GOOD._replace(offset=5)]))
    durable(one, asked)
    answered = one.decide(batch_of(RESPONSES.name, [record(response("a", START_MS, 9), 7)]))
    for outputs, topic, cls, offset in (
        (asked, DECISIONS.name, Decision, 5), (asked, DISPATCHES.name, SurveyDispatch, 5),
        (answered, ANSWERS.name, Answer, 7),
    ):  # fmt: skip
        (output,) = published(outputs, topic)
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
    """Outputs, then panes, then journeys with the progress; before each stage the lease is checked."""
    one, topics, checks = processor(), list[str](), list[int]()

    class Listening(MemoryLog):
        def send_all(self, outputs: Iterable[Output]) -> None:
            topics.extend(out.topic for out in outputs)

    durable(one, one.decide(batch_of(PURCHASES.name, [GOOD])))
    outputs = one.decide(batch_of(RESPONSES.name, [record(response("a", START_MS, 3), 1)]))
    asyncio.run(one.make_durable(outputs, Listening(), lambda: checks.append(len(topics))))
    stages = [PANES.name if t == PANES.name else JOURNEYS if t == JOURNEYS else "outputs" for t in topics]
    assert stages == sorted(stages, key=["outputs", PANES.name, JOURNEYS].index)
    assert checks == [0, stages.count("outputs"), len(stages) - 2]


def test_a_lost_lease_writes_nothing_into_the_tables() -> None:
    """The batch is read again by whoever owns the partition now."""
    one = processor()
    outputs = one.decide(batch_of(PURCHASES.name, [GOOD]))
    with pytest.raises(RuntimeError, match="lost"):
        asyncio.run(one.make_durable(outputs, MemoryLog(), lost))
    assert one.decide(batch_of(PURCHASES.name, [GOOD])) == outputs


def lost() -> None:
    """Another owns the partition."""
    raise RuntimeError("lost")


def test_an_answer_held_too_long_dies_as_it_came() -> None:
    """Given up by a wakeup on another topic, the dead letter is the response: bytes, headers, its own offset."""
    one = processor()
    orphan = record(response("a", START_MS, 9, survey="nobody's"), 9)
    durable(one, one.decide(batch_of(RESPONSES.name, [orphan])))
    outputs = one.decide(batch_of(WAKEUPS.name, [record(Wakeup("c1", NOW_MS), 0, NOW_MS)]))
    (letter,) = outputs.records
    headers, death = unwrap(letter.headers)
    assert (letter.topic, letter.value, letter.key, headers) == (DEAD_LETTERS, orphan.value, KEY, HEADERS)
    assert (death.reason, death.topic, death.offset, death.timestamp_ms) == (
        Reason.UNKNOWN_SURVEY, RESPONSES.name, 9, START_MS
    )  # fmt: skip


def test_an_early_answer_is_put_back_as_it_came() -> None:
    """Once its survey is sent: same bytes, key, headers, partition and Kafka timestamp, and then it counts."""
    one = processor()
    early = record(response("a", START_MS - 5, 9), 0, START_MS - 5)
    durable(one, one.decide(batch_of(RESPONSES.name, [early])))
    outputs = one.decide(batch_of(PURCHASES.name, [GOOD]))
    (back,) = published(outputs, RESPONSES.name)
    assert (list(back.headers), back[:5]) == (HEADERS, (RESPONSES.name, early.value, KEY, 3, early.timestamp))
    durable(one, outputs)
    again = one.decide(batch_of(RESPONSES.name, [early._replace(offset=1)]))
    assert len(published(again, ANSWERS.name)) == 1
    assert {value.tally for value in again.panes.values()} == {Tally(1, 0, 0)}


def test_history_is_told_by_its_header() -> None:
    """What a record marked as history asks for is sent however late it is; without the mark it is missed."""
    strict = program(rules=[replace(rule("r", "s", "order.delivered", HOUR_MS), send_within_ms=MINUTE_MS)])
    late = record(Wakeup("c1", START_MS + 3 * HOUR_MS), 0, START_MS + 3 * HOUR_MS)
    for headers, reason in (([(HISTORY_HEADER, b"1")], None), ([("other", None)], Reason.MISSED), ((), Reason.MISSED)):
        one = PartitionProcessor(3, strict, CODEC, len)
        durable(one, one.decide(batch_of(PURCHASES.name, [GOOD._replace(headers=headers)])))
        (decision,) = published(one.decide(batch_of(WAKEUPS.name, [late], late.timestamp)), DECISIONS.name)
        assert CODEC.decode(Decision, decision.value).reason == reason


def test_a_dispatch_carries_a_token_when_there_are_keys() -> None:
    """Signed by the shell, for this survey, customer and expiry; without keys there is none."""
    keys = Keys.parse("k1:0123456789abcdef")
    for given_keys in (keys, None):
        one = PartitionProcessor(3, OPEN, CODEC, len, keys=given_keys)
        (sent,) = published(one.decide(batch_of(PURCHASES.name, [GOOD])), DISPATCHES.name)
        dispatch = CODEC.decode(SurveyDispatch, sent.value)
        claim = Claim(dispatch.survey_id, "c1", dispatch.expires_ms)
        assert (dispatch.token and verify(keys, dispatch.token, NOW_MS)) == (claim if given_keys else None)


def test_an_erasure_is_published_and_leaves_a_stub() -> None:
    """One record for the sinks; of the journey nothing is kept but when it was."""
    one = processor()
    durable(one, one.decide(batch_of(PURCHASES.name, [GOOD])))
    forget = ContactUpdate("crm", "e", "contact.erased", START_MS + 1, "c1", None, None, None, {}, erased=True)
    outputs = one.decide(batch_of(CONTACTS.name, [record(forget, 4, START_MS + 1)]))
    (told,) = published(outputs, ERASURES.name)
    erasure = CODEC.decode(Erasure, told.value)
    assert (erasure.customer_id, erasure.erased_ms, erasure.version) == ("c1", START_MS + 1, 4)
    kept, gone, _ = durable(one, outputs).partitions[JOURNEYS, 3]
    assert (gone.key, gone.value) == (KEY, None)
    assert kept.value is not None
    assert kept.key == erased_key(KEY)
    for personal in (b"order.delivered", b"country", b"BR", b"o1", b"delivery", erasure.customer_id.encode()):
        assert personal not in kept.value


def test_nothing_in_the_state_names_an_erased_customer() -> None:
    """After compaction no key does either; whatever happens to her next, and wherever the writing of it ended."""
    erase = [
        ContactUpdate("crm", f"e{at}", "contact.erased", START_MS + at, "c1", None, None, None, {}, erased=True)
        for at in (10, 30)
    ]
    back = ContactUpdate("crm", "b", "contact.updated", START_MS + 20, "c1", False, None, None, {})
    life: list[tuple[str, Purchase | ContactUpdate, bool]] = [
        (PURCHASES.name, purchase("p", "order.delivered", START_MS), True),
        (CONTACTS.name, erase[0], False),
        (PURCHASES.name, purchase("older", "order.delivered", START_MS + 5), False),
        (CONTACTS.name, back, True),
        (CONTACTS.name, erase[1], False),
    ]
    one, written = processor(), list[KafkaRecord]()
    for offset, (topic, event, is_named) in enumerate(life):
        outputs = one.decide(batch_of(topic, [record(event, offset, event.time)]))
        before, expected = one.journeys.get(KEY), processor()
        for output in durable(one, outputs).partitions[JOURNEYS, 3]:
            written.append(KafkaRecord(len(written), 0, output.key, output.value))
            expected = restored(written)
            assert expected.journeys.get(KEY) in (before, one.journeys.get(KEY)), "no crash leaves none of the two"
        assert expected.journeys.get(KEY) == one.journeys.get(KEY)
        assert len(expected.journeys) == len(one.journeys) == 1
        lives = {each.key: each.value for each in written}
        texts = b"|".join(part for key, value in lives.items() if value is not None for part in (key or b"", value))
        assert (b"c1" in texts) == is_named


def restored(records: Iterable[KafkaRecord]) -> PartitionProcessor:
    """A processor with these records of nps.journeys read back."""
    one = processor()
    for each in records:
        one.journeys.restore(each)
    return one


def test_who_must_be_woken() -> None:
    """A customer is named when something is due, not at all before, and again only when nothing came of it."""
    one = processor()
    durable(one, one.decide(batch_of(RESPONSES.name, [record(response("a", START_MS, 9, survey="?"), 0)])))
    due_ms = START_MS + HOUR_MS
    assert one.due(due_ms - 1_000, due_ms, 10) == []
    assert one.due(due_ms, due_ms, 10) == [KEY]
    assert one.due(due_ms, due_ms + AGAIN_MS - 1, 10) == []
    assert one.due(due_ms, due_ms + AGAIN_MS, 10) == [KEY]
    wakeup = record(Wakeup("c1", due_ms), 0, due_ms)
    durable(one, one.decide(batch_of(WAKEUPS.name, [wakeup], due_ms)))
    assert one.due(due_ms, due_ms + 2 * AGAIN_MS, 10) == []


def test_a_record_in_a_partition_that_its_key_does_not_belong_to_is_put_right() -> None:
    """Once: value, key, time and headers as they came, with one header more; in the right partition it is taken."""
    partitions = 12
    right = partition_of(KEY, partitions)
    wrong = (right + 1) % partitions
    in_wrong, in_right = (
        PartitionProcessor(number, OPEN, CODEC, len, partitions=partitions) for number in (wrong, right)
    )
    outputs = in_wrong.decide(batch_of(PURCHASES.name, [GOOD]))
    (moved,) = outputs.records
    header = (MOVED_HEADER, str(wrong).encode())
    assert moved == Output(PURCHASES.name, GOOD.value, KEY, right, GOOD.timestamp, (*GOOD.headers, header))
    assert (outputs.journeys, outputs.tally[metrics.EVENTS_MOVED, PURCHASES.name]) == ({}, 1)
    again = GOOD._replace(headers=moved.headers)
    assert len(published(in_right.decide(batch_of(PURCHASES.name, [again])), DECISIONS.name)) == 1
    (letter,) = in_wrong.decide(batch_of(PURCHASES.name, [again])).records
    assert unwrap(letter.headers)[1].reason == Reason.WRONG_KEY


def test_a_record_that_no_dead_letter_can_hold_ends_no_worker() -> None:
    """Its first MiB is kept, and where the whole lies; neighbours are unaffected."""
    huge = GOOD._replace(value=b"x" * 9_000_000, offset=1)
    outputs = processor().decide(batch_of(PURCHASES.name, [GOOD, huge]))
    (letter,) = published(outputs, DEAD_LETTERS)
    _, death = unwrap(letter.headers)
    assert (letter.value, death.reason, death.offset) == (b"x" * 1_048_576, Reason.TOO_LARGE, 1)
    assert death.detail.endswith("the first 1048576 of 9000000 bytes")
    assert len(published(outputs, DECISIONS.name)) == 1
