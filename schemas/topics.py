"""Topic table: every topic of the pipeline with its record, key, partitions and retention.

The topics of the customer's side are keyed by `customer_id` and share one partition count and the Java default
partitioner (murmur2), so that all that is known of one customer lies in one partition.  `nps.panes` and `nps.rolling`
are spread by segment; their keys name the pane or window, so that compaction keeps the last row of each.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from schemas import events

DAY_MS = 86_400_000
FOR_EVER = -1
"""Retention of a topic that keeps every record."""

DEAD_LETTERS = "nps.dead-letters"
JOURNEYS = "nps.journeys"

HISTORY_HEADER = "nps-history"
"""Header of records loaded as history, whatever its value: a survey that they ask for is never too late to send."""

CAUSE_HEADER = "nps-cause"
"""Header of an output: the topic of the record whose offset its version holds; without one that is nps.responses."""

MOVED_HEADER = "nps-moved-from"
"""Header of an inbound record that was put into the partition of its key: the number of the one in which it lay."""

COLLECTOR_HEADER = "nps-collector"
"""Header of the collector's records: what strangers send is no producer's fault, and the fuse does not count it."""

LETTER_HEADER = "nps-letter"
"""Header of a dead letter's record that was put back: which letter it is and of which death; see `deadletters`.

The fuse does not count it, for what a person puts back tells nothing of any producer; nor does a record's size.
"""

MAPPED_AT_HEADER = "nps-at"
"""Header of a source's event: the time at which it was made, in ms; the Kafka timestamp is the foreign record's."""

ORIGIN_HEADER = "nps-origin"
"""Header of a source's event: topic, partition and offset of the foreign record, and the mapping file's hash."""

COLLECTOR = "nps.collector"
"""Source of the collector's events, and origin of its dead letters, which lie under the customer they are about."""

LARGEST_EVENT_BYTES = 65_536
"""Upper bound of an inbound record, key and headers included; a larger one is no event but a mistake.

It bounds what is made of events: an answer with its comment, and a journey that holds responses back for a while.
"""

