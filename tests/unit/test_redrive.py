"""Which dead letters may be put back, which wait and why, and how much of them is held in memory."""

import json
import tracemalloc
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from schemas.codec import Codec
from schemas.deadletters import Death, Header, identify
from schemas.event_json import BadEvent
from schemas.events import Answer, Erasure, PaneTally, Record, SurveyResponse, Wakeup
from schemas.topics import (
    HISTORY_HEADER,
    LARGEST_EVENT_BYTES,
    LETTER_HEADER,
    MAPPED_AT_HEADER,
    MOVED_HEADER,
    ORIGIN_HEADER,
    TOPICS,
    key_of,
)
from sinks.erasure.customers import ErasedCustomers
from sinks.rows import digest
from streams.commands import corrections, fates
from streams.commands.deadletters import newest_of
from streams.commands.fates import Fate, Fates
from streams.commands.letters import Letter
from streams.commands.redrive import ActedOn, Keep, PutBack
from streams.commands.remapping import Remapping
from streams.domain.panes import DAY_MS
from streams.intake import accept
from streams.kafka.ports import KafkaRecord
from streams.program import parse
from streams.sources.evaluation import link_key
from streams.sources.links import Links
from streams.sources.mapper import Mapper, TaughtLink
from streams.sources.process import SourceWriter
from streams.sources.reading import read
from tests.support.histories import START_MS, purchase, response, told
from tests.support.programs import program
from tests.support.redriving import NOBODY, judge_of

CODEC = Codec()
PROGRAM = parse(program({"delay": "1h", "send_within": "1d"}), "test.toml")
NOW_MS = START_MS + DAY_MS
JUDGE = judge_of(PROGRAM, CODEC, NOW_MS)
SAID = response("r1", START_MS, 9)
BOUGHT = purchase("p1", "order.delivered", START_MS)


def letter(
    event: Record | bytes | None, reason: str = "placeholder", topic: str | None = None, at_ms: int = START_MS,
    key: bytes | None = b"c1", headers: tuple[Header, ...] = (),
) -> Letter:  # fmt: skip
    """A dead letter of an event or of bytes."""
    value = event if isinstance(event, bytes | None) else CODEC.encode(event)
    name = topic or next(one.name for one in TOPICS if one.record is type(event))
    death = Death(reason, "", name, 2, 7, at_ms)
    return Letter(5, at_ms + 1, identify(headers, death), death, key, value, headers)


def put(one: Letter, judge: object = JUDGE) -> PutBack:
    """The verdict, which is to put it back."""
    verdict = judge(one)  # type: ignore[operator]
    assert isinstance(verdict, PutBack), verdict
    return verdict


def test_a_letter_goes_where_it_lay_as_it_was() -> None:
    """Topic, value, key, headers and Kafka timestamp; the one header more says which letter it is."""
    headers: tuple[Header, ...] = (("trace", b"\x00\xff"), (MOVED_HEADER, b"3"), ("empty", None))
    one = letter(SAID, headers=headers)
    output = put(one).outputs[0]
    assert output[:5] == ("nps.responses", one.value, b"c1", -1, START_MS)
    assert output.headers == [*headers, (LETTER_HEADER, f"{one.identity.letter_id}/1".encode())]


@pytest.mark.parametrize("key", [None, b"c2", b"\xff"])
@pytest.mark.parametrize("reason", ["wrong_key", "placeholder"])
def test_another_key_is_made_the_customers(key: bytes | None, reason: str) -> None:
    """The reason need not say so: of two faults a death names one."""
    assert put(letter(SAID, reason, key=key)).outputs[0].key == b"c1"


def row(record: Record) -> Letter:
    """A row's record that ClickHouse refused."""
    return letter(record, "refused_by_warehouse", key=key_of(record))


