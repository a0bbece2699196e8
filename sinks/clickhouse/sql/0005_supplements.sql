-- Panes go from the stream when no answer changes them ordinarily; here they stay.  What is counted in one after that
-- comes as a supplement, a row beside the pane's own: the tally of a pane is the sum of both, as all views have it.
ALTER TABLE panes
    ADD COLUMN IF NOT EXISTS supplement UInt64 AFTER version,
    MODIFY ORDER BY (segment, resolution, start_ms, source_partition, supplement);
