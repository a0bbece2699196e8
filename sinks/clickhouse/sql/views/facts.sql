-- Facts: one row for one thing, so that any sum over them is right.  No row names a customer.
--
-- An answer's survey left at the answer's `sent_at`: both tables are sorted by that time, so a bound on it bounds both, and
-- they are joined as they lie.

-- nps_reader: an answer, counted or not; n is 1 when it counts
CREATE OR REPLACE VIEW fact_answers{on_cluster}
{definer}
AS SELECT
    given.survey AS survey,
    given.rule AS rule,
{dimensions}
    asked.channel AS channel,
    asked.locale AS locale,
    asked.question AS question,
    asked.question_version AS question_version,
    given.sent_at AS sent_at,
    given.answered_at AS answered_at,
    given.received_at AS received_at,
    toUInt8(given.counted) AS n,
    given.flag AS flag,
    given.score AS score,
    given.band AS band,
    toInt8(multiIf(NOT given.counted, 0, given.band = 'promoter', 1, given.band = 'detractor', -1, 0)) AS net,
    given.has_comment AS has_comment,
    given.revision AS revision,
    given.response_source AS response_source,
    asked.probability AS probability,
    asked.lag_ms AS lag_to_sending_ms,
    given.lag_to_answer_ms AS lag_to_answer_ms,
    given.segments AS segments,
    given.program AS program,
    given.version AS version
FROM
(
    SELECT
        survey_id, survey, rule, finest_segment, dimensions, sent_at, answered_at, received_at, counted, flag, score, ifNull(band, '') AS band,
        ifNull(comment, '') != '' AS has_comment, revision, response_source,
        toUnixTimestamp64Milli(answered_at) - toUnixTimestamp64Milli(sent_at) AS lag_to_answer_ms, segments, program, version
    FROM answers FINAL
) AS given
LEFT JOIN
(
    SELECT survey_id, due_at AS sent_at, channel, locale, question, question_version, probability, lag_ms
    FROM dispatches FINAL
    WHERE reminder = 0
) AS asked ON given.sent_at = asked.sent_at AND given.survey_id = asked.survey_id
SETTINGS join_algorithm = 'full_sorting_merge', join_use_nulls = 1;

-- nps_reader: a survey that was sent; answered is 1 when its answer counts
CREATE OR REPLACE VIEW fact_invitations{on_cluster}
{definer}
AS SELECT
    asked.survey AS survey,
    asked.rule AS rule,
{dimensions}
    asked.channel AS channel,
    asked.locale AS locale,
    asked.question AS question,
    asked.question_version AS question_version,
    asked.trigger_source AS trigger_source,
    asked.triggered_at AS triggered_at,
    asked.sent_at AS sent_at,
    asked.expires_at AS expires_at,
    toUInt8(1) AS dispatched,
    toUInt8(ifNull(given.band, '') != '') AS answered,
    if(answered = 1, given.answered_at, NULL) AS answered_at,
    if(answered = 1, given.score, NULL) AS score,
    if(answered = 1, given.band, NULL) AS band,
    asked.probability AS probability,
    asked.lag_ms AS lag_to_sending_ms,
    if(answered = 1, toUnixTimestamp64Milli(given.answered_at) - toUnixTimestamp64Milli(asked.sent_at), NULL) AS lag_to_answer_ms,
    asked.segments AS segments,
    asked.program AS program,
    asked.version AS version
FROM
(
    SELECT *, finest_segment, due_at AS sent_at FROM dispatches FINAL WHERE reminder = 0
) AS asked
LEFT JOIN
(
    SELECT survey_id, sent_at, answered_at, score, band FROM answers FINAL WHERE counted
) AS given ON asked.sent_at = given.sent_at AND asked.survey_id = given.survey_id
SETTINGS join_algorithm = 'full_sorting_merge', join_use_nulls = 1;

-- nps_reader: a trigger and what was decided
CREATE OR REPLACE VIEW fact_decisions{on_cluster}
{definer}
AS SELECT
    trigger_source,
    trigger_type,
    triggered_at,
    decided_at,
    rule,
    survey,
{segments_dimensions}
    outcome,
    reason,
    channel,
    question,
    question_version,
    probability,
    lag_ms AS lag_to_sending_ms,
    toUInt8(1) AS triggers,
    segments,
    program,
    version
FROM decisions FINAL;

-- nps_reader: a detractor's alert as it stands now
CREATE OR REPLACE VIEW fact_alerts{on_cluster}
{definer}
AS SELECT
    alert_id,
    status,
    severity,
    survey,
    rule,
{segments_dimensions}
    score,
    ifNull(comment, '') != '' AS has_comment,
    revision,
    answered_at,
    received_at,
    segments,
    program,
    version
FROM alerts FINAL
ORDER BY dedup_key, version DESC
LIMIT 1 BY dedup_key;

-- nps_reader: day of the answer × survey; n adds up to all answers
CREATE OR REPLACE VIEW nps_by_survey{on_cluster}
{definer}
AS SELECT day, survey, promoters, passives, detractors, n, nps, low, high, margin
FROM
(
    SELECT
        *,
{figures}
    FROM
    (
        SELECT
            toDate(answered_at) AS day,
            survey,
            countIf(assumeNotNull(score) >= 9) AS promoters,
            countIf(assumeNotNull(score) IN (7, 8)) AS passives,
            countIf(assumeNotNull(score) <= 6) AS detractors
        FROM answers FINAL
        WHERE counted
        GROUP BY day, survey
    )
);

-- nps_reader: day of the answer × survey × score; n adds up to all answers
CREATE OR REPLACE VIEW score_histogram{on_cluster}
{definer}
AS SELECT
    toDate(answered_at) AS day,
    survey,
    assumeNotNull(score) AS score,
    count() AS n
FROM answers FINAL
WHERE counted
GROUP BY day, survey, score;
