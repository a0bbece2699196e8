"""Absences: answers, surveys or response that should be there and are not, each told by numbers of panes and records.

An absence opens by one of these functions and ends by the opposite: an answer, a dispatch, a rate that is back.
Instants are milliseconds UTC.
"""

from collections.abc import Mapping
from math import sqrt

from streams.domain.nps import Z_95, Tally
from streams.domain.panes import DAY_MS, HOUR_MS

EXPECTED_ANSWERS = 10
"""Answers that were to be expected in a silence before it is told: fewer may be missing by chance."""

LEAST_SENT = 100
"""Surveys below which a response rate is not judged."""

RATE_FROM_MS, RATE_TO_MS = 10 * DAY_MS, 3 * DAY_MS
"""Age of the surveys by which response is judged: old enough to be answered, new enough to matter."""

STALLED_MS = 300_000
"""Time without any row of nps.rolling after which the pipeline itself is taken to be at fault."""

_SAME_DAYS = 7


def no_answers(hours: Mapping[int, Tally], close_ms: int, gap_ms: int) -> bool:
    """Tell whether no answer came for `gap_ms` up to this close of an hour, where EXPECTED_ANSWERS were to be expected.

    `hours` are tallies of hour panes by start; the same hours of the 7 days before the gap say what is expected, on
    average.  Over a gap of more than a day each day of it expects a day's answers.
    """
    gap_start_ms = _last_answer_end_ms(hours, close_ms)
    if gap_start_ms is None or close_ms - gap_start_ms < gap_ms:
        return False
    expected = 0
    for start_ms in range(gap_start_ms, close_ms, HOUR_MS):
        days_in = (start_ms - gap_start_ms) // DAY_MS
        for ago in range(1, _SAME_DAYS + 1):
            tally = hours.get(start_ms - (days_in + ago) * DAY_MS)
            expected += tally.n if tally is not None else 0
        if expected >= EXPECTED_ANSWERS * _SAME_DAYS:
            return True
    return False


def _last_answer_end_ms(hours: Mapping[int, Tally], close_ms: int) -> int | None:
    """End of the newest hour with answers before this close; None where there is none."""
    newest = max((start_ms for start_ms, tally in hours.items() if tally.n > 0 and start_ms < close_ms), default=None)
    return None if newest is None else newest + HOUR_MS


def nothing_sent(open_ms: int, limit_ms: int) -> bool:
    """Tell whether no survey was sent for `limit_ms` of sending hours; `open_ms` of them passed since the last one."""
    return open_ms >= limit_ms


def response_rate(sent: int, answered: int, limit: float) -> bool:
    """Tell whether response is below the limit beyond chance: Wilson's upper bound at 95 % is.

    Of surveys sent RATE_FROM_MS to RATE_TO_MS ago; False below LEAST_SENT of them.  E. B. Wilson, "Probable inference,
    the law of succession, and statistical inference", Journal of the American Statistical Association 22 (1927).
    """
    if sent < LEAST_SENT:
        return False
    centre = (answered + Z_95 * Z_95 / 2) / (sent + Z_95 * Z_95)
    half_width = Z_95 * sqrt(answered * (sent - answered) / sent + Z_95 * Z_95 / 4) / (sent + Z_95 * Z_95)
    return centre + half_width < limit


def stalled(last_row_ms: int, now_ms: int) -> bool:
    """Tell whether nps.rolling is silent for so long that the pipeline stands: no other absence means anything then."""
    return now_ms - last_row_ms >= STALLED_MS
