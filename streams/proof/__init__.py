"""Proof that stream, warehouse and a recount of the input agree, and rehearsal of another program file."""
