"""Proof that stream, warehouse and a recount of the input agree, and rehearsals of another program file."""
