-- The views that BI reads.  They are right before any merge has run (FINAL, argMax), show no personal data, and run with
-- the rights of whoever migrated, so a reader needs a grant on the view alone.
--
-- NPS is 100 * (promoters - detractors) / n to two decimals, null without answers.  Its 95 % interval always contains it:
-- Newcombe's for paired proportions; 50/30/20 gives 30.0 and 13.97 to 44.18.

-- The newest as-of of each window is found first, from the key alone; only its rows are then read whole.
-- nps_reader: segment × window: counts, n, NPS, 95 % interval, margin, version, now
CREATE VIEW IF NOT EXISTS nps_current
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    segment,
    window,
    start_ms     AS start,
    as_of_ms     AS as_of,
    promoters,
    passives,
    detractors,
    n,
    nps,
    low,
    high,
    margin,
    enough,
    published_ms AS published,
    program,
    version
FROM rolling
WHERE (segment, window, as_of_ms) IN (SELECT segment, window, max(as_of_ms) FROM rolling GROUP BY segment, window)
ORDER BY segment, window, version DESC
LIMIT 1 BY segment, window;

-- nps_reader: segment × minute, hour or day
CREATE VIEW IF NOT EXISTS nps_over_time
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT segment, resolution, start, promoters, passives, detractors, n, nps, low, high, margin
FROM
(
    SELECT
        *,
{figures}
    FROM
    (
        SELECT
            segment,
            resolution,
            start_ms AS start,
            sum(panes.promoters) AS promoters,
            sum(panes.passives) AS passives,
            sum(panes.detractors) AS detractors
        FROM panes FINAL
        GROUP BY segment, resolution, start
    )
);

-- nps_reader: segment: all answers ever
CREATE VIEW IF NOT EXISTS nps_by_segment
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT segment, promoters, passives, detractors, n, nps, low, high, margin
FROM
(
    SELECT
        *,
{figures}
    FROM
    (
        SELECT
            segment,
            sum(panes.promoters) AS promoters,
            sum(panes.passives) AS passives,
            sum(panes.detractors) AS detractors
        FROM panes FINAL
        WHERE resolution = 'day'
        GROUP BY segment
    )
);

-- A dispatch is answered when its answer counts: in time, with a score, not withdrawn.
-- nps_reader: segment × survey: dispatched, answered, rate
CREATE VIEW IF NOT EXISTS response_rate
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    arrayJoin(segments) AS segment,
    survey,
    count() AS dispatched,
    countIf(survey_id IN (SELECT survey_id FROM answers FINAL WHERE counted)) AS answered,
    round(answered / dispatched, 4) AS rate
FROM dispatches FINAL
GROUP BY segment, survey;

-- Recounts every pane from the answers and returns those that differ from what was published: no row when all is well.
-- nps_reader: a pane that differs from a recount of `answers`; no row when all is well
CREATE VIEW IF NOT EXISTS audit
DEFINER = CURRENT_USER SQL SECURITY DEFINER
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
        arrayJoin(segments) AS segment,
        pane.1 AS resolution,
        fromUnixTimestamp64Milli(instant - positiveModulo(instant, pane.2), 'UTC') AS start,
        (toInt64(band = 'promoter'), toInt64(band = 'passive'), toInt64(band = 'detractor')) AS recounted,
        (toInt64(0), toInt64(0), toInt64(0)) AS published
    FROM
    (
        SELECT
            segments,
            assumeNotNull(band) AS band,
            toUnixTimestamp64Milli(answered_ms) AS instant,
            arrayJoin([('minute', toInt64(60000)), ('hour', toInt64(3600000)), ('day', toInt64(86400000))]) AS pane
        FROM answers FINAL
        WHERE counted
    )
    UNION ALL
    SELECT
        toString(segment),
        toString(resolution),
        start_ms,
        (toInt64(0), toInt64(0), toInt64(0)),
        (promoters, passives, detractors)
    FROM panes FINAL
)
GROUP BY segment, resolution, start
HAVING (answers_promoters, answers_passives, answers_detractors) != (panes_promoters, panes_passives, panes_detractors);
