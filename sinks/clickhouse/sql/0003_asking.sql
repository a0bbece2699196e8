-- What asking well adds to the ledger: channel, question, sampling probability, lag, reminders, and who was erased.
--
-- Two fields of a dispatch are not stored: `token`, because whoever reads it could answer for the customer, and
-- `personalisation`, because it is personal data that no figure needs.

ALTER TABLE decisions
    ADD COLUMN IF NOT EXISTS channel LowCardinality(Nullable(String)) AFTER program,
    ADD COLUMN IF NOT EXISTS question LowCardinality(Nullable(String)) AFTER channel,
    ADD COLUMN IF NOT EXISTS question_version Nullable(UInt32) AFTER question,
    ADD COLUMN IF NOT EXISTS probability Nullable(Float64) AFTER question_version,
    ADD COLUMN IF NOT EXISTS lag_ms Nullable(Int64) AFTER probability,
    ADD INDEX IF NOT EXISTS customer customer_id TYPE bloom_filter GRANULARITY 1;

-- A reminder is a row of its own beside the first message of its survey.
ALTER TABLE dispatches
    ADD COLUMN IF NOT EXISTS question LowCardinality(String) DEFAULT survey AFTER program,
    ADD COLUMN IF NOT EXISTS question_version UInt32 DEFAULT 1 AFTER question,
    ADD COLUMN IF NOT EXISTS channel LowCardinality(Nullable(String)) AFTER question_version,
    ADD COLUMN IF NOT EXISTS locale LowCardinality(Nullable(String)) AFTER channel,
    ADD COLUMN IF NOT EXISTS reminder UInt32 AFTER locale,
    ADD COLUMN IF NOT EXISTS lag_ms Int64 DEFAULT toUnixTimestamp64Milli(due_ms) - toUnixTimestamp64Milli(trigger_ms) AFTER reminder,
    ADD COLUMN IF NOT EXISTS probability Float64 DEFAULT 1 AFTER lag_ms,
    ADD INDEX IF NOT EXISTS customer customer_id TYPE bloom_filter GRANULARITY 1,
    MODIFY ORDER BY (survey_id, reminder);

ALTER TABLE answers
    ADD INDEX IF NOT EXISTS customer customer_id TYPE bloom_filter GRANULARITY 1;

ALTER TABLE alerts
    ADD INDEX IF NOT EXISTS customer customer_id TYPE bloom_filter GRANULARITY 1;

-- Whom a dead letter is about: its key's customer, or the one its record names.
ALTER TABLE dead_letters
    ADD COLUMN IF NOT EXISTS customer_id String DEFAULT ifNull(key, '') AFTER headers,
    ADD INDEX IF NOT EXISTS customer customer_id TYPE bloom_filter GRANULARITY 1;

-- One row for each erasure, without the name: the SHA-256 of the customer id tells rows of an erased customer that come
-- later.  `done_ms` is 1970 until no row of this database names the customer any more; `emptied_rows` is how many did.
CREATE TABLE IF NOT EXISTS erasures
(
    erasure_id      String,
    customer_sha256 String,
    source          LowCardinality(String),
    erased_ms       DateTime64(3, 'UTC'),
    received_ms     DateTime64(3, 'UTC'),
    done_ms         DateTime64(3, 'UTC'),
    emptied_rows    UInt64,
    program         LowCardinality(String),
    version         UInt64,
    kafka_topic     LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset    UInt64,
    loaded_at       DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(done_ms)
ORDER BY erasure_id;
