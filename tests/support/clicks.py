"""Clicks of persons and machines on one survey, the journey that hears them, and what persons said of it."""

import random
from collections.abc import Sequence

from schemas.events import SurveyResponse
from streams.domain.clicks import HEADED, WAITED, confirmation
from streams.domain.effects import Confirm, Effect
from streams.domain.panes import DAY_MS
from streams.domain.state import Click
from tests.support.answers import ASKED, FIRST_MS, SURVEY
from tests.support.histories import CUSTOMER, OPEN, Moment, Run, response, wakeup

WAIT_MS = OPEN.limits.confirm_ms


def click(time_ms: int, score: int) -> SurveyResponse:
    """A person, or a machine, opened the link of a score."""
    return response(f"click {time_ms} {score}", time_ms, score)._replace(provisional=True)


def trap(time_ms: int) -> SurveyResponse:
    """A machine opened the link that nobody can see."""
    return response(f"trap {time_ms}", time_ms, voided=True)._replace(provisional=True)


def head(time_ms: int) -> SurveyResponse:
    """A scanner asked with HEAD, and perhaps a person came after it."""
    return trap(time_ms)._replace(id=f"head {time_ms}", type=HEADED)


def beacon(time_ms: int, score: int) -> SurveyResponse:
    """The page of that click was looked at."""
    return confirmation(SURVEY, CUSTOMER, Click(time_ms, score))


def waited(time_ms: int, score: int) -> SurveyResponse:
    """The wait of that click was over and no person had shown."""
    return beacon(time_ms, score)._replace(type=WAITED)


def confirmed(said: Sequence[SurveyResponse], time_ms: int, score: int) -> SurveyResponse:
    """What a click on a link of the survey that was answered becomes."""
    return confirmation(said[0].survey_id, said[0].customer_id, Click(time_ms, score))


class Visit(Run):
    """A journey whose confirmations come back as input, each once or twice, at once or later."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__(OPEN)
        self.chance = chance
        self.back: list[Moment] = []
        self.take(ASKED)

    def take(self, moment: Moment) -> list[Effect]:
        """One step; what it puts back waits to be read."""
        effects = super().take(moment)
        confirmed = [(effect.at_ms, effect.response) for effect in effects if isinstance(effect, Confirm)]
        self.back += confirmed * self.chance.choice((1, 2))
        return effects

    def read_back(self, every: bool) -> None:
        """Read what was put back: all, or perhaps some."""
        self.chance.shuffle(self.back)
        while self.back and (every or self.chance.random() < 0.5):
            self.take(self.back.pop())


def visited(said: Sequence[SurveyResponse], chance: random.Random) -> Visit:
    """All of it in this order, seconds or minutes apart, woken now and then and in the end."""
    visit, now_ms = Visit(chance), FIRST_MS + DAY_MS
    for each in said:
        now_ms += chance.choice((1, 1_000, 40_000))
        visit.take((now_ms, each))
        if chance.random() < 0.3:
            visit.take(wakeup(now_ms + chance.choice((0, WAIT_MS))))
        visit.read_back(every=False)
    visit.take(wakeup(now_ms + 3 * WAIT_MS))
    visit.read_back(every=True)
    return visit
