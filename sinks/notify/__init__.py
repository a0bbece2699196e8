"""Delivery of alerts to people: the notifier port, and a folder for each service."""
