-- The ledger as BI reads it: every trigger ends sent, suppressed for one reason, or is still pending.  Like all views these
-- are right before any merge has run, and show no personal data; customers who were erased keep counting.

-- One row for each day of the trigger, rule and trigger type; `answered` counts answers that count.
-- nps_reader: day × rule × trigger type: triggers = sent + suppressed + pending, and answered
CREATE VIEW IF NOT EXISTS ledger
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    toDate(trigger_ms, 'UTC') AS day,
    rule,
    trigger_type,
    count() AS triggers,
    countIf(outcome = 'sent') AS sent,
    countIf(outcome = 'suppressed') AS suppressed,
    countIf(outcome = 'pending') AS pending,
    countIf(outcome = 'sent' AND survey_id IN (SELECT survey_id FROM answers FINAL WHERE counted)) AS answered
FROM decisions FINAL
GROUP BY day, rule, trigger_type;

-- nps_reader: day × rule × trigger type × reason: suppressed triggers
CREATE VIEW IF NOT EXISTS suppressed_by_reason
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    toDate(trigger_ms, 'UTC') AS day,
    rule,
    trigger_type,
    assumeNotNull(reason) AS reason,
    count() AS triggers
FROM decisions FINAL
WHERE outcome = 'suppressed'
GROUP BY day, rule, trigger_type, reason;

-- A dispatch is answered when its answer counts: in time, with a score, not withdrawn.  A reminder is no other survey.
CREATE OR REPLACE VIEW response_rate
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    arrayJoin(segments) AS segment,
    survey,
    count() AS dispatched,
    countIf(survey_id IN (SELECT survey_id FROM answers FINAL WHERE counted)) AS answered,
    round(answered / dispatched, 4) AS rate
FROM dispatches FINAL
WHERE reminder = 0
GROUP BY segment, survey;

-- The same by everything that may move it.  A customer who was asked with probability p stands for 1/p customers
-- (Horvitz-Thompson): `represented` and `answers_represented` are those sums, and `weighted_nps` weighs each answer so.  Sum
-- them before dividing.  Lags are of the cause to sending, and of the first message to the first score; quantiles are exact
-- up to 8,192 surveys a row and sampled beyond.
-- nps_reader: segment × channel × rule × survey × question version: rate, weights for sampling, lags
CREATE VIEW IF NOT EXISTS response_breakdown
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    arrayJoin(segments) AS segment,
    channel,
    rule,
    survey,
    question,
    question_version,
    count() AS dispatched,
    countIf(is_answered) AS answered,
    round(answered / dispatched, 4) AS rate,
    round(sum(weight), 4) AS represented,
    round(sumIf(weight, is_answered), 4) AS answers_represented,
    round(answers_represented / represented, 4) AS weighted_rate,
    if(answered = 0, NULL, round(100 * (sumIf(weight, given = 'promoter') - sumIf(weight, given = 'detractor'))
        / sumIf(weight, is_answered), 2)) AS weighted_nps,
    round(quantile(0.5)(lag_ms)) AS median_lag_to_sending_ms,
    round(quantile(0.95)(lag_ms)) AS p95_lag_to_sending_ms,
    if(answered = 0, NULL, round(quantileIf(0.5)(answer_lag_ms, is_answered))) AS median_lag_to_answer_ms,
    if(answered = 0, NULL, round(quantileIf(0.95)(answer_lag_ms, is_answered))) AS p95_lag_to_answer_ms
FROM
(
    SELECT
        dispatches.segments AS segments,
        dispatches.channel AS channel,
        dispatches.rule AS rule,
        dispatches.survey AS survey,
        dispatches.question AS question,
        dispatches.question_version AS question_version,
        dispatches.lag_ms AS lag_ms,
        1 / dispatches.probability AS weight,
        ifNull(counting.band, '') AS given,
        given != '' AS is_answered,
        ifNull(counting.answered, 0) - toUnixTimestamp64Milli(dispatches.due_ms) AS answer_lag_ms
    FROM
    (
        SELECT survey_id, segments, channel, rule, survey, question, question_version, lag_ms, probability, due_ms
        FROM dispatches FINAL
        WHERE reminder = 0
    ) AS dispatches
    LEFT JOIN
    (
        SELECT survey_id, band, toUnixTimestamp64Milli(answered_ms) AS answered FROM answers FINAL WHERE counted
    ) AS counting ON dispatches.survey_id = counting.survey_id
)
GROUP BY segment, channel, rule, survey, question, question_version;

-- What cannot be, record by record: no row when all is well and the sink has caught up.
-- nps_reader: a record that contradicts another; no row when all is well
CREATE VIEW IF NOT EXISTS ledger_audit
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
GROUP BY trigger_source, trigger_id
HAVING count() > 1
UNION ALL
SELECT 'outcome and reason contradict each other', kafka_topic, kafka_partition, kafka_offset
FROM decisions FINAL
WHERE outcome NOT IN ('sent', 'suppressed', 'pending') OR (outcome = 'suppressed') != (reason IS NOT NULL);
