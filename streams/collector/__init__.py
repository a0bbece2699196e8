"""The collector, `nps collector`: makes answers of score links and pushes, and takes the webhooks of sources."""
