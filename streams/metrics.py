"""Prometheus metrics of the stream side, each declared once with its meaning.  Labels never hold personal data."""

from typing import TypeAlias

from prometheus_client import Counter, Gauge, Histogram

Labelled: TypeAlias = Counter
"""A counter by which a batch's outputs are tallied, with one label: a topic or a reason."""

LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 60)
SIZE_BUCKETS = (1, 10, 100, 1_000, 5_000, 20_000, 100_000)

EVENTS_IN = Counter("nps_events_in_total", "Events stepped, by topic.", ["topic"])
EVENTS_SKIPPED = Counter("nps_events_skipped_total", "Events already in state when they were replayed.", ["topic"])
EVENTS_DEAD = Counter("nps_events_dead_total", "Events sent to dead letters, by reason.", ["reason"])
EVENTS_IGNORED = Counter("nps_events_ignored_total", "Events with nothing new, by reason.", ["reason"])
EVENTS_REQUEUED = Counter("nps_events_requeued_total", "Responses put back after waiting for their survey.", ["topic"])
EVENTS_CONFIRMED = Counter("nps_events_confirmed_total", "Clicks put back as answers after their wait.", ["topic"])
EVENTS_MOVED = Counter(
    "nps_events_moved_total", "Events put into the partition that their key belongs to, by topic.", ["topic"]
)
SOURCE_RECORDS = Counter(
    "nps_source_records_total",
    "Foreign records, by source and outcome: mapped, ignored, dead, or waiting for a link.",
    ["source", "outcome"],
)
SOURCE_WAITING = Gauge("nps_source_waiting_records", "Foreign records that wait for a link, by source.", ["source"])
COMMENTS = Counter(
    "nps_comments_total",
    "Answers read for their comment, by outcome: positive, neutral, negative, withdrawn, none or unread.",
    ["outcome"],
)
RECORDS_OUT = Counter("nps_records_out_total", "Records published, by topic.", ["topic"])
TRIGGERS_SUPPRESSED = Counter("nps_triggers_suppressed_total", "Triggers that led to no survey, by reason.", ["reason"])
BATCH_RECORDS = Histogram("nps_block_records", "Records in a batch.", buckets=SIZE_BUCKETS)
BATCH_SECONDS = Histogram("nps_block_seconds", "Seconds to decide a batch.", buckets=LATENCY_BUCKETS)
FLUSH_SECONDS = Histogram("nps_flush_seconds", "Seconds to make a batch durable.", buckets=LATENCY_BUCKETS)
COMMIT_SECONDS = Histogram("nps_commit_seconds", "Seconds to commit offsets.", buckets=LATENCY_BUCKETS)
ALERT_SECONDS = Histogram(
    "nps_event_to_alert_seconds", "Seconds from a response's Kafka timestamp to its durable alert.",
    buckets=LATENCY_BUCKETS,
)  # fmt: skip
LAG_RECORDS = Gauge("nps_lag_records", "Records not applied yet, by topic and partition.", ["topic", "partition"])
STILL_SECONDS = Gauge(
    "nps_still_seconds", "Seconds for which records were there and none was applied, by topic and partition.",
    ["topic", "partition"],
)  # fmt: skip
LAG_SECONDS = Gauge("nps_lag_seconds", "Age of the oldest record that waits, by topic and partition; 0 for none.",
               ["topic", "partition"])  # fmt: skip
JOURNEYS = Gauge("nps_journeys", "Customers in state, by partition.", ["partition"])
SEGMENTS = Gauge("nps_segments", "Segments with answers in some window, of this worker's partitions.")
SEGMENTS_UNPUBLISHED = Gauge("nps_segments_unpublished", "Those of them without rolling NPS, over segments.at_most.")
RESTORED = Counter("nps_restored_records_total", "State records read back at assignment.")
RESTORE_SECONDS = Histogram("nps_restore_seconds", "Seconds to restore the state of an assignment.")
MISSED = Counter("nps_missed_records_total", "Records that were deleted before they were read, by topic.", ["topic"])
FOREIGN = Counter(
    "nps_foreign_records_total", "Records in our own topics that we did not write, passed over, by topic.", ["topic"]
)
WAKEUPS = Counter("nps_wakeups_total", "Wakeups written.")
LAST_PROGRESS = Gauge("nps_last_progress_seconds", "Unix time at which a batch was last done, or none was in hand.")
COLLECTOR_REQUESTS = Counter(
    "nps_collector_requests_total", "Requests to the collector, by kind and what became of them.", ["kind", "outcome"]
)
COLLECTOR_SECONDS = Histogram(
    "nps_collector_publish_seconds", "Seconds until Kafka had an answer.", buckets=LATENCY_BUCKETS
)
WEBHOOK_REQUESTS = Counter(
    "nps_webhook_requests_total",
    "Requests to sources that were answered, by source and outcome: taken, greeted, or why it was refused.",
    ["source", "outcome"],
)
COLLECTOR_CONNECTIONS = Gauge("nps_collector_connections", "Connections to the collector, or to the live page.")
COLLECTOR_CUT = Counter(
    "nps_collector_connections_cut_total",
    "Connections that the collector or the live page cut off, by cause: slow or crowded.",
    ["cause"],
)
PAGE_READERS = Gauge("nps_page_readers", "Readers of the live page's stream, by role.", ["role"])
PAGE_REQUESTS = Counter(
    "nps_page_requests_total", "Logins, actions and refused requests of the live page, by kind and outcome.",
    ["kind", "outcome"],
)  # fmt: skip
PAGE_LAG = Histogram(
    "nps_page_lag_seconds", "Seconds from a response's Kafka timestamp until the live page had its answer.",
    buckets=LATENCY_BUCKETS,
)  # fmt: skip
INCIDENTS = Gauge("nps_incidents", "Incidents, by state; counted at each page and each minute.", ["state"])
INCIDENT_EVENTS = Counter("nps_incident_events_total", "Events taken into incidents, by kind.", ["kind"])
ALERT_TO_PAGE_SECONDS = Histogram(
    "nps_alert_to_page_seconds", "Seconds from a response's Kafka timestamp to the durable page that it led to.",
    buckets=LATENCY_BUCKETS,
)  # fmt: skip
CASES_OVERDUE = Gauge("nps_cases_overdue", "Open cases whose time to close is over; counted as nps_incidents is.")
