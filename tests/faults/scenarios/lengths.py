"""How long the scenarios of dying and resting members last: FAULT_LENGTH times the short version, from FAULT_SEED."""

import os

SEED = int(os.environ.get("FAULT_SEED", "1"))
LENGTH = float(os.environ.get("FAULT_LENGTH", "1"))


def times(short: float) -> int:
    """A number of rounds or records, as many times as asked for."""
    return max(1, round(short * LENGTH))
