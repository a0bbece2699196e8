-- One table for each output topic.  Every row is absolute: redelivery and restatement replace a row of the same key, the
-- highest version wins.  A table is partitioned only where the month is a function of its key, because rows replace
-- each other only inside a partition.

CREATE TABLE IF NOT EXISTS answers
(
    survey_id       String,
    customer_id     String,
    survey          LowCardinality(String),
    rule            LowCardinality(String),
    correlation_id  String,
    response_source LowCardinality(String),
    response_id     String,
    revision        UInt32,
    score           Nullable(UInt8),
    band            LowCardinality(Nullable(String)),
    comment         Nullable(String),
    counted         Bool,
    flag            LowCardinality(Nullable(String)),
    sent_ms         DateTime64(3, 'UTC'),
    answered_ms     DateTime64(3, 'UTC'),
    received_ms     DateTime64(3, 'UTC'),
    segments        Array(String),
    dimensions      Map(String, String),
    program         LowCardinality(String),
    version         UInt64,
    kafka_topic     LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset    UInt64,
    loaded_at       DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(version)
ORDER BY survey_id;

CREATE TABLE IF NOT EXISTS panes
(
    segment          LowCardinality(String),
    resolution       LowCardinality(String),
    start_ms         DateTime64(3, 'UTC'),
    source_partition UInt32,
    promoters        Int64,
    passives         Int64,
    detractors       Int64,
    program          LowCardinality(String),
    version          UInt64,
    kafka_topic      LowCardinality(String),
    kafka_partition  UInt32,
    kafka_offset     UInt64,
    loaded_at        DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(start_ms)
ORDER BY (segment, resolution, start_ms, source_partition);

CREATE TABLE IF NOT EXISTS rolling
(
    segment         LowCardinality(String),
    window          LowCardinality(String),
    start_ms        DateTime64(3, 'UTC'),
    as_of_ms        DateTime64(3, 'UTC'),
    promoters       Int64,
    passives        Int64,
    detractors      Int64,
    n               Int64,
    nps             Nullable(Float64),
    low             Nullable(Float64),
    high            Nullable(Float64),
    margin          Nullable(Float64),
    enough          Bool,
    published_ms    DateTime64(3, 'UTC'),
    program         LowCardinality(String),
    version         UInt64,
    kafka_topic     LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset    UInt64,
    loaded_at       DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(as_of_ms)
ORDER BY (segment, window, as_of_ms);

CREATE TABLE IF NOT EXISTS decisions
(
    decision_id     String,
    customer_id     String,
    trigger_source  LowCardinality(String),
    trigger_id      String,
    trigger_type    LowCardinality(String),
    trigger_ms      DateTime64(3, 'UTC'),
    correlation_id  String,
    rule            LowCardinality(Nullable(String)),
    survey          LowCardinality(Nullable(String)),
    outcome         LowCardinality(String),
    reason          LowCardinality(Nullable(String)),
    cause_id        Nullable(String),
    survey_id       Nullable(String),
    decided_ms      DateTime64(3, 'UTC'),
    segments        Array(String),
    program         LowCardinality(String),
    version         UInt64,
    kafka_topic     LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset    UInt64,
    loaded_at       DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(version)
ORDER BY decision_id;

CREATE TABLE IF NOT EXISTS dispatches
(
    survey_id       String,
    customer_id     String,
    survey          LowCardinality(String),
    rule            LowCardinality(String),
    trigger_source  LowCardinality(String),
    trigger_id      String,
    trigger_ms      DateTime64(3, 'UTC'),
    correlation_id  String,
    due_ms          DateTime64(3, 'UTC'),
    expires_ms      DateTime64(3, 'UTC'),
    segments        Array(String),
    dimensions      Map(String, String),
    program         LowCardinality(String),
    version         UInt64,
    kafka_topic     LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset    UInt64,
    loaded_at       DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(version)
ORDER BY survey_id;

CREATE TABLE IF NOT EXISTS alerts
(
    alert_id        String,
    dedup_key       String,
    status          LowCardinality(String),
    severity        LowCardinality(String),
    customer_id     String,
    survey          LowCardinality(String),
    rule            LowCardinality(String),
    correlation_id  String,
    score           Nullable(UInt8),
    comment         Nullable(String),
    revision        UInt32,
    answered_ms     DateTime64(3, 'UTC'),
    received_ms     DateTime64(3, 'UTC'),
    segments        Array(String),
    program         LowCardinality(String),
    version         UInt64,
    kafka_topic     LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset    UInt64,
    loaded_at       DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (dedup_key, alert_id);

-- A dead letter's own record is `kafka_*`; where the record lay before it died is `origin_*`.
CREATE TABLE IF NOT EXISTS dead_letters
(
    origin_topic     LowCardinality(String),
    origin_partition Int32,
    origin_offset    Int64,
    reason           LowCardinality(String),
    detail           String,
    origin_ms        DateTime64(3, 'UTC'),
    key              Nullable(String),
    value            Nullable(String),
    headers          Array(Tuple(name String, value String)),
    version          UInt64,
    kafka_topic      LowCardinality(String),
    kafka_partition  UInt32,
    kafka_offset     UInt64,
    loaded_at        DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (origin_topic, origin_partition, origin_offset, reason);
