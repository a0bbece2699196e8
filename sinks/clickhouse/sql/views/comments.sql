-- What customers write about, and how they mean it.  No row names a customer or holds a comment's text; comments that were
-- withdrawn, and those of customers who were erased, are in none.

-- nps_reader: a comment, with its answer
CREATE OR REPLACE VIEW fact_comments{on_cluster}
{definer}
AS SELECT
    survey,
    rule,
{dimensions}
    sent_at,
    answered_at,
    counted,
    score,
    band,
    themes,
    sentiment,
    confidence,
    model,
    revision,
    segments,
    program,
    version
FROM
(
    SELECT
        told.sent_at AS sent_at, told.answered_at AS answered_at, told.themes AS themes,
        toString(assumeNotNull(told.sentiment)) AS sentiment, told.confidence AS confidence, told.model AS model,
        told.revision AS revision, told.version AS version, given.survey AS survey, given.rule AS rule,
        given.finest_segment AS finest_segment, given.dimensions AS dimensions, given.segments AS segments,
        given.counted AS counted, given.score AS score, ifNull(given.band, '') AS band, given.program AS program
    FROM (SELECT * FROM comments FINAL WHERE isNotNull(sentiment)) AS told
    INNER JOIN
    (
        SELECT survey_id, sent_at, survey, rule, finest_segment, dimensions, segments, counted, score, band, program
        FROM answers FINAL
    ) AS given ON told.sent_at = given.sent_at AND told.survey_id = given.survey_id
)
SETTINGS join_algorithm = 'full_sorting_merge';

-- A comment of several themes is in a row of each, so comments of different themes are never added up.
-- nps_reader: day of the answer × survey × theme × band; themes overlap
CREATE OR REPLACE VIEW theme_by_band{on_cluster}
{definer}
AS SELECT
    toDate(answered_at) AS day,
    survey,
    theme,
    band,
    count() AS comments,
    countIf(sentiment = 'positive') AS positive,
    countIf(sentiment = 'neutral') AS neutral,
    countIf(sentiment = 'negative') AS negative
FROM fact_comments
ARRAY JOIN themes AS theme
GROUP BY day, survey, theme, band;

-- A theme recurs when five customers or more touched it within 14 days; one customer who writes five times does not make one.
-- nps_reader: theme that five customers or more touched in the last 14 days, and how many did in the 14 before
CREATE OR REPLACE VIEW recurring_themes{on_cluster}
{definer}
AS SELECT
    theme,
    uniqExactIf(customer_id, answered_at >= now() - INTERVAL 14 DAY) AS customers,
    uniqExactIf(customer_id, answered_at < now() - INTERVAL 14 DAY) AS customers_before,
    countIf(answered_at >= now() - INTERVAL 14 DAY) AS comments,
    countIf(answered_at >= now() - INTERVAL 14 DAY AND sentiment = 'negative') AS negative
FROM (SELECT customer_id, answered_at, themes, sentiment FROM comments FINAL WHERE isNotNull(sentiment))
ARRAY JOIN themes AS theme
WHERE answered_at >= now() - INTERVAL 28 DAY
GROUP BY theme
HAVING customers >= 5
ORDER BY customers DESC, theme;
