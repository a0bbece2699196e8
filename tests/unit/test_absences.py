"""Absences: at their limits, and by chance not at all."""

import pytest

from streams.domain.incidents.absences import STALLED_MS, no_answers, nothing_sent, response_rate, stalled
from streams.domain.nps import Tally
from streams.domain.panes import DAY_MS, HOUR_MS

CLOSE_MS = 400_000 * HOUR_MS


def answers(an_hour: int, silent_hours: int, hours: int = 21 * 24) -> dict[int, Tally]:
    """So many answers in every hour up to the silence."""
    return {
        CLOSE_MS - (ago + 1) * HOUR_MS: Tally(an_hour, 0, 0) for ago in range(silent_hours, hours) if an_hour
    }  # fmt: skip


@pytest.mark.parametrize(
    ("an_hour", "silent_hours", "told"),
    [(2, 5, False), (2, 6, True), (1, 9, False), (1, 10, True), (1, 60, True), (0, 48, False)],
)
def test_a_silence_is_told_where_ten_answers_were_expected(an_hour: int, silent_hours: int, told: bool) -> None:
    """Of six hours or more; where an answer comes an hour, after ten; where nobody ever answers, never."""
    assert no_answers(answers(an_hour, silent_hours), CLOSE_MS, 6 * HOUR_MS) == told


def test_nights_are_no_silence() -> None:
    """Ten hours without answers each night are expected without, and an empty pane is no answer."""
    by_day = {
        start_ms: tally for start_ms, tally in answers(9, 0).items() if (CLOSE_MS - start_ms) % DAY_MS > 10 * HOUR_MS
    }
    empty = dict.fromkeys(range(CLOSE_MS - 10 * HOUR_MS, CLOSE_MS, HOUR_MS), Tally())
    assert not no_answers({**by_day, **empty}, CLOSE_MS, 6 * HOUR_MS)
    assert no_answers({**by_day, **empty}, CLOSE_MS + 4 * HOUR_MS, 6 * HOUR_MS)


def test_an_answer_ends_a_silence() -> None:
    """The next close no longer tells it."""
    hours = answers(2, 12)
    assert no_answers(hours, CLOSE_MS, 6 * HOUR_MS)
    assert not no_answers({**hours, CLOSE_MS - HOUR_MS: Tally(0, 1, 0)}, CLOSE_MS, 6 * HOUR_MS)


@pytest.mark.parametrize(
    ("sent", "answered", "told"),
    [(99, 0, False), (100, 0, True), (1_000, 37, False), (1_000, 36, True), (100, 4, False)],
)
def test_a_low_response_rate_is_told_beyond_chance(sent: int, answered: int, told: bool) -> None:
    """Against a limit of 5 %: 36 of 1,000 are too few, 4 of 100 may be chance."""
    assert response_rate(sent, answered, 0.05) == told


def test_limits_of_time_are_reached_exactly() -> None:
    """Of open hours without a dispatch, and of a pipeline without rows."""
    assert [nothing_sent(open_ms, 4 * HOUR_MS) for open_ms in (4 * HOUR_MS - 1, 4 * HOUR_MS)] == [False, True]
    assert [stalled(CLOSE_MS, CLOSE_MS + late_ms) for late_ms in (STALLED_MS - 1, STALLED_MS)] == [False, True]
