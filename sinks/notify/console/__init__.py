"""Notifier that prints alerts to a terminal: one line for each."""
