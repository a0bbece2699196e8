"""What the pipeline published, customer by customer, in the words of the right outcome."""

from collections import defaultdict
from collections.abc import Mapping

from schemas.events import Alert, Answer, Decision, Erasure, SurveyDispatch
from tests.faults.oracle.inputs import RESPONSES, Place, Taken
from tests.faults.oracle.outcome import Outcome, copy_of
from tests.faults.oracle.outputs import Outputs, comparable


def found_by_customer(
    outputs: Outputs, read: Mapping[Place, Taken], written: frozenset[Place]
) -> Mapping[str, Outcome]:
    """Of each thing the last that was said; dead letters of what had a customer; what was put on nps.responses."""
    found: defaultdict[str, Outcome] = defaultdict(Outcome)
    for told in outputs.told.values():
        for row, value in told:
            if isinstance(value, Decision | SurveyDispatch | Answer | Alert | Erasure):
                _take(found[value.customer_id], row.partition, comparable(value))
    for place, deaths in outputs.deaths.items():
        if (taken := read.get(place)) and taken.event is not None:
            found[taken.event.customer_id].dead[place] = next(iter(deaths))
    for taken in (read[place] for place in written):
        theirs = found[taken.row.key.decode() if taken.row.key else ""]
        if taken.confirms:
            theirs.confirmed[taken.confirms] = taken.row.timestamp_ms
        else:
            theirs.put_back[copy_of(taken.row)] = True
    return found


def _take(found: Outcome, partition: int, value: Decision | SurveyDispatch | Answer | Alert | Erasure) -> None:
    if isinstance(value, Decision):
        where = found.pending if value.outcome == "pending" else found.decisions
        where[value.decision_id] = value if value.outcome == "pending" else value._replace(version=0)
    elif isinstance(value, SurveyDispatch):
        found.dispatches[value.survey_id, value.reminder] = value._replace(version=0, token=None)
    elif isinstance(value, Answer):
        found.answers[RESPONSES, partition, value.version] = value
    elif isinstance(value, Alert):
        found.alerts[value.alert_id] = value
    else:
        found.erasures[value.erasure_id] = value
