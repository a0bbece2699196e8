-- One table for each output topic.  Every row is absolute: redelivery and restatement replace a row of the same key, the
-- highest version wins.  A table is partitioned by a month that is a function of its key, because rows replace each other
-- only inside a partition: the time in the key never changes for the id beside it.  `finest_segment` is the segment that names
-- the most dimensions, for views to take these from.

CREATE TABLE IF NOT EXISTS answers{on_cluster}
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
    sent_at         DateTime64(3, 'UTC'),
    answered_at     DateTime64(3, 'UTC'),
    received_at     DateTime64(3, 'UTC'),
    segments        Array(String),
    finest_segment  LowCardinality(String) MATERIALIZED {finest_segment},
    dimensions      Map(String, String),
    program         LowCardinality(String),
    version         UInt64,
    kafka_topic     LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset    UInt64,
    loaded_at       DateTime64(3, 'UTC'),
    INDEX answered answered_at TYPE minmax GRANULARITY 1,
    INDEX customer customer_id TYPE bloom_filter GRANULARITY 1
)
ENGINE = {replicated}ReplacingMergeTree(version)
PARTITION BY toYYYYMM(sent_at)
ORDER BY (sent_at, survey_id);

-- Panes go from the stream when no answer changes them ordinarily; here they stay, minutes and hours for as long as anybody
-- draws them.  What is counted in one after it left the stream comes as a supplement, a row beside the pane's own: the tally
-- of a pane is the sum of both, as all views have it.
CREATE TABLE IF NOT EXISTS panes{on_cluster}
(
    segment          LowCardinality(String),
    resolution       LowCardinality(String),
    start            DateTime64(3, 'UTC'),
    source_partition UInt32,
    promoters        Int64,
    passives         Int64,
    detractors       Int64,
    program          LowCardinality(String),
    version          UInt64,
    supplement       UInt64,
    kafka_topic      LowCardinality(String),
    kafka_partition  UInt32,
    kafka_offset     UInt64,
    loaded_at        DateTime64(3, 'UTC')
)
ENGINE = {replicated}ReplacingMergeTree(version)
PARTITION BY (resolution, toYYYYMM(start))
ORDER BY (segment, resolution, start, source_partition, supplement)
TTL toDateTime(start) + INTERVAL {minutes_days} DAY DELETE WHERE resolution = 'minute',
    toDateTime(start) + INTERVAL {hours_days} DAY DELETE WHERE resolution = 'hour';

-- The newest row of each window is found from the projection, however long the history is.
CREATE TABLE IF NOT EXISTS rolling{on_cluster}
(
    segment         LowCardinality(String),
    window          LowCardinality(String),
    start           DateTime64(3, 'UTC'),
    as_of           DateTime64(3, 'UTC'),
    promoters       Int64,
    passives        Int64,
    detractors      Int64,
    n               Int64,
    nps             Nullable(Float64),
    low             Nullable(Float64),
    high            Nullable(Float64),
    margin          Nullable(Float64),
    enough          Bool,
    published_at    DateTime64(3, 'UTC'),
    program         LowCardinality(String),
    version         UInt64,
    kafka_topic     LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset    UInt64,
    loaded_at       DateTime64(3, 'UTC'),
    PROJECTION newest (SELECT segment, window, max(as_of) GROUP BY segment, window)
)
ENGINE = {replicated}ReplacingMergeTree(version)
PARTITION BY toYYYYMM(as_of)
ORDER BY (segment, window, as_of)
TTL toDateTime(as_of) + INTERVAL {hours_days} DAY
SETTINGS deduplicate_merge_projection_mode = 'rebuild';

