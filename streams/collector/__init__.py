"""`nps collector`: score links and pushed answers become records of nps.responses."""