ROW = {"segments": ["all"], "customer_id": "c1"}
ANSWER = Answer("s", "c1", "s", "r", "o", "t", "i", 1, 9, "promoter", None, True, None, 1, 1, 1, ["all"], {}, "p", 1)
PANE = PaneTally("all", "minute", 0, 0, 1, 0, 0, "p", 1)
KEPT = {
    "a request to the collector": (letter(b"x", "forged_token", "nps.collector"), "was a request to the collector"),
    "a record of another program": (letter(b"x", "unlabelled", "nps.dead-letters"), "does not say where it lay"),
    "a foreign topic": (letter(b"x", "missing_field", "shop.orders"), "lay on shop.orders: name the mapping file"),
    "state": (row(PANE), "lay on nps.panes, where an old record would take the place of newer ones"),
    "a wakeup": (letter(Wakeup("c1", 1)), "lay on nps.wakeups"),
    "bytes that are nothing": (letter(b"junk", "undecodable", "nps.responses"), "would die again: undecodable"),
    "no value": (letter(None, "no_value", "nps.responses"), "would die again: no_value"),
    "a score that is none": (letter(SAID._replace(score=11)), "would die again: invalid_score"),
    "another type": (letter(CODEC.encode(BOUGHT), topic="nps.responses"), "would die again: wrong_type"),
    "too late": (letter(SAID._replace(time=START_MS - 8 * DAY_MS)), "would die again: too_late"),
    "a zone that is none": (letter(told("u", START_MS, time_zone="Mars")), "would die again: invalid_contact"),
    "too old": (letter(SAID, at_ms=NOW_MS - 114 * DAY_MS), "is so old that a copy of it would not be known"),
    "an old trigger": (letter(BOUGHT, at_ms=NOW_MS - 114 * DAY_MS), "is so old that a copy of it would not be known"),
    "a stranger's row": (letter(b"x", "undecodable", "nps.answers"), "would die again: undecodable"),
    "an old row": (letter(ANSWER, at_ms=NOW_MS - 31 * DAY_MS, key=key_of(ANSWER)), "is so old"),
}  # fmt: skip


@pytest.mark.parametrize(("one", "why"), KEPT.values(), ids=KEPT)
def test_what_may_not_go_back_waits(one: Letter, why: str) -> None:
    """With the reason for it."""
    verdict = JUDGE(one)
    assert isinstance(verdict, Keep)
    assert verdict.why.startswith(why)


@pytest.mark.parametrize("topic", [one for one in TOPICS if one.compacted or one.name == "nps.dispatches"])
def test_no_record_of_state_goes_back(topic: object) -> None:
    """An old tally as the newest of its key would be restored; an old dispatch would ask somebody again."""
    verdict = JUDGE(letter(b"x", "wrong_key", getattr(topic, "name", "")))
    assert isinstance(verdict, Keep)
    assert "where an old record would take the place of newer ones" in verdict.why


def test_rows_go_back_to_their_topic() -> None:
    """What ClickHouse refused is read by the sink once more, and replaces itself."""
    assert put(row(ANSWER)).outputs[0].topic == "nps.answers"


def test_contacts_are_never_too_old() -> None:
    """A withdrawal that lay dead for months is still one; what was said later holds against it."""
    update = told("u", NOW_MS - 300 * DAY_MS, opted_out=True)
    assert put(letter(update, at_ms=NOW_MS - 300 * DAY_MS)).outputs[0].topic == "nps.contacts"


# erasure


@pytest.mark.parametrize(("until_ms", "goes"), [(START_MS - 1, True), (START_MS, False), (START_MS + 9, False)])
def test_what_came_before_an_erasure_stays_dead(until_ms: int, goes: bool) -> None:
    """Until then nothing of the customer comes back into Kafka; what happened after it is a new customer's."""
    for event in (SAID, BOUGHT, told("u", START_MS)):
        verdict = judge_of(PROGRAM, CODEC, NOW_MS, {"c1": until_ms})(letter(event))
        assert isinstance(verdict, PutBack) == goes
        assert goes or verdict == Keep("is about a customer who was erased")


def test_a_record_from_before_the_erasure_that_came_after_it_stays_dead() -> None:
    """The event's own time counts, too, and so does the customer in its key."""
    erased = judge_of(PROGRAM, CODEC, NOW_MS, {"c1": START_MS, "c2": START_MS})
    for one in (letter(SAID, at_ms=START_MS + 1_000), letter(SAID._replace(customer_id="c3"), "wrong_key", key=b"c2")):
        assert erased(one) == Keep("is about a customer who was erased")


