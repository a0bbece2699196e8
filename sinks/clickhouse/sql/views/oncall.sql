-- Whom to call back: alerts that are open, oldest first.

-- nps_reader: an open alert, without the person
CREATE OR REPLACE VIEW detractor_queue{on_cluster}
{definer}
AS SELECT
    answered_at,
    dateDiff('second', received_at, now64(3, 'UTC')) AS age_s,
    severity,
    score,
    survey,
    rule,
{plain_dimensions}
    has_comment,
    alert_id
FROM fact_alerts
WHERE status = 'open'
ORDER BY received_at;

-- nps_personal: an open alert with the customer and the comment
CREATE OR REPLACE VIEW detractor_queue_personal{on_cluster}
{definer}
AS SELECT
    queue.answered_at AS answered_at,
    queue.age_s AS age_s,
    queue.severity AS severity,
    queue.score AS score,
    told.customer_id AS customer_id,
    told.comment AS comment,
    told.correlation_id AS correlation_id,
    queue.survey AS survey,
    queue.rule AS rule,
{plain_dimensions}
    queue.alert_id AS alert_id
FROM detractor_queue AS queue
INNER JOIN (SELECT alert_id, customer_id, comment, correlation_id FROM alerts FINAL) AS told ON queue.alert_id = told.alert_id
ORDER BY queue.age_s DESC;