-- One row for each answer that has, or had, a comment: never the comment itself.  `sentiment` is null where the comment was
-- withdrawn or its customer erased.  Sorted as `answers` are, so that both are joined as they lie.
CREATE TABLE IF NOT EXISTS comments{on_cluster}
(
    survey_id       String,
    customer_id     String,
    revision        UInt32,
    themes          Array(LowCardinality(String)),
    sentiment       LowCardinality(Nullable(String)),
    confidence      Float64,
    model           LowCardinality(String),
    sent_at         DateTime64(3, 'UTC'),
    answered_at     DateTime64(3, 'UTC'),
    version         UInt64,
    kafka_topic     LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset    UInt64,
    loaded_at       DateTime64(3, 'UTC'),
    INDEX answered answered_at TYPE minmax GRANULARITY 1,
    INDEX customer customer_id TYPE bloom_filter GRANULARITY 1
)
ENGINE = {replicated}ReplacingMergeTree(version)
PARTITION BY toYYYYMM(sent_at)
ORDER BY (sent_at, survey_id);

-- Each close of an hour at which a segment was judged for falls; `windows` is JSON, which segment_falls takes apart.
CREATE TABLE IF NOT EXISTS falls{on_cluster}
(
    segment         LowCardinality(String),
    closed_at       DateTime64(3, 'UTC'),
    windows         String,
    program         LowCardinality(String),
    version         UInt64,
    kafka_topic     LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset    UInt64,
    loaded_at       DateTime64(3, 'UTC'),
    PROJECTION newest (SELECT segment, max(closed_at) GROUP BY segment)
)
ENGINE = {replicated}ReplacingMergeTree(version)
PARTITION BY toYYYYMM(closed_at)
ORDER BY (segment, closed_at)
TTL toDateTime(closed_at) + INTERVAL {hours_days} DAY
SETTINGS deduplicate_merge_projection_mode = 'rebuild';

CREATE TABLE IF NOT EXISTS decisions{on_cluster}
(
    decision_id      String,
    customer_id      String,
    trigger_source   LowCardinality(String),
    trigger_id       String,
    trigger_type     LowCardinality(String),
    triggered_at     DateTime64(3, 'UTC'),
    correlation_id   String,
    rule             LowCardinality(Nullable(String)),
    survey           LowCardinality(Nullable(String)),
    outcome          LowCardinality(String),
    reason           LowCardinality(Nullable(String)),
    cause_id         Nullable(String),
    survey_id        Nullable(String),
    decided_at       DateTime64(3, 'UTC'),
    segments         Array(String),
    finest_segment   LowCardinality(String) MATERIALIZED {finest_segment},
    program          LowCardinality(String),
    channel          LowCardinality(Nullable(String)),
    question         LowCardinality(Nullable(String)),
    question_version Nullable(UInt32),
    probability      Nullable(Float64),
    lag_ms           Nullable(Int64),
    version          UInt64,
    kafka_topic      LowCardinality(String),
    kafka_partition  UInt32,
    kafka_offset     UInt64,
    loaded_at        DateTime64(3, 'UTC'),
    INDEX customer customer_id TYPE bloom_filter GRANULARITY 1
)
ENGINE = {replicated}ReplacingMergeTree(version)
PARTITION BY toYYYYMM(triggered_at)
ORDER BY (triggered_at, decision_id);

-- A reminder is a row of its own beside the first message of its survey.  Two fields of a dispatch are not stored: `token`,
-- because whoever reads it could answer for the customer, and `personalisation`, because no figure needs it.
CREATE TABLE IF NOT EXISTS dispatches{on_cluster}
(
    survey_id        String,
    customer_id      String,
    survey           LowCardinality(String),
    rule             LowCardinality(String),
    trigger_source   LowCardinality(String),
    trigger_id       String,
    triggered_at     DateTime64(3, 'UTC'),
    correlation_id   String,
    due_at           DateTime64(3, 'UTC'),
    expires_at       DateTime64(3, 'UTC'),
    segments         Array(String),
    finest_segment   LowCardinality(String) MATERIALIZED {finest_segment},
    dimensions       Map(String, String),
    program          LowCardinality(String),
    question         LowCardinality(String),
    question_version UInt32,
    channel          LowCardinality(Nullable(String)),
    locale           LowCardinality(Nullable(String)),
    reminder         UInt32,
    lag_ms           Int64,
    probability      Float64,
    version          UInt64,
    kafka_topic      LowCardinality(String),
    kafka_partition  UInt32,
    kafka_offset     UInt64,
    loaded_at        DateTime64(3, 'UTC'),
    INDEX triggered triggered_at TYPE minmax GRANULARITY 1,
    INDEX customer customer_id TYPE bloom_filter GRANULARITY 1
)
ENGINE = {replicated}ReplacingMergeTree(version)
PARTITION BY toYYYYMM(due_at)
ORDER BY (due_at, survey_id, reminder);

