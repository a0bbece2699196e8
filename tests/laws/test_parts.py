"""Law of an answer's parts: one set of responses makes one answer in any order, whatever `edit` is beside `late`.

The oracle goes through the set once, in order of time, and keeps nothing but what it would have kept had all come so.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import Alert, Answer, SurveyResponse
from streams.domain.effects import Confirm, Ignore, Reject
from streams.domain.panes import DAY_MS, MINUTE_MS
from streams.domain.parts import MOST_COMMENTS, MOST_PARTS
from tests.support.answers import ASKED, FIRST_MS, SURVEY
from tests.support.clicks import WAIT_MS, click, confirmed, trap
from tests.support.histories import OPEN, Run, response, wakeup
from tests.support.laws import examples
from tests.support.recount import stamp

LATE_MS = OPEN.limits.late_ms
EDITS_MS = {"shorter than late": LATE_MS // 3, "as long as late": LATE_MS, "longer than late": 2 * LATE_MS}
READ_MS = FIRST_MS + LATE_MS - DAY_MS - 10 * MINUTE_MS
TIMES_MS = st.builds(
    lambda day, off_ms: min(FIRST_MS + day * DAY_MS // 3 + off_ms, READ_MS),
    st.integers(0, 21), st.sampled_from([0, 0, 1, 9_000, 20_000, WAIT_MS, MINUTE_MS]),
)  # fmt: skip
KINDS = ["score", "score", "both", "comment", "void", "click", "click", "burst", "trap", "again"]


class Last(NamedTuple):
    """What an answer is in the end."""

    score: int | None = None
    first_ms: int | None = None
    comment: str | None = None


@st.composite
def sets(draw: st.DrawFn) -> list[SurveyResponse]:
    """Up to fourteen parts within `late`, corrections, withdrawals, clicks, traps, and copies told again later."""
    found: list[SurveyResponse] = []
    for number in range(draw(st.integers(1, 14))):
        kind, at_ms, score = draw(st.sampled_from(KINDS)), draw(TIMES_MS), draw(st.integers(0, 10))
        words = f"comment {number}"
        if kind == "again" and found:
            told = draw(st.sampled_from(found))
            later_ms = told.time if told.provisional else max(told.time, at_ms)
            found.append(told._replace(time=later_ms))
        elif kind == "burst":
            found += [click(at_ms + n, (score + n) % 11) for n in range(3)]
        else:
            made = {
                "comment": response(f"r{number}", at_ms, None, words),
                "both": response(f"r{number}", at_ms, score, words),
                "void": response(f"r{number}", at_ms, voided=True),
                "click": click(at_ms, score),
                "trap": trap(at_ms),
            }
            found.append(made.get(kind, response(f"r{number}", at_ms, score)))
    return found


SECONDS_MS = 6_000
"""Two scores of one link less than this apart are a machine's, unless a person shows."""


def oracle(said: Sequence[SurveyResponse], edit_ms: int) -> Last:
    """The answer, from the whole set in order of time."""
    clicks = {(each.time, each.score or 0) for each in said if each.provisional and not each.voided}
    traps_ms = {each.time for each in said if each.provisional and each.voided}
    persons = {(each.time, each.score) for each in said if not each.provisional and not each.voided}
    lost = {
        (at, n) for at, n in clicks
        if any(0 <= abs(other_ms - at) < SECONDS_MS and m != n for other_ms, m in clicks)
        or any(
            at > at_ms and m is not None and (at_ms, m) not in clicks and n != m
            and any(before_ms < at_ms and left == n for before_ms, left in clicks)
            for at_ms, m in persons
        )
    }  # fmt: skip
    for at_ms, m in persons:
        led = [(at, n) for at, n in clicks if 0 <= at_ms - at < WAIT_MS]
        lost -= {(at_ms, m)} if (at_ms, m) in clicks else {max(led)} if led else set()
    lost |= {(at, n) for at, n in clicks if any(abs(at - trap_ms) < WAIT_MS for trap_ms in traps_ms)}
    for start_ms, _ in clicks:
        burst = {(at, n) for at, n in clicks if start_ms <= at < start_ms + WAIT_MS}
        lost |= burst if len({n for _, n in burst}) > 2 else set()
    facts: dict[tuple[str, str], SurveyResponse] = {}
    for each in [*(one for one in said if not one.provisional), *(confirmed(said, *one) for one in clicks - lost)]:
        known = facts.get((each.source, each.id))
        if known is None or each.time < known.time:
            facts[each.source, each.id] = each
    first_ms, score, comment = None, None, None
    for each in sorted(facts.values(), key=lambda one: (one.time, one.voided, stamp(one))):
        if first_ms is not None and each.time > first_ms + edit_ms:
            break
        if each.voided:
            first_ms = score = comment = None
        elif each.score is not None:
            first_ms, score = each.time if first_ms is None else first_ms, each.score
        if each.comment is not None:
            comment = each.comment
    return Last(score, first_ms, comment)


