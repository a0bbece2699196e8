"""Proof that stream, warehouse and a recount of the input agree, and replays of the past: rehearsals, rebuilds."""