def test_an_erasure_itself_goes_back() -> None:
    """The update that asks for it, and the record by which rows are emptied."""
    erased = judge_of(PROGRAM, CODEC, NOW_MS, {"c1": NOW_MS})
    record = Erasure("e", "c1", "crm", "u", START_MS, START_MS, "p", 1)
    assert put(letter(told("u", START_MS, erased=True)), erased).outputs[0].topic == "nps.contacts"
    assert put(row(record), erased).outputs[0].topic == "nps.erasures"


# foreign letters

SHOP = """name = "shop"
topic = "shop.orders"
otherwise = "ignore"
[[events]]
to = "purchases"
when = { "/done" = true }
each = "/orders"
source = "shop"
id = "./id"
type = "order.delivered"
time = { at = "./at", as = "millis" }
customer_id = "./customer"
order_id = "./id"
"""


def remapped(text: str, *orders: object, erased: Mapping[str, int] = NOBODY, files: int = 1) -> PutBack | Keep:
    """The verdict on a letter of these orders, with this file in force."""
    mappers = [Mapper(read(text.encode(), f"shop{number}.toml")) for number in range(files)]
    judge = replace(judge_of(PROGRAM, CODEC, NOW_MS, erased), remap=Remapping(mappers, CODEC, lambda: NOW_MS))
    value = json.dumps({"done": True, "orders": orders}).encode()
    return judge(letter(value, "missing_field", "shop.orders", key=b"theirs", headers=(("by", b"them"),)))


def order(number: int, customer: str | None = "c1", at_ms: int = START_MS) -> dict[str, object]:
    """An order of the shop."""
    return {"id": f"o{number}", "at": at_ms, "customer": customer}


def test_a_foreign_letter_goes_back_as_the_events_that_a_first_mapping_would_have_made() -> None:
    """Topic, key, value, headers and Kafka timestamp are those of the source's own process."""
    mapper = Mapper(read(SHOP.encode(), "shop0.toml"))
    value = json.dumps({"done": True, "orders": [order(1), order(2, "c2")]}).encode()
    first, _ = SourceWriter(mapper, CODEC).outputs_of(KafkaRecord(7, START_MS, b"theirs", value), 2, NOW_MS)
    verdict = remapped(SHOP, order(1), order(2, "c2"))
    assert isinstance(verdict, PutBack)
    assert [output._replace(headers=tuple(output.headers)) for output in verdict.outputs] == first
    assert dict(first[0].headers)[MAPPED_AT_HEADER] == str(NOW_MS).encode()
    assert dict(first[0].headers)[ORIGIN_HEADER] == f"shop.orders 2 7 {mapper.mapping.hash}".encode()


FOREIGN_KEPT = {
    "no customer": (remapped(SHOP, order(1), order(2, None)), "would die again: missing_field: shop0.toml:12"),
    "too late": (remapped(SHOP, order(1, at_ms=START_MS - 300 * DAY_MS)), "would die again: too_late"),
    "ignored now": (remapped(SHOP.replace("true", "false"), order(1)), "is ignored by shop0.toml now: drop it"),
    "another topic": (remapped(SHOP.replace("shop.o", "o"), order(1)), "lay on shop.orders: name the mapping file"),
    "two files": (remapped(SHOP, order(1), files=2), "lay on shop.orders, which several of the files read"),
    "erased": (remapped(SHOP, order(1), erased={"c1": NOW_MS}), "is about a customer who was erased"),
}  # fmt: skip


@pytest.mark.parametrize(("verdict", "why"), FOREIGN_KEPT.values(), ids=FOREIGN_KEPT)
def test_a_foreign_letter_that_does_not_map_waits_with_its_new_reason(verdict: object, why: str) -> None:
    """Nothing of it is sent."""
    assert isinstance(verdict, Keep)
    assert verdict.why.startswith(why)