CREATE TABLE IF NOT EXISTS alerts{on_cluster}
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
    answered_at     DateTime64(3, 'UTC'),
    received_at     DateTime64(3, 'UTC'),
    segments        Array(String),
    finest_segment  LowCardinality(String) MATERIALIZED {finest_segment},
    program         LowCardinality(String),
    version         UInt64,
    kafka_topic     LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset    UInt64,
    loaded_at       DateTime64(3, 'UTC'),
    INDEX customer customer_id TYPE bloom_filter GRANULARITY 1
)
ENGINE = {replicated}ReplacingMergeTree(version)
ORDER BY (dedup_key, alert_id);

-- A dead letter's own record is `kafka_*`; where the record lay before it died is `origin_*`.  Whom it is about: its key's
-- customer, or the one its record names.  It is kept for as long as in Kafka.  A letter keeps its `letter_id` through all its
-- deaths: put back, it may die again, and its `death` is one higher.
CREATE TABLE IF NOT EXISTS dead_letters{on_cluster}
(
    origin_topic     LowCardinality(String),
    origin_partition Int32,
    origin_offset    Int64,
    reason           LowCardinality(String),
    detail           String,
    origin_at        DateTime64(3, 'UTC'),
    key              Nullable(String),
    value            Nullable(String),
    headers          Array(Tuple(name String, value String)),
    customer_id      String,
    letter_id        String,
    death            UInt32,
    source           LowCardinality(String),
    died_at          DateTime64(3, 'UTC'),
    version          UInt64,
    kafka_topic      LowCardinality(String),
    kafka_partition  UInt32,
    kafka_offset     UInt64,
    loaded_at        DateTime64(3, 'UTC'),
    INDEX customer customer_id TYPE bloom_filter GRANULARITY 1
)
ENGINE = {replicated}ReplacingMergeTree(version)
ORDER BY (origin_topic, origin_partition, origin_offset, reason)
TTL toDateTime(loaded_at) + INTERVAL {dead_letters_days} DAY;

-- One row for each thing that a person's command did with one death of a letter.
CREATE TABLE IF NOT EXISTS letter_actions{on_cluster}
(
    letter_id        String,
    death            UInt32,
    action           LowCardinality(String),
    reason           LowCardinality(String),
    origin_topic     LowCardinality(String),
    origin_partition Int32,
    origin_offset    Int64,
    acted_at         DateTime64(3, 'UTC'),
    kafka_topic      LowCardinality(String),
    kafka_partition  UInt32,
    kafka_offset     UInt64,
    loaded_at        DateTime64(3, 'UTC')
)
ENGINE = {replicated}ReplacingMergeTree(kafka_offset)
ORDER BY (letter_id, death)
TTL toDateTime(loaded_at) + INTERVAL {dead_letters_days} DAY;

-- One row for each erasure, without the name: the SHA-256 of the customer id tells rows of an erased customer that come
-- later.  `done_at` is 1970 until no row of this database names the customer any more; `emptied_rows` is how many did.
CREATE TABLE IF NOT EXISTS erasures{on_cluster}
(
    erasure_id      String,
    customer_sha256 String,
    source          LowCardinality(String),
    erased_at       DateTime64(3, 'UTC'),
    received_at     DateTime64(3, 'UTC'),
    done_at         DateTime64(3, 'UTC'),
    emptied_rows    UInt64,
    program         LowCardinality(String),
    version         UInt64,
    kafka_topic     LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset    UInt64,
    loaded_at       DateTime64(3, 'UTC')
)
ENGINE = {replicated}ReplacingMergeTree(done_at)
ORDER BY erasure_id;
