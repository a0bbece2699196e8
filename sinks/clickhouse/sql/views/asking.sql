-- Asking as BI reads it: every trigger ends sent, suppressed for one reason, or is still pending.  Like all views these are
-- right before any merge has run, and show no personal data; customers who were erased keep counting.  A survey is answered
-- when its answer counts: in time, with a score, not withdrawn.  A reminder is no other survey.

-- nps_reader: day of the trigger × rule × trigger type: triggers = sent + suppressed + pending
CREATE OR REPLACE VIEW ledger{on_cluster}
{definer}
AS SELECT
    toDate(triggered_at) AS day,
    rule,
    trigger_type,
    count() AS triggers,
    countIf(outcome = 'sent') AS sent,
    countIf(outcome = 'suppressed') AS suppressed,
    countIf(outcome = 'pending') AS pending
FROM decisions FINAL
GROUP BY day, rule, trigger_type;

-- nps_reader: day of the trigger × rule × trigger type × reason: suppressed triggers
CREATE OR REPLACE VIEW suppressed_by_reason{on_cluster}
{definer}
AS SELECT
    toDate(triggered_at) AS day,
    rule,
    trigger_type,
    assumeNotNull(reason) AS reason,
    count() AS triggers
FROM decisions FINAL
WHERE outcome = 'suppressed'
GROUP BY day, rule, trigger_type, reason;

-- nps_reader: day of sending × survey × values of the dimensions
CREATE OR REPLACE VIEW response_rate{on_cluster}
{definer}
AS SELECT
    day,
    survey,
    rule,
{dimensions}
    sum(sent) AS dispatched,
    sum(counting) AS answered,
    if(dispatched = 0, NULL, round(answered / dispatched, 4)) AS rate
FROM
(
    SELECT toDate(due_at) AS day, survey, rule, finest_segment, {other_dimensions} AS dimensions, count() AS sent, toUInt64(0) AS counting
    FROM dispatches FINAL
    WHERE reminder = 0
    GROUP BY ALL
    UNION ALL
    SELECT toDate(sent_at), survey, rule, finest_segment, {other_dimensions}, toUInt64(0), count()
    FROM answers FINAL
    WHERE counted
    GROUP BY ALL
)
GROUP BY ALL;

-- A customer who was asked with probability p stands for 1/p customers (Horvitz-Thompson): `represented`,
-- `answers_represented` and `net_represented` are those sums.  Sum them before dividing.  Lags are of the cause to sending, and
-- of the first message to the first score; quantiles are exact up to 8,192 surveys a row and sampled beyond.
-- nps_reader: day of sending × channel × rule × survey × question version: rate, weights for sampling, lags
CREATE OR REPLACE VIEW response_breakdown{on_cluster}
{definer}
AS SELECT
    toDate(sent_at) AS day,
    channel,
    rule,
    survey,
    question,
    question_version,
    count() AS dispatched,
    sum(invitations.answered) AS answered,
    round(answered / dispatched, 4) AS rate,
    round(sum(1 / probability), 4) AS represented,
    round(sumIf(1 / probability, invitations.answered = 1), 4) AS answers_represented,
    round(answers_represented / represented, 4) AS weighted_rate,
    round(sumIf(1 / probability, band = 'promoter') - sumIf(1 / probability, band = 'detractor'), 4) AS net_represented,
    if(answered = 0, NULL, round(100 * net_represented / answers_represented, 2)) AS weighted_nps,
    round(quantile(0.5)(lag_to_sending_ms)) AS median_lag_to_sending_ms,
    round(quantile(0.95)(lag_to_sending_ms)) AS p95_lag_to_sending_ms,
    if(answered = 0, NULL, round(quantile(0.5)(lag_to_answer_ms))) AS median_lag_to_answer_ms,
    if(answered = 0, NULL, round(quantile(0.95)(lag_to_answer_ms))) AS p95_lag_to_answer_ms
FROM fact_invitations AS invitations
GROUP BY day, channel, rule, survey, question, question_version;
