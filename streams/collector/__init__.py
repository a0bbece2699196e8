"""The collector, `nps collector`: turns score links and pushed answers into records of nps.responses."""
