"""Prometheus metrics of the sinks, each declared once with its meaning.  Labels never hold personal data."""

from prometheus_client import Counter, Gauge, Histogram

LATENCY_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300)
SIZE_BUCKETS = (1, 10, 100, 1_000, 5_000, 10_000, 50_000, 100_000)

ROWS = Counter("nps_sink_rows_total", "Rows written, by table.", ["table"])
FAILURES = Counter("nps_sink_failures_total", "Failed tries, by kind: unavailable, refused or commit.", ["kind"])
DEAD_LETTERS = Counter("nps_sink_dead_letters_total", "Records the sinks sent to dead letters, by reason.", ["reason"])
FOREIGN = Counter(
    "nps_sink_foreign_records_total",
    "Records in our own topics that we did not write, dead-lettered, by topic.",
    ["topic"],
)
DROPPED = Counter("nps_sink_refused_dead_letters_total", "Dead letters that the warehouse refused: logged, not looped.")
BATCH_ROWS = Histogram("nps_sink_batch_rows", "Rows in a batch.", buckets=SIZE_BUCKETS)
WRITE_SECONDS = Histogram(
    "nps_sink_write_seconds", "Seconds to write one table's rows.", ["table"], buckets=LATENCY_BUCKETS
)
EVENT_TO_ROW_SECONDS = Histogram(
    "nps_sink_event_to_row_seconds",
    "Seconds from a response's Kafka timestamp (answers) or the record's own to its row; up to 100 samples a batch.",
    ["table"], buckets=LATENCY_BUCKETS,
)  # fmt: skip
LAG_RECORDS = Gauge(
    "nps_sink_lag_records", "Records behind the end, by topic and partition, as last heard from the broker.",
    ["topic", "partition"],
)  # fmt: skip
WAITING_ROWS = Gauge("nps_sink_waiting_rows", "Rows held while the warehouse is away; 0 when it is there.")
LAST_COMMIT = Gauge("nps_sink_last_commit_seconds", "Unix time of the last batch written and committed.")
ERASURES_WAITING = Gauge("nps_sink_erasures_waiting", "Customers whose erasure was recorded and is not done.")
ERASURE_SECONDS = Histogram(
    "nps_sink_erasure_seconds",
    "Seconds from recording an erasure to its being checked and done.",
    buckets=LATENCY_BUCKETS,
)

ALERTS = Counter(
    "nps_notify_alerts_total", "Alerts handled, by outcome: delivered, undelivered, stale or undecodable.", ["outcome"]
)
ATTEMPTS = Counter(
    "nps_notify_attempts_total",
    "Tries to deliver an alert or news of an incident, by result: ok, retry or gave_up.",
    ["result"],
)
DELIVERY_SECONDS = Histogram(
    "nps_notify_delivery_seconds",
    "Seconds from an alert's Kafka timestamp, or the time of an incident's news, to its delivery.",
    buckets=LATENCY_BUCKETS,
)
DELIVERIES = Counter(
    "nps_deliveries_total",
    "News of incidents, by receiver and outcome: delivered, undelivered, superseded or doubtful.",
    ["receiver", "outcome"],
)
DELIVERY_DOUBTFUL = Counter(
    "nps_delivery_doubtful_total",
    "Times that it was not known whether a receiver has the news: it is sent again, looked up or left so.",
    ["receiver"],
)
DELIVERIES_WAITING = Gauge("nps_deliveries_waiting", "Incidents with news that wait for a receiver.", ["receiver"])

# Prometheus sees no rise in a counter that first appears as 1: those that alerts watch are there from 0.
for _outcome in ("delivered", "undelivered", "stale", "undecodable"):
    ALERTS.labels(_outcome)
DEAD_LETTERS.labels("refused_by_warehouse")
