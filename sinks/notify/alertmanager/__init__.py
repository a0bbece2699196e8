"""Receiver Prometheus Alertmanager, by its API v2: what is open is repeated every minute, for it forgets."""
