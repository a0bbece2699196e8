"""Receiver Microsoft Teams, by the webhook of a workflow: an Adaptive Card for all news."""
