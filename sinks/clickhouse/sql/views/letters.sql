-- Each letter counts once, by its newest death: waiting until that was put back or dropped.
-- nps_reader: topic × source × reason × state: dead letters
CREATE OR REPLACE VIEW letters_by_reason{on_cluster}
{definer}
AS SELECT
    newest.origin_topic AS origin_topic,
    newest.source AS source,
    newest.reason AS reason,
    if(ifNull(done.action, '') = '', 'waiting', toString(done.action)) AS state,
    count() AS letters,
    min(newest.at) AS oldest_at,
    max(newest.at) AS newest_at
FROM
(
    SELECT letter_id, death, origin_topic, source, reason, died_at AS at
    FROM dead_letters FINAL
    ORDER BY death DESC, version DESC
    LIMIT 1 BY letter_id
) AS newest
LEFT JOIN
(
    SELECT letter_id, death, action FROM letter_actions FINAL
) AS done ON newest.letter_id = done.letter_id AND newest.death = done.death
GROUP BY origin_topic, source, reason, state;
