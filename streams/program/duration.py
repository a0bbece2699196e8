"""Times as the program file writes them: durations like '90d' and hours like '09:00-20:00'."""

import re

from streams.program.complaint import error_at

UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"(\d+)(ms|s|m|h|d)")
_HOURS = re.compile(r"(\d\d):([0-5]\d)-(\d\d):([0-5]\d)")


def duration_ms(text: str) -> int:
    """Milliseconds of a duration like '90d'.  Raises ValueError for anything but a whole number and a unit."""
    if not (match := _DURATION.fullmatch(text)):
        raise ValueError(f"{text!r} is no duration: write a whole number and one of {', '.join(UNITS_MS)}, as in '90d'")
    return int(match[1]) * UNITS_MS[match[2]]


def hours_ms(text: str) -> tuple[int, int]:
    """Start and end of hours like '09:00-20:00', in milliseconds after midnight.  Raises ValueError for others."""
    if not (match := _HOURS.fullmatch(text)):
        raise ValueError(f"{text!r} are no hours: write them as '09:00-20:00', or 'always'")
    opens, closes = (int(match[i]) * UNITS_MS["h"] + int(match[i + 1]) * UNITS_MS["m"] for i in (1, 3))
    if not opens < closes <= UNITS_MS["d"]:
        raise ValueError(f"{text!r} must open before they close, on the same day; 24:00 is the latest end")
    return opens, closes


def times_ms(text: str) -> tuple[int, int]:
    """Start and end of hours like '20:00-08:00', maybe over midnight, in milliseconds after it.  Raises ValueError."""
    if not (match := _HOURS.fullmatch(text)):
        raise ValueError(f"{text!r} are no hours: write them as '20:00-08:00'")
    starts, ends = (int(match[i]) * UNITS_MS["h"] + int(match[i + 1]) * UNITS_MS["m"] for i in (1, 3))
    return starts, ends


def ms_at(text: str, path: str) -> int:
    """Milliseconds of the duration at this place of the file.  Raises ValidationError that names the place."""
    try:
        return duration_ms(text)
    except ValueError as error:
        raise error_at(str(error), path) from None
