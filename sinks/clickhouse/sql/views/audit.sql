-- Audits: no row when all is well and the sink has caught up.  Over the last seven days; over any others with
-- `audit_between(since = '2026-01-01', until = '2027-01-01')` and `ledger_audit_between`.

-- Recounts every pane of these whole days (UTC) from the answers.  Minutes and hours are recounted while they are kept.
-- nps_reader: a pane that differs from a recount of `answers`
CREATE OR REPLACE VIEW audit_between{on_cluster}
{definer}
AS SELECT
    segment,
    resolution,
    start,
    sum(recounted.1) AS answers_promoters,
    sum(recounted.2) AS answers_passives,
    sum(recounted.3) AS answers_detractors,
    sum(published.1) AS panes_promoters,
    sum(published.2) AS panes_passives,
    sum(published.3) AS panes_detractors
FROM
(
    SELECT
        toLowCardinality(arrayJoin(segments)) AS segment,
        pane.1 AS resolution,
        fromUnixTimestamp64Milli(instant - positiveModulo(instant, pane.2), 'UTC') AS start,
        (toInt64(countIf(score >= 9)), toInt64(countIf(score IN (7, 8))), toInt64(countIf(score <= 6))) AS recounted,
        (toInt64(0), toInt64(0), toInt64(0)) AS published
    FROM
    (
        SELECT
            segments,
            assumeNotNull(score) AS score,
            toUnixTimestamp64Milli(answered_at) AS instant,
            arrayJoin(arrayFilter(pane -> instant >= pane.3, [
                (toLowCardinality('minute'), toInt64(60000), toUnixTimestamp64Milli(toDateTime64({minutes_since}, 3, 'UTC'))),
                (toLowCardinality('hour'), toInt64(3600000), toUnixTimestamp64Milli(toDateTime64({hours_since}, 3, 'UTC'))),
                (toLowCardinality('day'), toInt64(86400000), toInt64(-9223372036854775808))
            ])) AS pane
        FROM answers FINAL
        WHERE counted
            AND answered_at >= toStartOfDay({since:DateTime64(3, 'UTC')})
            AND answered_at < toStartOfDay({until:DateTime64(3, 'UTC')}) + INTERVAL 1 DAY
    )
    GROUP BY segment, resolution, start
    UNION ALL
    SELECT
        segment,
        resolution,
        start,
        (toInt64(0), toInt64(0), toInt64(0)),
        (sum(promoters), sum(passives), sum(detractors))
    FROM panes FINAL
    WHERE start >= toStartOfDay({since:DateTime64(3, 'UTC')})
        AND start < toStartOfDay({until:DateTime64(3, 'UTC')}) + INTERVAL 1 DAY
        AND (resolution = 'day' OR resolution = 'hour' AND start >= {hours_since} OR resolution = 'minute' AND start >= {minutes_since})
    GROUP BY segment, resolution, start
)
GROUP BY segment, resolution, start
HAVING (answers_promoters, answers_passives, answers_detractors) != (panes_promoters, panes_passives, panes_detractors);

-- nps_reader: a pane of the last seven days that differs from a recount of `answers`
CREATE OR REPLACE VIEW audit{on_cluster}
{definer}
AS SELECT * FROM audit_between(since = now64(3, 'UTC') - INTERVAL 7 DAY, until = now64(3, 'UTC'));

-- What cannot be, record by record, of triggers, and of surveys by their sending, in this time; and of the newest row of every
-- window.  A rolling row holds the panes of its segment up to its own version, which is the place of the last one in nps.panes.
-- So it is compared with the sum of the panes in it when none of these is newer; and, while its window has not ended for five
-- minutes, also when one has been newer for longer than that, for then it is not being taken in.
-- nps_reader: a record that contradicts another
CREATE OR REPLACE VIEW ledger_audit_between{on_cluster}
{definer}
AS WITH
    decided AS
    (
        SELECT * FROM decisions FINAL
        WHERE triggered_at >= {since:DateTime64(3, 'UTC')} AND triggered_at <= {until:DateTime64(3, 'UTC')}
    ),
    dispatched AS
    (
        SELECT * FROM dispatches FINAL
        WHERE triggered_at >= {since:DateTime64(3, 'UTC')} AND triggered_at <= {until:DateTime64(3, 'UTC')}
    ),
    asked AS
    (
        SELECT survey_id, customer_id, expires_at FROM dispatches FINAL
        WHERE reminder = 0 AND due_at >= {since:DateTime64(3, 'UTC')} AND due_at <= {until:DateTime64(3, 'UTC')}
    ),
    given AS
    (
        SELECT * FROM answers FINAL
        WHERE sent_at >= {since:DateTime64(3, 'UTC')} AND sent_at <= {until:DateTime64(3, 'UTC')}
    ),
    newest AS
    (
        SELECT
            segment,
            start AS window_start,
            as_of AS window_end,
            version AS row_version,
            (promoters, passives, detractors) AS tally,
            kafka_topic,
            kafka_partition,
            kafka_offset,
            toUnixTimestamp64Milli(as_of) - toUnixTimestamp64Milli(start) AS length_ms,
            multiIf(length_ms <= 6 * 3600000, 'minute', length_ms <= 14 * 86400000, 'hour', 'day') AS row_resolution
        FROM rolling
        WHERE (segment, window, as_of) IN (SELECT segment, window, max(as_of) FROM rolling GROUP BY segment, window)
        ORDER BY segment, window, version DESC
        LIMIT 1 BY segment, window
    ),
    oldest AS
    (
        SELECT
            minIf(window_start, row_resolution = 'minute') AS minutes,
            minIf(window_start, row_resolution = 'hour') AS hours,
            minIf(window_start, row_resolution = 'day') AS days
        FROM newest
    ),
    summed AS
    (
        SELECT
            toString(segment) AS segment,
            toString(resolution) AS resolution,
            start,
            promoters,
            passives,
            detractors,
            loaded_at,
            bitOr(bitShiftLeft(bitShiftRight(version, 48), 48), kafka_offset) AS place
        FROM panes FINAL
        WHERE (resolution = 'minute' AND start >= (SELECT minutes FROM oldest))
            OR (resolution = 'hour' AND start >= (SELECT hours FROM oldest))
            OR (resolution = 'day' AND start >= (SELECT days FROM oldest))
    )
