"""One customer who was asked once and then answers: the journey, and the net of what it counted."""

from collections import Counter
from collections.abc import Sequence

from schemas.events import SurveyResponse
from streams.domain.effects import Count
from streams.domain.ids import survey_id
from streams.domain.nps import Band
from streams.domain.panes import DAY_MS, HOUR_MS, MINUTE_MS
from tests.support.histories import (
    CUSTOMER,
    OPEN,
    START_MS,
    Moment,
    Run,
    program,
    purchase,
    rule,
    run,
)

SURVEY = survey_id(CUSTOMER, "shop", "p", "r")
SEGMENTS = ("all", "country=BR")
ASKED: Moment = (START_MS, purchase("p", "order.delivered", START_MS))
EXPIRES_MS = START_MS + 30 * DAY_MS
FIRST_MS = START_MS + 5 * MINUTE_MS
SHORT_LIVED = program(rules=[rule("r", "s", "order.delivered", expires_ms=HOUR_MS)], quarantine_ms=0)


def told(said: Sequence[SurveyResponse], asks: object = OPEN) -> Run:
    """The journey of a customer who was asked and then heard in this order."""
    journey = run([ASKED], SHORT_LIVED if asks is SHORT_LIVED else OPEN)
    for number, each in enumerate(said):
        journey.take((FIRST_MS + 2 * DAY_MS + number, each))
    return journey


def net(journey: Run) -> Counter[tuple[int, Band]]:
    """The sum of all counts; at no time below zero in any minute and band."""
    total: Counter[tuple[int, Band]] = Counter()
    for _, effect in journey.effects:
        if isinstance(effect, Count):
            assert effect.segments == SEGMENTS
            total[effect.at_ms // MINUTE_MS, effect.band] += effect.sign
            assert total[effect.at_ms // MINUTE_MS, effect.band] in (0, 1)
    return +total