def told(said: Sequence[SurveyResponse], edit_ms: int) -> Run:
    """The journey of a customer who was heard in this order; what is put back is read at once or in the end."""
    asks = replace(OPEN, limits=replace(OPEN.limits, edit_ms=edit_ms))
    journey = Run(asks)
    journey.take(ASKED)
    for number, each in enumerate(said):
        journey.take((READ_MS + number, each))
    read_back(journey, READ_MS + WAIT_MS + len(said))
    return journey


def read_back(journey: Run, at_ms: int) -> None:
    """The wait of every click is over."""
    journey.take(wakeup(at_ms))
    for confirm in journey.all(Confirm):
        journey.take((confirm.at_ms, confirm.response))


@pytest.mark.parametrize("edit", EDITS_MS)
@settings(max_examples=examples(1_000))
@given(sets(), st.randoms(use_true_random=False))
def test_one_set_makes_one_answer(edit: str, said: list[SurveyResponse], chance: object) -> None:
    """Score, instant, whether it counts, and comment are those of the set, in three orders of it."""
    wanted = oracle(said, EDITS_MS[edit])
    for _ in range(3):
        chance.shuffle(said)  # type: ignore[attr-defined]  # a Random
        journey = told(said, EDITS_MS[edit])
        last = journey.answers.get(SURVEY)
        if last is None:
            assert wanted == Last()
            continue
        first_ms = last.answered_ms if last.score is not None else None
        assert Last(last.score, first_ms, last.comment) == wanted
        assert last.counted == (wanted.score is not None)


@settings(max_examples=examples(600))
@given(sets(), st.sampled_from(sorted(EDITS_MS)), st.integers(0, DAY_MS))
def test_the_same_told_again_is_the_same_revision_and_alert(
    said: list[SurveyResponse], edit: str, later_ms: int
) -> None:
    """Redelivered, pushed again without a time, a link opened again: no answer, no alert, no count, no dead letter."""
    journey = told(said, EDITS_MS[edit])
    for each in [*said, *(confirm.response for confirm in journey.all(Confirm))]:
        again = each if each.provisional else each._replace(time=each.time + later_ms)
        effects = journey.take((READ_MS + WAIT_MS + DAY_MS, again))
        assert all(isinstance(effect, Ignore) for effect in effects)


@settings(max_examples=examples(600))
@given(sets(), st.sampled_from(sorted(EDITS_MS)))
def test_a_new_alert_is_news(said: list[SurveyResponse], edit: str) -> None:
    """Between any two alerts of a survey its score, band or comment changed; every revision changed something."""
    journey = told(said, EDITS_MS[edit])
    news = [(one.score, one.status, one.comment) for one in journey.all(Alert)]
    assert all(one != other for one, other in pairwise(news))
    seen = [(one.score, one.counted, one.flag, one.comment, one.answered_ms) for one in journey.all(Answer)]
    assert all(one != other for one, other in pairwise(seen))
    assert len({one.alert_id for one in journey.all(Alert)}) == len(news)


@given(st.integers(0, 10), st.integers(1, 20))
def test_a_link_opened_again_raises_no_alert(score: int, times: int) -> None:
    """An unhappy customer who opens the same link again and again is one alert, in the minute of the first click."""
    said = [click(FIRST_MS + n * MINUTE_MS, score) for n in range(times)]
    journey = told(said, LATE_MS)
    assert len(journey.all(Answer)) == 1
    assert len(journey.alerts) == int(score <= 6)
    assert journey.answers[SURVEY].answered_ms == FIRST_MS


@given(st.integers(1, 40))
def test_parts_and_comments_are_bounded(more: int) -> None:
    """The newest are remembered, with the first score; whoever corrects all day does not fill the journey."""
    said = [response(f"r{n}", FIRST_MS + n, n % 11, f"comment {n}") for n in range(MOST_PARTS + more)]
    journey = told(said, LATE_MS)
    (survey,) = journey.journey.invitations
    assert survey.given is not None
    assert (len(survey.given.parts), len(survey.given.others)) == (MOST_PARTS, MOST_COMMENTS)
    assert survey.given.counted is not None
    assert survey.given.counted[0] == FIRST_MS
    assert journey.answers[SURVEY].comment == said[-1].comment
    assert not journey.all(Reject)
