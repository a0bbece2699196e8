"""Small program files for tests: what a test is about it names, all else is plain."""

from collections.abc import Mapping, Sequence

RULE = {"name": "r", "survey": "s", "on": ["order.delivered"], "delay": "0s", "expires": "30d"}
"""Asks about every delivered order, at once."""

LIMITS = {"late": "7d", "early": "5m", "edit": "7d", "hold": "1h", "remember": "120d"}


def program(
    *rules: Mapping[str, object],
    quarantine: str = "0s",
    dimensions: Sequence[str] = ("country",),
    combinations: Sequence[Sequence[str]] = (("country",),),
    windows: Sequence[str] = ("1h",),
    **limits: str,
) -> str:
    """The text of a program file; each rule has what it says over `RULE`, the limits likewise."""
    tables = [("[[rules]]", {**RULE, **rule}) for rule in rules or ({},)]
    tables += [
        ("[quarantine]", {"any": quarantine}),
        ("[segments]", {"dimensions": list(dimensions), "combinations": [list(one) for one in combinations]}),
        ("[windows]", {"lengths": list(windows)}),
        ("[limits]", {**LIMITS, **limits}),
        ("[alerts]", {"critical_max": 2, "error_max": 4, "warning_max": 6}),
    ]
    return "\n".join(line for head, keys in tables for line in (head, *map(_line, keys.items()))) + "\n"


def _line(pair: tuple[str, object]) -> str:
    name, value = pair
    return f"{name} = " + repr(value).replace("'", '"')
