"""A rehearsal replays what lies in the topics through another program, and sends nothing."""

from dataclasses import replace

from schemas.codec import Codec
from schemas.events import ContactUpdate, Purchase
from schemas.topics import CONTACTS, DECISIONS, INBOUND_RECORDS, PURCHASES
from streams.domain.panes import DAY_MS
from streams.kafka.memory import MemoryLog
from streams.kafka.ports import Output
from streams.processing.replay import TOPICS
from streams.proof.rehearse import Comparison, newest_program, rehearse
from tests.support.histories import START_MS, program, rule
from tests.support.ledger_rows import DECIDED

CODEC = Codec()
RULES = (rule("after-delivery", "delivery", "order.delivered", DAY_MS, ["order.returned"]),)
STRICT = program(RULES, quarantine_ms=90 * DAY_MS)
LOOSE = program(RULES, quarantine_ms=30 * DAY_MS)
NOW_MS = START_MS + 100 * DAY_MS


def delivered(customer: str, id_: str, day: int) -> Purchase:
    """An order of a customer is delivered on a day."""
    return Purchase("shop", id_, "order.delivered", START_MS + day * DAY_MS, customer, id_, None, None, {})


def log_of(*events: Purchase | ContactUpdate) -> MemoryLog:
    """These events on one partition, each at its own time."""
    log = MemoryLog()
    topics = {record: topic for topic, record in INBOUND_RECORDS.items()}
    for event in events:
        log.send_all([Output(topics[type(event)], CODEC.encode(event), event.customer_id.encode(), 0, event.time)])
    return log


def compare(log: MemoryLog, from_ms: int = 0) -> Comparison:
    """90 days of quarantine against 30."""
    return rehearse(dict.fromkeys(TOPICS, log), 1, CODEC, (STRICT, LOOSE), from_ms, NOW_MS)


def test_a_shorter_quarantine_asks_those_who_came_back() -> None:
    """One who came back after 40 days would have been asked again; one who came once is not affected."""
    found = compare(log_of(delivered("a", "a1", 0), delivered("b", "b1", 5), delivered("a", "a2", 40)))
    assert {name: (was, becomes) for name, was, becomes in found.rows()} == {
        "sent by after-delivery": (2, 3),
        "sent in all": (2, 3),
        "reminders": (0, 0),
        "suppressed: asked_recently": (1, 0),
        "suppressed in all": (1, 0),
        "still pending": (0, 0),
        "customers asked": (2, 2),
    }
    assert (found.changed, found.affected, found.events) == (1, 1, 3)


def test_only_decisions_since_the_moment_are_compared() -> None:
    """What lies before is replayed, because it decides about what follows, but not counted."""
    found = compare(log_of(delivered("a", "a1", 0), delivered("a", "a2", 40)), START_MS + 30 * DAY_MS)
    assert (found.before.dispatches.total(), found.after.dispatches.total()) == (0, 1)
    assert found.before.suppressed == {"asked_recently": 1}


def test_what_is_not_yet_due_is_pending() -> None:
    """A survey due tomorrow is neither sent nor suppressed."""
    found = compare(log_of(delivered("a", "a1", 100)))
    assert (found.before.pending, found.before.dispatches.total(), found.changed) == (1, 0, 0)


def test_a_reminder_is_no_further_survey() -> None:
    """Whoever is reminded was asked once; the reminders are counted beside."""
    reminds = program([replace(RULES[0], reminders=1, remind_after_ms=DAY_MS)], quarantine_ms=90 * DAY_MS)
    found = rehearse(dict.fromkeys(TOPICS, log_of(delivered("a", "a1", 0))), 1, CODEC, (STRICT, reminds), 0, NOW_MS)
    assert (found.before.dispatches.total(), found.after.dispatches.total()) == (1, 1)
    assert (found.before.reminders, found.after.reminders) == (0, 1)


def test_topics_are_merged_by_time() -> None:
    """An opt-out on another topic holds from its own time on: the second order asks nobody."""
    out = ContactUpdate("crm", "u1", "contact.updated", START_MS + 20 * DAY_MS, "a", True, None, None, {})
    found = compare(log_of(delivered("a", "a1", 0), delivered("a", "a2", 40), out))
    assert found.after.dispatches.total() == 1
    assert found.after.suppressed == {"opted_out": 1}


def test_the_topics_are_read_alone_and_poison_is_passed_over() -> None:
    """Nothing is written, and what is no event changes nothing."""
    log = log_of(delivered("a", "a1", 0))
    log.send_all([Output(PURCHASES.name, b"junk", b"a", 0, START_MS), Output(CONTACTS.name, None, b"a", 0, START_MS)])
    before = {part: list(records) for part, records in log.partitions.items()}
    assert compare(log).before.dispatches.total() == 1
    assert log.partitions == before


def test_the_newest_decision_names_its_program() -> None:
    """By the time at which it was written, whatever was decided, in whatever partition; a stranger's is passed over."""
    log = MemoryLog()
    assert newest_program(log, 2, CODEC) is None
    for number, (partition, hash_) in enumerate([(0, "first"), (1, "second"), (0, "third")]):
        made = DECIDED._replace(program=hash_, decided_ms=10**12 - number)
        value = CODEC.encode(made)
        log.send_all([Output(DECISIONS.name, value, made.customer_id.encode(), partition, START_MS + number)])
    log.send_all([Output(DECISIONS.name, b"junk", b"a", 1, START_MS + DAY_MS)])
    assert newest_program(log, 2, CODEC) == "third"
