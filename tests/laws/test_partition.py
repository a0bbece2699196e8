"""Laws of a batch through one partition: neighbours of a bad record are unaffected, and cuts do not show."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import Decision, Wakeup
from schemas.events import Record as Event
from schemas.topics import (
    DEAD_LETTERS,
    DECISIONS,
    PURCHASES,
    RESPONSES,
    SUPPORT,
    WAKEUPS,
)
from sinks.rows import TABLES
from streams.domain.ids import survey_id
from streams.domain.nps import Tally
from streams.domain.panes import HOUR_MS, MINUTE_MS, Pane
from streams.kafka.ports import KafkaRecord, Output
from streams.processing.outputs import BatchOutputs
from streams.processing.partition import PartitionProcessor
from tests.support.histories import CUSTOMER, START_MS, case, program, purchase, response, rule
from tests.support.laws import examples
from tests.support.partition import BAD, CODEC, batch_of, durable, processor, published, record
from tests.support.warehouses import memory_warehouse


@settings(max_examples=examples(60))
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
    outputs = processor().decide(batch_of(PURCHASES.name, records))
    wanted = processor().decide(batch_of(PURCHASES.name, good)).records if good else []
    assert [output for output in outputs.records if output.topic != DEAD_LETTERS] == wanted
    assert len(published(outputs, DEAD_LETTERS)) == len(records) - len(good)
    bad = [position for position, name in enumerate(batch) if isinstance(name, str) and name != "late"]
    assert [position for position, _ in outputs.bad] == bad, "what the fuse is told"


CUSTOMERS = st.sampled_from(["c1", "c2"])


@settings(max_examples=examples(60))
@given(
    st.lists(st.tuples(CUSTOMERS, st.integers(0, 4)), min_size=1, max_size=12),
    st.lists(st.tuples(CUSTOMERS, st.integers(0, 4), st.integers(0, 10)), min_size=1, max_size=12),
)
def test_pieces_do_not_show(bought: list[tuple[str, int]], said: list[tuple[str, int, int]]) -> None:
    """Blocks lead to the same however they are cut into pieces: outputs, panes, journeys, and who is woken when."""
    events: dict[str, list[Event]] = {
        PURCHASES.name: [purchase(f"{name}{n}", "order.delivered", START_MS, name) for name, n in bought],
        RESPONSES.name: [
            response(f"r{place}", START_MS + place, score, survey_id(name, "shop", f"{name}{n}", "r"))
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
    expected = in_chunks(100, batches)
    for size in (1, 2, 5):
        assert in_chunks(size, batches) == expected


def in_chunks(size: int, batches: dict[str, list[KafkaRecord]]) -> tuple[list[BatchOutputs], list[bytes]]:
    """What batches lead to in chunks of this size, and who is due in the end."""
    one = processor()
    all_outputs = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streams.processing.partition.CHUNK_RECORDS", size)
        for topic, records in batches.items():
            all_outputs.append(one.decide(batch_of(topic, records)))
            durable(one, all_outputs[-1])
    return all_outputs, one.due(START_MS + 400 * 24 * HOUR_MS, 0, 100)


@settings(max_examples=examples(40))
@given(st.lists(st.integers(0, 10), min_size=1, max_size=20), st.integers(1, 20))
def test_batch_size_changes_nothing(scores: Sequence[int], size: int) -> None:
    """The same records in batches of any size leave the same panes and publish the same."""
    events: list[Event] = [purchase(f"p{n}", "order.delivered", START_MS) for n in range(len(scores))]
    whole, parts = run_in_batches(events, scores, len(scores)), run_in_batches(events, scores, size)
    assert whole == parts


def run_in_batches(events: list[Event], scores: Sequence[int], size: int) -> tuple[list[Output], dict[Pane, Tally]]:
    """All that is published, and the panes that are left."""
    one, published, panes = processor(), list[Output](), dict[Pane, Tally]()
    answers = [response(f"r{n}", START_MS + n, score, survey=survey_id(CUSTOMER, "shop", f"p{n}", "r")) for n, score in
               enumerate(scores)]  # fmt: skip
    for topic, all_events in ((PURCHASES.name, events), (RESPONSES.name, answers)):
        records = [record(event, offset) for offset, event in enumerate(all_events)]
        for start in range(0, len(records), size):
            outputs = one.decide(batch_of(topic, records[start : start + size]))
            published += outputs.records
            panes |= {pane: value.tally for pane, value in outputs.panes.items()}
            durable(one, outputs)
    return published, panes


@settings(max_examples=examples(40))
@given(st.integers(0, 2), st.integers(0, 2), st.booleans(), st.lists(st.booleans(), min_size=1, max_size=6))
def test_a_pending_decision_never_beats_a_final_one(
    bought: int, woken: int, is_cancelled: bool, arrivals: list[bool]
) -> None:
    """At the very first offsets too, whatever comes again behind what: a store of newest rows keeps the final one."""
    asks = program(rules=[rule("r", "s", "order.delivered", HOUR_MS, ["case.reopened"])], quarantine_ms=0)
    one = PartitionProcessor(3, asks, CODEC, lambda _: 0)
    first = one.decide(batch_of(PURCHASES.name, [record(purchase("p", "order.delivered", START_MS), bought)]))
    durable(one, first)
    if is_cancelled:
        topic, event = SUPPORT.name, case("k", "case.reopened", START_MS + MINUTE_MS, "o1")
        last = one.decide(batch_of(topic, [record(event, woken, START_MS + MINUTE_MS)]))
    else:
        wakeup = record(Wakeup(CUSTOMER, START_MS + HOUR_MS), woken, START_MS + HOUR_MS)
        last = one.decide(batch_of(WAKEUPS.name, [wakeup]))
    (pending,), (final,) = published(first, DECISIONS.name), published(last, DECISIONS.name)
    store, columns = memory_warehouse(), TABLES[DECISIONS.name].columns
    for is_final in [*arrivals, True, *arrivals]:
        row = (*CODEC.decode(Decision, (final if is_final else pending).value), DECISIONS.name, 3, 0, 0)
        store.insert("decisions", columns, [row])
    (kept,) = store.rows("decisions")
    assert kept["outcome"] == ("suppressed" if is_cancelled else "sent")
