"""Alerts to a terminal: one line for each."""