def test_a_letter_whose_link_came_later_goes_back() -> None:
    """It was given up before its order was known; what its own record teaches goes along."""
    text = SHOP.replace('"./customer"', '{ link = "order", of = "./id" }')
    text += '[[links]]\nlink = "case"\neach = "/orders"\nof = "./id"\ncustomer_id = "./customer"\n'
    links = Links(CODEC, ErasedCustomers(), digest)
    mapper = Mapper(read(text.encode(), "shop.toml"), customer_of=links.customer_of)
    judge = replace(JUDGE, remap=Remapping([mapper], CODEC, lambda: NOW_MS, links))
    value = json.dumps({"done": True, "orders": [order(1)]}).encode()
    one = letter(value, "unknown_customer", "shop.orders")
    verdict = judge(one)
    assert isinstance(verdict, Keep)
    assert verdict.why.startswith("would die again: unknown_customer: shop.toml:12: purchases.customer_id: no customer")
    links.teach([TaughtLink(link_key("order", "o1", b""), "c9")], "orders", START_MS)
    verdict = judge(one)
    assert isinstance(verdict, PutBack)
    case = link_key("case", "o1", b"").encode()
    assert [(output.topic, output.key) for output in verdict.outputs] == [("nps.purchases", b"c9"), ("nps.links", case)]


def test_of_a_foreign_letter_the_erased_customers_are_left_out() -> None:
    """The others of its record were not erased."""
    verdict = remapped(SHOP, order(1), order(2, "c2"), erased={"c1": NOW_MS})
    assert isinstance(verdict, PutBack)
    assert [output.key for output in verdict.outputs] == [b"c2"]


# triggers


def test_a_trigger_that_is_too_late_is_counted_and_asked_as_history() -> None:
    """A day and an hour after it its survey is missed, unless it is put back as history."""
    assert not put(letter(BOUGHT)).is_missed
    late = judge_of(PROGRAM, CODEC, NOW_MS + 2 * DAY_MS)
    assert put(letter(BOUGHT), late).is_missed
    assert not put(letter(SAID), late).is_missed
    assert not put(letter(BOUGHT, headers=((HISTORY_HEADER, b"1"),)), late).is_missed
    history = replace(late, as_history=True)
    assert put(letter(BOUGHT), history).outputs[0].headers[-1][0] == HISTORY_HEADER
    assert not put(letter(BOUGHT), history).is_missed
    assert HISTORY_HEADER not in dict(put(letter(SAID), history).outputs[0].headers)


def test_no_header_of_ours_makes_a_record_too_large() -> None:
    """A record of just the largest size goes back, and is taken."""
    bare = letter(SAID)
    room = LARGEST_EVENT_BYTES - len(bare.value or b"") - len(b"c1") - len("trace")
    output = put(letter(SAID, headers=(("trace", b"x" * room),))).outputs[0]
    record = KafkaRecord(0, START_MS, output.key, output.value, output.headers)
    assert accept(CODEC, SurveyResponse, record, NOW_MS, PROGRAM.is_placeholder) == SAID


# corrections


def line(one: Letter, **changed: object) -> corrections.CorrectedLine:
    """The line of a letter, some of its fields changed; None takes one away."""
    fields = {**json.loads(corrections.as_line(one, CODEC)), **changed}
    text = json.dumps({name: value for name, value in fields.items() if value is not ...})
    return corrections.read([text, "\n"], "f.jsonl")[5]


def test_a_corrected_letter_takes_the_place_of_its_own() -> None:
    """Headers, time and letter stay; value and key are those of the corrected event."""
    one = letter(SAID._replace(score=11, customer_id="c2"), "invalid_score", headers=(("trace", b"1"),))
    output = put(corrections.corrected(one, line(one, score=10), CODEC)).outputs[0]
    assert CODEC.decode(SurveyResponse, output.value) == SAID._replace(score=10, customer_id="c2")
    assert (output.key, output.timestamp_ms, output.headers[0]) == (b"c2", START_MS, ("trace", b"1"))


