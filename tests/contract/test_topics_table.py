"""The topic table: what correctness depends on, in one place."""

from schemas import topics
from schemas.events import RECORDS
from schemas.topics import BY_NAME, CONTACTS, DAY_MS, FOR_EVER, INBOUND, INBOUND_RECORDS, TOPICS, WAKEUPS


def test_names() -> None:
    """Each once, all under `nps.`."""
    assert len(BY_NAME) == len(TOPICS) == len({topic.name for topic in TOPICS})
    assert all(topic.name.startswith("nps.") for topic in TOPICS)


def test_every_record_travels_on_one_topic() -> None:
    """No record without a topic, none on two."""
    carried = [topic.record for topic in TOPICS if topic.record is not None]
    assert len(carried) == len(RECORDS)
    assert set(carried) == set(RECORDS)


def test_customers_side_is_keyed_by_customer() -> None:
    """So all that is known of one customer meets in one partition; the operator's partition count holds for all."""
    customers = [topic for topic in TOPICS if topic.key == "customer_id"]
    assert set(INBOUND) <= set(customers)
    assert all(topic.partitions is None for topic in customers)
    for topic in customers:
        assert topic.record is None or "customer_id" in topic.record._fields
    assert {topic.name: topic.record for topic in INBOUND} == INBOUND_RECORDS


def test_order_of_inbound_topics_is_part_of_the_state() -> None:
    """A journey keeps one offset for each, in this order: append, never reorder."""
    assert [topic.name for topic in INBOUND[:5]] == [
        "nps.purchases", "nps.support", "nps.contacts", "nps.responses", "nps.wakeups"
    ]  # fmt: skip


def test_state_is_compacted_and_events_expire() -> None:
    """State keeps the last value of each key for ever; events are kept so long that a rebuild can read them."""
    assert {topic.name for topic in TOPICS if topic.compacted} == {
        "nps.journeys",
        "nps.panes",
        "nps.rolling",
        "nps.incidents",
        "nps.deliveries",
        "nps.falls",
        "nps.links",
        "nps.unlinked",
    }
    for topic in TOPICS:
        assert topic.config["cleanup.policy"] == ("compact" if topic.compacted else "delete")
        assert topic.config["retention.ms"] == str(topic.retention_ms or -1)
        assert topic.config["message.timestamp.type"] == "CreateTime"
    longest_window_ms = 90 * DAY_MS
    for topic in INBOUND:
        if topic is not topics.CONTACTS:
            assert (topic.retention_ms or 0) > longest_window_ms


def test_contacts_are_kept_for_ever() -> None:
    """An opt-out holds until it is taken back, and the newest statement on each matter is found among all of them."""
    assert topics.CONTACTS.retention_ms == topics.FOR_EVER
    assert not topics.CONTACTS.compacted


def test_wakeups_are_kept_as_long_as_what_they_are_about() -> None:
    """State rebuilt from the topics is what it was."""
    assert topics.WAKEUPS.retention_ms == topics.PURCHASES.retention_ms == topics.RESPONSES.retention_ms


def test_a_rebuild_finds_its_inputs() -> None:
    """Contacts are kept for ever, wakeups as long as the triggers and answers they belong to; none is compacted."""
    kept = {topic: topic.retention_ms for topic in INBOUND}
    assert kept.pop(CONTACTS) == FOR_EVER
    assert kept[WAKEUPS] == max(retention or 0 for retention in kept.values())
    assert len(set(kept.values())) == 1
    assert {topic.config["cleanup.policy"] for topic in INBOUND} == {"delete"}
