-- Four more things that cannot be: a band that is not its score's, an answer of another customer than was asked (both are
-- empty once erased), an answer that counts though its survey had expired, a rolling row that is not the sum of its panes.
--
-- A rolling row holds the panes of its segment up to its own version, which is the place of the last one in nps.panes.  So the
-- newest row of each window is compared with the sum of the panes in it when none of these is newer; and, while its window
-- has not ended for five minutes, also when one has been newer for longer than that, for then it is not being taken in.
CREATE OR REPLACE VIEW ledger_audit
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT 'dispatch without a decision to send' AS problem, kafka_topic, kafka_partition, kafka_offset
FROM dispatches FINAL
WHERE survey_id NOT IN (SELECT assumeNotNull(survey_id) FROM decisions FINAL WHERE outcome = 'sent' AND survey_id IS NOT NULL)
UNION ALL
SELECT 'decision to send without a dispatch', kafka_topic, kafka_partition, kafka_offset
FROM decisions FINAL
WHERE outcome = 'sent' AND ifNull(survey_id, '') NOT IN (SELECT survey_id FROM dispatches FINAL WHERE reminder = 0)
UNION ALL
SELECT 'reminder without a first message', kafka_topic, kafka_partition, kafka_offset
FROM dispatches FINAL
WHERE reminder > 0 AND survey_id NOT IN (SELECT survey_id FROM dispatches FINAL WHERE reminder = 0)
UNION ALL
SELECT 'answer without a dispatch', kafka_topic, kafka_partition, kafka_offset
FROM answers FINAL
WHERE survey_id NOT IN (SELECT survey_id FROM dispatches FINAL WHERE reminder = 0)
UNION ALL
SELECT 'two decisions of one trigger', argMax(kafka_topic, kafka_offset), argMax(kafka_partition, kafka_offset), max(kafka_offset)
FROM decisions FINAL
WHERE trigger_id != ''
GROUP BY customer_id, trigger_source, trigger_id
HAVING count() > 1
UNION ALL
SELECT 'outcome and reason contradict each other', kafka_topic, kafka_partition, kafka_offset
FROM decisions FINAL
WHERE outcome NOT IN ('sent', 'suppressed', 'pending') OR (outcome = 'suppressed') != (reason IS NOT NULL)
UNION ALL
SELECT 'band and score contradict each other', kafka_topic, kafka_partition, kafka_offset
FROM answers FINAL
WHERE ifNull(band, '') != multiIf(isNull(score), '', score >= 9, 'promoter', score >= 7, 'passive', 'detractor')
UNION ALL
SELECT 'answer of another customer than was asked', kafka_topic, kafka_partition, kafka_offset
FROM answers FINAL
WHERE customer_id != '' AND (survey_id, customer_id) NOT IN (SELECT survey_id, customer_id FROM dispatches FINAL WHERE reminder = 0)
    AND survey_id IN (SELECT survey_id FROM dispatches FINAL WHERE reminder = 0 AND customer_id != '')
UNION ALL
SELECT 'answer that counts after its survey expired', kafka_topic, kafka_partition, kafka_offset
FROM answers FINAL
INNER JOIN (SELECT survey_id, expires_ms FROM dispatches FINAL WHERE reminder = 0) AS asked ON answers.survey_id = asked.survey_id
WHERE counted AND answered_ms >= asked.expires_ms
UNION ALL
SELECT 'rolling row that is not the sum of its panes', kafka_topic, kafka_partition, kafka_offset
FROM
(
    SELECT
        segment,
        start_ms AS window_start,
        as_of_ms,
        version AS row_version,
        promoters AS row_promoters,
        passives AS row_passives,
        detractors AS row_detractors,
        kafka_topic,
        kafka_partition,
        kafka_offset,
        toUnixTimestamp64Milli(as_of_ms) - toUnixTimestamp64Milli(start_ms) AS length_ms,
        multiIf(length_ms <= 6 * 3600000, 'minute', length_ms <= 14 * 86400000, 'hour', 'day') AS row_resolution
    FROM rolling
    WHERE (segment, window, as_of_ms) IN (SELECT segment, window, max(as_of_ms) FROM rolling GROUP BY segment, window)
    ORDER BY segment, window, version DESC
    LIMIT 1 BY segment, window
) AS newest
LEFT JOIN
(
    SELECT
        toString(segment) AS pane_segment,
        toString(resolution) AS pane_resolution,
        start_ms AS pane_start,
        promoters,
        passives,
        detractors,
        loaded_at AS pane_loaded_at,
        bitOr(bitShiftLeft(bitShiftRight(version, 48), 48), kafka_offset) AS pane_place
    FROM panes FINAL
) AS summed ON newest.segment = summed.pane_segment AND newest.row_resolution = summed.pane_resolution
GROUP BY
    segment, window_start, as_of_ms, row_version, row_promoters, row_passives, row_detractors, kafka_topic, kafka_partition, kafka_offset
HAVING (row_promoters, row_passives, row_detractors) != (
        ifNull(sumIf(summed.promoters, pane_start >= window_start AND pane_start < as_of_ms), 0),
        ifNull(sumIf(summed.passives, pane_start >= window_start AND pane_start < as_of_ms), 0),
        ifNull(sumIf(summed.detractors, pane_start >= window_start AND pane_start < as_of_ms), 0))
    AND (countIf(pane_start >= window_start AND pane_start < as_of_ms AND pane_place > row_version) = 0
        OR (as_of_ms > now64(3, 'UTC') - INTERVAL 5 MINUTE
            AND minIf(pane_loaded_at, pane_start >= window_start AND pane_start < as_of_ms AND pane_place > row_version)
                < now64(3, 'UTC') - INTERVAL 5 MINUTE));
