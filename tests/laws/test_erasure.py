"""Laws of erasure: after any life nothing is left, and nobody is asked again without a new yes."""

from hypothesis import given, settings

from schemas.events import Answer, ContactUpdate, Decision, SurveyDispatch, SurveyResponse, Wakeup
from streams.domain.effects import Count, Ignore, Reject, Requeue
from streams.domain.journey import step
from streams.domain.panes import HOUR_MS
from streams.domain.state import NEW
from streams.state.tables import JourneyEntry, encode
from tests.support.histories import (
    CUSTOMER,
    Moment,
    Run,
    told,
)
from tests.support.laws import examples
from tests.support.trigger_histories import PROGRAM, end, histories


def strings_of(history: list[Moment]) -> set[bytes]:
    """All that could name a person or what they did: ids, orders, zones, channels, languages, words."""
    found: set[bytes] = set()
    for _, event in history:
        for value in event:
            texts = value.values() if isinstance(value, dict) else [value]
            found |= {text.encode() for text in texts if isinstance(text, str) and len(text) > 2}
    return found


@settings(max_examples=examples(1_000))
@given(histories())
def test_after_any_life_nothing_is_left(history: list[Moment]) -> None:
    """Of all that was ever said no text is left in the stored bytes; told again, all of it is ignored, unpublished."""
    journey = Run(PROGRAM)
    for moment in history:
        journey.take(moment)
    now_ms = history[-1][0] + HOUR_MS
    journey.take((now_ms, told("e", now_ms, erased=True)))
    kept = encode(JourneyEntry((1,) * 5, None, journey.journey))
    assert not [text for text in strings_of(history) if text in kept]
    decided = len(journey.all(Decision))
    for _, event in history:
        if not isinstance(event, Wakeup):
            told_again = journey.take((now_ms, event))
            assert all(isinstance(effect, Ignore | Reject) for effect in told_again)
    journey.take((end(history)[0], Wakeup(CUSTOMER, end(history)[0])))
    assert len(journey.all(Decision)) == decided
    assert not journey.journey.pending


@settings(max_examples=examples(1_000))
@given(histories())
def test_nobody_is_asked_after_an_erasure_without_a_new_yes(history: list[Moment]) -> None:
    """Erased in the middle of a life: whoever is asked later has said yes since, in event time."""
    middle = len(history) // 2
    erased_ms = history[middle][0]
    lived: list[Moment] = [*history[:middle], (erased_ms, told("e", erased_ms, erased=True)), *history[middle:]]
    journey, yes_ms = NEW, list[int]()
    for place, (now_ms, event) in enumerate([*lived, end(history)]):
        journey, effects = step(journey, event, PROGRAM, now_ms, b"", history=True)
        asked = [effect for effect in effects if isinstance(effect, SurveyDispatch)]
        assert place <= middle or not asked or yes_ms
        if isinstance(event, ContactUpdate) and event.time > erased_ms:
            yes_ms += [event.time] * (event.opted_out is False or "granted" in event.consents.values())
        assert not [effect for effect in effects if isinstance(effect, Count | Requeue | Answer | SurveyResponse)]
