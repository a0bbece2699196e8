"""Notifier that posts alerts to a webhook: one signed JSON POST for each."""
