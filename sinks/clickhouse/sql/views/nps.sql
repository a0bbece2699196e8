-- NPS as BI reads it: 100 * (promoters - detractors) / n to two decimals, null without answers.  Its 95 % interval always
-- contains it: Newcombe's for paired proportions; 50/30/20 gives 30.0 and 13.97 to 44.18.
--
-- A count that is called n adds up to all answers, whatever it is filtered or grouped by.  Where rows overlap, as segments
-- and windows do, the count is called answers.

-- The newest end of each window is found first, from a projection; only its rows are then read.
-- nps_reader: segment × window, as of now
CREATE OR REPLACE VIEW nps_current{on_cluster}
{definer}
AS SELECT
    segment,
    {combination} AS combination,
{segment_dimensions}
    window,
    start           AS window_start,
    rolling.as_of   AS window_end,
    published_at    AS as_of,
    promoters,
    passives,
    detractors,
    n               AS answers,
    nps,
    low,
    high,
    margin,
    enough,
    program,
    version
FROM rolling
WHERE (segment, window, rolling.as_of) IN (SELECT segment, window, max(as_of) FROM rolling GROUP BY segment, window)
ORDER BY segment, window, version DESC
LIMIT 1 BY segment, window;

-- nps_reader: segment, of all answers ever
CREATE OR REPLACE VIEW nps_by_segment{on_cluster}
{definer}
AS SELECT
    segment,
    {combination} AS combination,
{segment_dimensions}
    promoters,
    passives,
    detractors,
    n AS answers,
    nps,
    low,
    high,
    margin
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

-- The last 7, 30 and 90 whole days (UTC) against as many before them.  The interval of the difference of two independent
-- scores is made from the intervals of both: Zou and Donner 2008, as Newcombe 1998 does for two proportions.
-- nps_reader: segment × period: the days before today against as many before them
CREATE OR REPLACE VIEW nps_change{on_cluster}
{definer}
AS SELECT
    segment,
    {combination} AS combination,
{segment_dimensions}
    days,
    since,
    answers_before,
    nps_before,
    answers,
    nps,
    if(answers = 0 OR answers_before = 0, NULL, round(nps - nps_before, 2)) AS change,
    if(answers = 0 OR answers_before = 0, NULL, greatest(-200, floor(change - sqrt(pow(nps - low, 2) + pow(high_before - nps_before, 2)), 2))) AS change_low,
    if(answers = 0 OR answers_before = 0, NULL, least(200, ceil(change + sqrt(pow(high - nps, 2) + pow(nps_before - low_before, 2)), 2))) AS change_high,
    ifNull(change_low > 0 OR change_high < 0, false) AS is_beyond_chance
FROM
(
    SELECT
        segment,
        days,
        toDate(now('UTC')) - days AS since,
        sumIf(n, is_after) AS answers,
        anyIf(halves.nps, is_after) AS nps,
        anyIf(halves.low, is_after) AS low,
        anyIf(halves.high, is_after) AS high,
        sumIf(n, NOT is_after) AS answers_before,
        anyIf(halves.nps, NOT is_after) AS nps_before,
        anyIf(halves.low, NOT is_after) AS low_before,
        anyIf(halves.high, NOT is_after) AS high_before
    FROM
    (
        SELECT
            *,
{figures}
        FROM
        (
            SELECT
                segment,
                arrayJoin(arrayFilter(length -> ago <= 2 * length, [7, 30, 90])) AS days,
                ago <= days AS is_after,
                sum(promoters_a_day) AS promoters,
                sum(passives_a_day) AS passives,
                sum(detractors_a_day) AS detractors
            FROM
            (
                SELECT
                    segment,
                    toDate(now('UTC')) - toDate(start) AS ago,
                    sum(panes.promoters) AS promoters_a_day,
                    sum(panes.passives) AS passives_a_day,
                    sum(panes.detractors) AS detractors_a_day
                FROM panes FINAL
                WHERE resolution = 'day' AND start >= toDate(now('UTC')) - 180 AND start < toDate(now('UTC'))
                GROUP BY segment, ago
            )
            GROUP BY segment, days, is_after
        )
    ) AS halves
    GROUP BY segment, days
);

-- The newest judgement of each segment, window by window; of windows that have no answers and none before them no row.
-- nps_reader: segment × window: the answers in it against those before it, at the last close of an hour
CREATE OR REPLACE VIEW segment_falls{on_cluster}
{definer}
AS SELECT
    segment,
    {combination} AS combination,
{segment_dimensions}
    window,
    closed_at,
    answers_before,
    nps_before,
    answers,
    nps,
    round(nps - nps_before, 2) AS change,
    evidence,
    threshold,
    ifNull(evidence >= threshold, false) AS is_fall,
    smallest_fall
FROM
(
    SELECT
        segment,
        window,
        closed_at,
        any(halves.evidence) AS evidence,
        any(halves.threshold) AS threshold,
        any(halves.smallest_fall) AS smallest_fall,
        sumIf(n, is_after) AS answers,
        anyIf(halves.nps, is_after) AS nps,
        sumIf(n, NOT is_after) AS answers_before,
        anyIf(halves.nps, NOT is_after) AS nps_before
    FROM
    (
        SELECT
            *,
{figures}
        FROM
        (
            SELECT
                segment,
                closed_at,
                JSONExtractString(judged, 'window') AS window,
                JSONExtract(judged, 'z', 'Nullable(Float64)') AS evidence,
                JSONExtract(judged, 'threshold', 'Nullable(Float64)') AS threshold,
                JSONExtract(judged, 'smallest', 'Nullable(Float64)') AS smallest_fall,
                arrayJoin([false, true]) AS is_after,
                if(is_after, JSONExtractRaw(judged, 'after'), JSONExtractRaw(judged, 'before')) AS bands,
                JSONExtractInt(bands, 'promoters') AS promoters,
                JSONExtractInt(bands, 'passives') AS passives,
                JSONExtractInt(bands, 'detractors') AS detractors
            FROM
            (
                SELECT segment, closed_at, arrayJoin(JSONExtractArrayRaw(windows, 'windows')) AS judged
                FROM
                (
                    SELECT segment, closed_at, windows
                    FROM falls
                    WHERE (segment, closed_at) IN (SELECT segment, max(closed_at) FROM falls GROUP BY segment)
                    ORDER BY segment, version DESC
                    LIMIT 1 BY segment
                )
            )
        )
    ) AS halves
    GROUP BY segment, window, closed_at
)
WHERE answers + answers_before > 0;
