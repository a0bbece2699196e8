-- Rendered for minute, hour and day.

-- The segments of the finest combination of dimensions that the program keeps hold every answer once.  What it did not keep
-- yet at that time is what `all` has more than they, in a row whose dimensions are null.
-- nps_reader: {resolution} × dimensions; n adds up to all answers
CREATE OR REPLACE VIEW nps_by_{resolution}{on_cluster}
{definer}
AS SELECT
    {resolution},
{finest_dimensions}
    promoters,
    passives,
    detractors,
    n,
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
            {time} AS {resolution},
            sum(panes.promoters) AS promoters,
            sum(panes.passives) AS passives,
            sum(panes.detractors) AS detractors
        FROM panes FINAL
        WHERE resolution = '{resolution}' AND {combination} = {finest}
        GROUP BY segment, {resolution}
        HAVING promoters + passives + detractors > 0
        UNION ALL
        SELECT
            toLowCardinality('') AS segment,
            {time} AS {resolution},
            sum(sign * panes.promoters) AS promoters,
            sum(sign * panes.passives) AS passives,
            sum(sign * panes.detractors) AS detractors
        FROM
        (
            SELECT *, if({combination} = {finest}, -1, 1) AS sign
            FROM panes FINAL
            WHERE resolution = '{resolution}' AND (segment = 'all' OR {combination} = {finest})
        ) AS panes
        GROUP BY {resolution}
        HAVING promoters + passives + detractors > 0
    )
);

-- nps_reader: segment × {resolution}; segments overlap
CREATE OR REPLACE VIEW segment_nps_by_{resolution}{on_cluster}
{definer}
AS SELECT
    segment,
    {combination} AS combination,
{segment_dimensions}
    {resolution},
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
            {time} AS {resolution},
            sum(panes.promoters) AS promoters,
            sum(panes.passives) AS passives,
            sum(panes.detractors) AS detractors
        FROM panes FINAL
        WHERE resolution = '{resolution}'
        GROUP BY segment, {resolution}
    )
);
