"""Pure: the standard library and `schemas.events`, nothing else.  No clock, no network, no environment."""
