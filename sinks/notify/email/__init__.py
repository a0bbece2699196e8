"""Receiver e-mail: a message for all news, those of an incident in one thread."""