SELECT 'dispatch without a decision to send' AS problem, kafka_topic, kafka_partition, kafka_offset
FROM dispatched
WHERE survey_id NOT IN (SELECT assumeNotNull(survey_id) FROM decided WHERE outcome = 'sent' AND survey_id IS NOT NULL)
UNION ALL
SELECT 'decision to send without a dispatch', kafka_topic, kafka_partition, kafka_offset
FROM decided
WHERE outcome = 'sent' AND ifNull(survey_id, '') NOT IN (SELECT survey_id FROM dispatched WHERE reminder = 0)
UNION ALL
SELECT 'reminder without a first message', kafka_topic, kafka_partition, kafka_offset
FROM dispatched
WHERE reminder > 0 AND survey_id NOT IN (SELECT survey_id FROM dispatched WHERE reminder = 0)
UNION ALL
SELECT 'answer without a dispatch', kafka_topic, kafka_partition, kafka_offset
FROM given
WHERE survey_id NOT IN (SELECT survey_id FROM asked)
UNION ALL
SELECT 'two decisions of one trigger', argMax(kafka_topic, kafka_offset), argMax(kafka_partition, kafka_offset), max(kafka_offset)
FROM decided
WHERE trigger_id != ''
GROUP BY customer_id, trigger_source, trigger_id
HAVING count() > 1
UNION ALL
SELECT 'outcome and reason contradict each other', kafka_topic, kafka_partition, kafka_offset
FROM decided
WHERE outcome NOT IN ('sent', 'suppressed', 'pending') OR (outcome = 'suppressed') != (reason IS NOT NULL)
UNION ALL
SELECT 'band and score contradict each other', kafka_topic, kafka_partition, kafka_offset
FROM given
WHERE ifNull(band, '') != multiIf(isNull(score), '', score >= 9, 'promoter', score >= 7, 'passive', 'detractor')
UNION ALL
SELECT 'answer of another customer than was asked', kafka_topic, kafka_partition, kafka_offset
FROM given
WHERE customer_id != '' AND (survey_id, customer_id) NOT IN (SELECT survey_id, customer_id FROM asked)
    AND survey_id IN (SELECT survey_id FROM asked WHERE customer_id != '')
UNION ALL
SELECT 'answer that counts after its survey expired', kafka_topic, kafka_partition, kafka_offset
FROM given
INNER JOIN asked ON given.survey_id = asked.survey_id
WHERE counted AND answered_at >= asked.expires_at
UNION ALL
SELECT 'rolling row that is not the sum of its panes', kafka_topic, kafka_partition, kafka_offset
FROM newest
LEFT JOIN summed ON newest.segment = summed.segment AND newest.row_resolution = summed.resolution
GROUP BY newest.segment, window_start, window_end, row_version, tally, kafka_topic, kafka_partition, kafka_offset
HAVING tally != (
        ifNull(sumIf(summed.promoters, summed.start >= window_start AND summed.start < window_end), 0),
        ifNull(sumIf(summed.passives, summed.start >= window_start AND summed.start < window_end), 0),
        ifNull(sumIf(summed.detractors, summed.start >= window_start AND summed.start < window_end), 0))
    AND (countIf(summed.start >= window_start AND summed.start < window_end AND place > row_version) = 0
        OR (window_end > now64(3, 'UTC') - INTERVAL 5 MINUTE
            AND minIf(loaded_at, summed.start >= window_start AND summed.start < window_end AND place > row_version)
                < now64(3, 'UTC') - INTERVAL 5 MINUTE));

-- nps_reader: a record of the last seven days that contradicts another
CREATE OR REPLACE VIEW ledger_audit{on_cluster}
{definer}
AS SELECT * FROM ledger_audit_between(since = now64(3, 'UTC') - INTERVAL 7 DAY, until = now64(3, 'UTC') + INTERVAL 1 DAY);
