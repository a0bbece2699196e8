"""Alerts to a webhook: one signed JSON POST for each."""
