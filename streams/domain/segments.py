"""Segment keys of an event, from its dimensions.

A key names its dimensions in the configured order: `all`, `state=SP`, `state=SP,category=toys`.  A dimension the event
did not carry reads `(none)`; one of a number is the number's band.  Values are cut at 64 characters, and `%`, `=`, `,`
and `|` in them are percent-encoded, so a key can be taken apart again and never breaks a topic key or a label.
"""

from collections.abc import Mapping
from functools import lru_cache

from streams.domain.policy import Program

ALL = "all"
MISSING = "(none)"
LONGEST = 64
_ESCAPES = str.maketrans({"%": "%25", "=": "%3D", ",": "%2C", "|": "%7C"})

Dimensions = tuple[tuple[str, str], ...]
"""Values of the configured dimensions, in their order."""


def capture(attributes: Mapping[str, str], program: Program) -> tuple[Dimensions, tuple[str, ...]]:
    """Dimensions and segment keys, `all` first, of an event with these attributes, as `Program.read` gives them."""
    names, bands = program.dimensions, program.bands
    if bands:
        attributes = {**attributes, **{name: band.band_of(attributes) or MISSING for name, band in bands.items()}}
    return _captured(names, tuple([attributes.get(name, MISSING) for name in names]), program.combinations)


@lru_cache(maxsize=8_192)
def _captured(
    names: tuple[str, ...], values: tuple[str, ...], combinations: tuple[tuple[str, ...], ...]
) -> tuple[Dimensions, tuple[str, ...]]:
    dimensions = tuple(zip(names, values, strict=True))
    escaped = {name: value[:LONGEST].translate(_ESCAPES) for name, value in dimensions}
    combined = (",".join(f"{name}={escaped[name]}" for name in combination) for combination in combinations)
    return dimensions, (ALL, *combined)
