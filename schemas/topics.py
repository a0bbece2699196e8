"""The topic table: every topic of the pipeline, what travels on it, how it is keyed and how long it is kept.

The topics of the customer's side are keyed by `customer_id` and share one partition count and the Java default
partitioner (murmur2), so that all that is known of one customer lies in one partition.  `nps.panes` and `nps.rolling`
are spread by segment; their keys name the pane or window, so that compaction keeps the last row of each.
"""

from dataclasses import dataclass

from schemas import events

DAY_MS = 86_400_000
DEAD_LETTERS = "nps.dead-letters"
JOURNEYS = "nps.journeys"


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic.  `record` is None where values are not Avro; `partitions` is None where the operator chooses."""

    name: str
    record: type[events.Record] | None
    key: str
    retention_ms: int | None
    partitions: int | None = None

    @property
    def compacted(self) -> bool:
        """True when only the last value of each key is kept, for ever."""
        return self.retention_ms is None

    @property
    def config(self) -> dict[str, str]:
        """The broker-side settings that the pipeline's correctness depends on."""
        if self.retention_ms is None:
            return {"cleanup.policy": "compact", "retention.ms": "-1"}
        return {"cleanup.policy": "delete", "retention.ms": str(self.retention_ms)}


PURCHASES = Topic("nps.purchases", events.Purchase, "customer_id", 400 * DAY_MS)
SUPPORT = Topic("nps.support", events.SupportCase, "customer_id", 400 * DAY_MS)
CONTACTS = Topic("nps.contacts", events.ContactUpdate, "customer_id", 400 * DAY_MS)
RESPONSES = Topic("nps.responses", events.SurveyResponse, "customer_id", 400 * DAY_MS)
WAKEUPS = Topic("nps.wakeups", events.Wakeup, "customer_id", 7 * DAY_MS)
DECISIONS = Topic("nps.decisions", events.Decision, "customer_id", 30 * DAY_MS)
DISPATCHES = Topic("nps.dispatches", events.SurveyDispatch, "customer_id", 30 * DAY_MS)
ANSWERS = Topic("nps.answers", events.Answer, "customer_id", 30 * DAY_MS)
ALERTS = Topic("nps.alerts", events.Alert, "customer_id", 30 * DAY_MS)
PANES = Topic("nps.panes", events.PaneTally, "segment|resolution|start_ms|source_partition", None)
ROLLING = Topic("nps.rolling", events.SegmentNps, "segment|window", None)
ALERT_ACTIONS = Topic("nps.alert-actions", events.AlertAction, "dedup_key", 400 * DAY_MS, partitions=1)
STATE = Topic(JOURNEYS, None, "customer_id", None)
DEAD = Topic(DEAD_LETTERS, None, "as received", 90 * DAY_MS, partitions=1)

INBOUND: tuple[Topic, ...] = (PURCHASES, SUPPORT, CONTACTS, RESPONSES, WAKEUPS)
"""The customer's side, in the order in which a journey keeps their offsets: append only, never reorder."""

INBOUND_RECORDS: dict[str, type[events.Inbound]] = {
    PURCHASES.name: events.Purchase,
    SUPPORT.name: events.SupportCase,
    CONTACTS.name: events.ContactUpdate,
    RESPONSES.name: events.SurveyResponse,
    WAKEUPS.name: events.Wakeup,
}
"""What travels on them."""

TOPICS: tuple[Topic, ...] = (
    *INBOUND, DECISIONS, DISPATCHES, ANSWERS, ALERTS, PANES, ROLLING, ALERT_ACTIONS, STATE, DEAD
)  # fmt: skip

BY_NAME: dict[str, Topic] = {topic.name: topic for topic in TOPICS}


def pane_key(pane: events.PaneTally) -> bytes:
    """The key under which compaction keeps the last tally of this pane."""
    return f"{pane.segment}|{pane.resolution}|{pane.start_ms}|{pane.source_partition}".encode()
