"""Receivers of Slack: an app, which keeps one message for each incident, and an incoming webhook."""