def test_what_cannot_be_read_is_written_anew() -> None:
    """JSON on an Avro topic: the line shows the text, which gives way to the event."""
    one = letter(b'{"score": 9}', "undecodable", "nps.responses")
    assert line(one).fields["unreadable"] == '{"score": 9}'
    fields = {name: value for name, value in SAID._asdict().items() if value is not None}
    assert put(corrections.corrected(one, line(one, unreadable=..., **fields), CODEC)).outputs[0].value == CODEC.encode(
        SAID
    )


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"id": "r2"}, "f.jsonl:1: id was 'r1' and must stay"),
        ({"source": "other"}, "f.jsonl:1: source was 'tool' and must stay"),
        ({"topic": "purchases"}, "f.jsonl:1: letter 5 lay on responses, not on 'purchases'"),
        ({"score": "9"}, "f.jsonl:1: Expected"),
        ({"scor": 9}, "f.jsonl:1: Object contains unknown field `scor`"),
        ({"customer_id": " "}, "f.jsonl:1: expected a text that is not empty"),
    ],
)
def test_a_line_that_is_no_correction_names_its_place(changed: dict[str, object], says: str) -> None:
    """File, line and field."""
    one = letter(SAID)
    with pytest.raises(BadEvent) as raised:
        corrections.corrected(one, line(one, **changed), CODEC)
    assert str(raised.value).startswith(says)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "f.jsonl:1: not JSON"), ("[]", "f.jsonl:1: expected a JSON object"), ("{}", "f.jsonl:1: expected the"),
        ('{"letter": true}', "f.jsonl:1: expected the letter's number"), ('{"letter": -1}', "f.jsonl:1: expected the"),
        ('{"letter": 1}\n{"letter": 1}', "f.jsonl:2: letter 1 is corrected in f.jsonl:1 already"),
        ("[" * 100_000, "f.jsonl:1: "), ('{"letter": 1, "a": "' + "x" * 1_100_000 + '"}', "f.jsonl:1: is longer than"),
    ],
)  # fmt: skip
def test_lines_that_are_none_name_their_place(text: str, says: str) -> None:
    """No line ends the command with a traceback."""
    with pytest.raises(BadEvent) as raised:
        corrections.read(text.splitlines(), "f.jsonl")
    assert str(raised.value).startswith(says)


def test_only_events_are_corrected() -> None:
    """Rows and wakeups are not written by people."""
    with pytest.raises(BadEvent, match="no event is written there"):
        corrections.corrected(row(ANSWER), corrections.CorrectedLine("f:1", 5, {}), CODEC)


# bounds


def test_a_list_holds_no_record() -> None:
    """A thousand letters of a megabyte, as many of them listed: what is kept is a line of each."""
    death = Death("undecodable", "d" * 9_999, "t" * 9_999, 0, 0, 1)

    def many() -> Iterator[Letter]:
        for offset in range(1_000):
            one = replace_place(death, offset)
            yield Letter(offset, 1, identify((), one), one, b"k" * 1_000, bytes(1_000_000), (("h", bytes(1_000)),))

    tracemalloc.start()
    try:
        count, newest = newest_of(many(), 1_000, Fates())
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == len(list(newest)) == 1_000
    assert peak_bytes < 20_000_000


def replace_place(death: Death, offset: int) -> Death:
    """The death at another offset."""
    return replace(death, offset=offset)


def test_kinds_are_bounded() -> None:
    """Strangers may write topics and reasons without end: a thousand are told apart, and none is long."""
    figures = ActedOn()
    for number in range(5_000):
        figures.count(f"topic {number}", "r" * 9_999, "kept")
    assert len(figures.letters) == 1_001
    assert figures.letters.total() == 5_000
    assert max(map(len, (word for kind in figures.letters for word in kind))) == 256


def test_fates_are_bounded_and_the_newest_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight bytes each; beyond the bound the oldest half goes."""
    monkeypatch.setattr(fates, "MOST_FATES", 1_000)
    known = Fates()
    names = [identify((), Death("r", "", "t", 0, offset, 1)) for offset in range(10_000)]
    for name in names:
        known.add(name, Fate.REDRIVEN)
    known.sort()
    assert sum(map(len, known._keys.values())) <= 1_000
    assert all(known.of(name) is Fate.REDRIVEN for name in names[-500:])
    assert known.of(names[0]) is Fate.WAITING


def test_each_death_has_its_own_fate() -> None:
    """The first was put back, the second dropped, of the third nothing is known."""
    known, first = Fates(), identify((), Death("r", "", "t", 0, 0, 1))
    known.add(first, Fate.REDRIVEN)
    known.add(first._replace(number=1), Fate.DROPPED)
    known.sort()
    assert [known.of(first._replace(number=n)) for n in range(3)] == [Fate.REDRIVEN, Fate.DROPPED, Fate.WAITING]
