-- Two roles, for an administrator to make once: `nps_reader` sees numbers, `nps_personal` also sees people.  They are not
-- numbered, because chDB has no roles and many companies make theirs elsewhere.

CREATE ROLE IF NOT EXISTS nps_reader;
GRANT SELECT ON nps_current TO nps_reader;
GRANT SELECT ON nps_over_time TO nps_reader;
GRANT SELECT ON nps_by_segment TO nps_reader;
GRANT SELECT ON response_rate TO nps_reader;
GRANT SELECT ON response_breakdown TO nps_reader;
GRANT SELECT ON ledger TO nps_reader;
GRANT SELECT ON suppressed_by_reason TO nps_reader;
GRANT SELECT ON audit TO nps_reader;
GRANT SELECT ON ledger_audit TO nps_reader;

CREATE ROLE IF NOT EXISTS nps_personal;
GRANT nps_reader TO nps_personal;
GRANT SELECT ON answers TO nps_personal;
GRANT SELECT ON panes TO nps_personal;
GRANT SELECT ON rolling TO nps_personal;
GRANT SELECT ON decisions TO nps_personal;
GRANT SELECT ON dispatches TO nps_personal;
GRANT SELECT ON alerts TO nps_personal;
GRANT SELECT ON dead_letters TO nps_personal;
GRANT SELECT ON erasures TO nps_personal;
