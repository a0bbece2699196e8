-- One event id under two customers is two triggers.

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
WHERE outcome NOT IN ('sent', 'suppressed', 'pending') OR (outcome = 'suppressed') != (reason IS NOT NULL);
