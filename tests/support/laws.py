"""How thoroughly laws are checked; LAWS names the profile, and so does Hypothesis' own --hypothesis-profile.

quick   a tenth of the examples, the same ones every time: what `make test` and CI do
many    all of them, the same ones every time: what `make laws` and `make test-kafka` do
anew    as many, others each time

None has a deadline, for a busy machine is no counterexample.
"""

import random
from collections.abc import Mapping

from hypothesis import settings

QUICK, MANY, ANEW = PROFILES = ("quick", "many", "anew")
DEFAULT_EXAMPLES = 100
QUICK_EXAMPLES = 10
"""No law is checked on fewer examples than this."""


def register() -> None:
    """Make the profiles known to Hypothesis."""
    settings.register_profile(ANEW, deadline=None, max_examples=DEFAULT_EXAMPLES, print_blob=True)
    settings.register_profile(MANY, settings.get_profile(ANEW), derandomize=True)
    settings.register_profile(QUICK, settings.get_profile(MANY), max_examples=QUICK_EXAMPLES)


def chosen(environ: Mapping[str, str]) -> str:
    """The profile that LAWS asks for.  Raises ValueError for one that there is not."""
    name = environ.get("LAWS") or QUICK
    if name not in PROFILES:
        raise ValueError(f"LAWS is {name!r}; there are {', '.join(PROFILES)}")
    return name


def examples(many: int) -> int:
    """How many examples, or seeds, to check where `many` would be thorough: a tenth under `quick`, never below ten."""
    if settings.get_current_profile_name() != QUICK:
        return many
    return min(many, max(many // 10, QUICK_EXAMPLES))


def seeds(many: int, part: int = 0, parts: int = 1) -> range:
    """Seeds for laws that draw with `random`: one part of `examples(many)`; others each time under `anew`."""
    count = examples(many)
    first = random.SystemRandom().randrange(1 << 32) if settings.get_current_profile_name() == ANEW else 0
    return range(first + part * count // parts, first + (part + 1) * count // parts)
