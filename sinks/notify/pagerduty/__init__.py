"""Receiver PagerDuty, by its Events API v2: one incident there for each of ours."""