LARGEST_RECORD_BYTES = 8_388_608
"""Upper bound of a dead letter and of a journey: any record that Kafka took on an inbound topic fits whole."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic.  `record` is None where values are not Avro; `partitions` is None where the operator chooses.

    `retention_ms` is None where only the last value of each key is kept, but for ever; FOR_EVER keeps every record.
    `largest_bytes` is the size that its records may have, None where Kafka's own bound (1 MiB) will do.
    """

    name: str
    record: type[events.Record] | None
    key: str
    retention_ms: int | None
    partitions: int | None = None
    largest_bytes: int | None = None

    @property
    def compacted(self) -> bool:
        """True when only the last value of each key is kept, but for ever."""
        return self.retention_ms is None

    @property
    def compaction(self) -> dict[str, str]:
        """Settings for new topics by which what no longer lives is cleaned away within hours: restoring reads it all.

        By default Kafka leaves seven days, and half as much again as what lives.
        """
        return {"segment.ms": str(DAY_MS // 4), "min.cleanable.dirty.ratio": "0.2"} if self.compacted else {}

    @property
    def config(self) -> dict[str, str]:
        """Broker-side settings on which the pipeline's correctness depends."""
        size_limit = {"max.message.bytes": str(self.largest_bytes)} if self.largest_bytes else {}
        return {
            "cleanup.policy": "compact" if self.retention_ms is None else "delete",
            "retention.ms": str(FOR_EVER if self.retention_ms is None else self.retention_ms),
            "message.timestamp.type": "CreateTime",  # an event's time, and with it a history's order
            **size_limit,
        }


PURCHASES = Topic("nps.purchases", events.Purchase, "customer_id", 400 * DAY_MS)
SUPPORT = Topic("nps.support", events.SupportCase, "customer_id", 400 * DAY_MS)
CONTACTS = Topic("nps.contacts", events.ContactUpdate, "customer_id", FOR_EVER)
RESPONSES = Topic("nps.responses", events.SurveyResponse, "customer_id", 400 * DAY_MS)
WAKEUPS = Topic("nps.wakeups", events.Wakeup, "customer_id", 400 * DAY_MS)
DECISIONS = Topic("nps.decisions", events.Decision, "customer_id", 30 * DAY_MS)
DISPATCHES = Topic("nps.dispatches", events.SurveyDispatch, "customer_id", 30 * DAY_MS)
ANSWERS = Topic("nps.answers", events.Answer, "customer_id", 30 * DAY_MS)
ALERTS = Topic("nps.alerts", events.Alert, "customer_id", 30 * DAY_MS)
ERASURES = Topic("nps.erasures", events.Erasure, "customer_id", 400 * DAY_MS)
COMMENTS = Topic("nps.comments", events.JudgedComment, "customer_id", 30 * DAY_MS)
PANES = Topic("nps.panes", events.PaneTally, "segment|resolution|start_ms[+supplement]|source_partition", None)
ROLLING = Topic("nps.rolling", events.SegmentNps, "segment|window", None)
ALERT_ACTIONS = Topic("nps.alert-actions", events.AlertAction, "dedup_key", 400 * DAY_MS, partitions=1)
LETTER_ACTIONS = Topic("nps.letter-actions", events.LetterAction, "letter_id", 400 * DAY_MS, partitions=1)
"""Longer than any dead letter is kept: one whose fate is forgotten would be put back once more."""

ONCALL = Topic("nps.oncall", events.OncallEvent, "subject", 30 * DAY_MS, partitions=1)
"""One partition: incidents see all that may page somebody, and all that may stop it, in one order."""

INCIDENTS = Topic("nps.incidents", events.Incident, "incident_id", None, 1, LARGEST_RECORD_BYTES)
CASES = Topic("nps.cases", events.Case, "dedup_key", 400 * DAY_MS, partitions=1)
NOTIFICATIONS = Topic("nps.notifications", events.Notification, "incident_id", 30 * DAY_MS, partitions=1)
DELIVERIES = Topic("nps.deliveries", events.Delivery, "notification_id", None, partitions=1)
FALLS = Topic("nps.falls", events.Fall, "segment", None)

LINKS = Topic("nps.links", events.Link, "link", None)
UNLINKED = Topic("nps.unlinked", None, "source|topic|partition|offset", None, largest_bytes=LARGEST_RECORD_BYTES)
"""Foreign records that wait for a link, as they were, and no value once they wait no more."""

STATE = Topic(JOURNEYS, None, "customer_id", None, largest_bytes=LARGEST_RECORD_BYTES)
DEAD = Topic(DEAD_LETTERS, None, "as received", 90 * DAY_MS, partitions=1, largest_bytes=LARGEST_RECORD_BYTES)

INBOUND: tuple[Topic, ...] = (PURCHASES, SUPPORT, CONTACTS, RESPONSES, WAKEUPS)
"""Topics of the customer's side, in the order in which a journey keeps their offsets: append only, never reorder."""

INBOUND_RECORDS = {topic.name: cast(type[events.Inbound], topic.record) for topic in INBOUND}
"""Record type of each inbound topic, by the topic's name."""

TOPICS: tuple[Topic, ...] = (
    *INBOUND, DECISIONS, DISPATCHES, ANSWERS, ALERTS, ERASURES, COMMENTS, PANES, ROLLING, ALERT_ACTIONS,
    LETTER_ACTIONS, ONCALL, INCIDENTS, CASES, NOTIFICATIONS, DELIVERIES, FALLS, LINKS, UNLINKED, STATE, DEAD,
)  # fmt: skip

BY_NAME: dict[str, Topic] = {topic.name: topic for topic in TOPICS}


def pane_key(pane: events.PaneTally) -> bytes:
    """Make the key of a pane's records: compaction keeps the last tally under it."""
    supplement = f"+{pane.supplement}" if pane.supplement else ""
    return f"{pane.segment}|{pane.resolution}|{pane.start_ms}{supplement}|{pane.source_partition}".encode()


def blank_pane(key: bytes) -> events.PaneTally | None:
    """The blank pane that a key of nps.panes names, as a tombstone needs it; None for bytes that are no such key."""
    try:
        segment, resolution, start, source = key.decode().rsplit("|", 3)
        start_ms, _, number = start.partition("+")
        pane = events.PaneTally(segment, resolution, int(start_ms), int(source), 0, 0, 0, "", -1, int(number or 0))
    except ValueError:
        return None
    return pane if pane_key(pane) == key and resolution in ("minute", "hour", "day") else None


def _key_maker(topic: Topic) -> Callable[[Any], bytes]:
    names = topic.key.split("|")
    if topic is PANES:  # they are restored by the million
        return pane_key
    if len(names) == 1:
        return lambda record: str(getattr(record, topic.key)).encode()
    return lambda record: "|".join(str(getattr(record, name)) for name in names).encode()


_KEYS = {topic.record: _key_maker(topic) for topic in TOPICS if topic.record is not None}


def key_of(record: events.Record) -> bytes:
    """Make the key under which a record lies on its topic, of the fields that the table names."""
    return _KEYS[type(record)](record)
