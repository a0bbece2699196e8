"""What must have come of the inbound topics, worked out anew from their records and the program file.

Shares the codec with the pipeline and nothing else.  Where a result rightly depends on the order in which topics were
read, the dispatches that did happen are taken as given for what follows from them, and judged by themselves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from schemas.events import SurveyDispatch, SurveyResponse
from tests.faults.harness.reading import World
from tests.faults.oracle.answers import Outcome, outcomes
from tests.faults.oracle.inputs import RESPONSES, Customer, Inputs, Place, Taken, judge
from tests.faults.oracle.numbers import Cell, Tally, Vote, panes
from tests.faults.oracle.outputs import Outputs
from tests.faults.oracle.terms import Terms
from tests.faults.oracle.triggers import Asking


class Answered(NamedTuple):
    """One survey's responses: what was published, and which of the right outcomes that is, or else the likeliest."""

    dispatch: SurveyDispatch
    partition: int
    outcome: Outcome
    is_right: bool


@dataclass(frozen=True, slots=True)
class Expected:
    """All that must be there.

    `dead` are the dead letters by place, `waiting` the places of responses that may still wait for their survey or be
    given up; `asking` is each customer's asking, `answered` each survey's answer.
    """

    inputs: Inputs
    asking: Mapping[str, Asking]
    answered: Mapping[str, Answered]
    dead: Mapping[Place, str]
    waiting: frozenset[Place]
    panes: Mapping[tuple[Cell, int], Tally]


def expect(world: World, outputs: Outputs, terms: Terms, settle_ms: int) -> Expected:
    """What must be there at `world.now_ms`; what became due in the last `settle_ms` may be there."""
    too_early = {place for place, death in outputs.deaths.items() if "too_early" in death}
    inputs = judge(world.topics, terms, world.now_ms, too_early)
    asking = {name: Asking(customer, terms) for name, customer in inputs.customers.items()}
    given_up = {place for place, death in outputs.deaths.items() if "unknown_survey" in death}
    answered: dict[str, Answered] = {}
    dead, waiting = dict(inputs.dead), set[Place]()
    for name, customer in inputs.customers.items():
        for survey_id, responses in _by_survey(customer).items():
            dispatch = outputs.dispatched.get((name, survey_id))
            if dispatch is None:
                dead |= {one.place: "unknown_survey" for one in responses}
                waiting |= {r.place for r in responses if r.now_ms + terms.hold_ms > world.now_ms - settle_ms}
                continue
            told = answered[survey_id] = _answered(dispatch, responses, given_up, outputs, terms)
            dead |= told.outcome.dead
            dead |= {place: "unknown_survey" for place in told.outcome.held if place in given_up}
    return Expected(inputs, asking, answered, dead, frozenset(waiting), panes(_votes(answered)))


def _by_survey(customer: Customer) -> dict[str, list[Taken]]:
    """The faultless responses, in order, by the survey that they name."""
    found: dict[str, list[Taken]] = {}
    for taken in customer.of(RESPONSES):
        if not taken.fault and isinstance(taken.event, SurveyResponse):
            found.setdefault(taken.event.survey_id, []).append(taken)
    return found


def _answered(
    dispatch: SurveyDispatch, responses: Sequence[Taken], given_up: set[Place], outputs: Outputs, terms: Terms
) -> Answered:
    possible = list(outcomes(dispatch, responses, given_up, terms))
    published = outputs.offsets_of(dispatch.survey_id)
    closed = {one.place for one in responses if "edit_closed" in outputs.deaths.get(one.place, ())}
    for outcome in possible:
        if {one.place[2] for one in outcome.revisions} == published and outcome.dead.keys() == closed:
            return Answered(dispatch, responses[0].place[1], outcome, True)
    return Answered(dispatch, responses[0].place[1], possible[0], False)


def _votes(answered: Mapping[str, Answered]) -> list[Vote]:
    return [
        Vote(tuple(one.dispatch.segments), one.partition, one.outcome.counted)
        for one in answered.values()
        if one.outcome.counted is not None
    ]
