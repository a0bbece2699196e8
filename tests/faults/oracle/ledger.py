"""I5, the ledger of asking: one right decision for each trigger, a dispatch for each that was sent, none too early."""

from collections.abc import Iterator, Mapping

from schemas.events import Alert, Decision, SurveyDispatch, Wakeup
from tests.faults.harness.report import Finding
from tests.faults.oracle.comparison import compare
from tests.faults.oracle.expected import Expected
from tests.faults.oracle.outputs import ALERTS, DECISIONS, DISPATCHES, Outputs
from tests.faults.oracle.terms import Terms, decision_of
from tests.faults.oracle.triggers import Asking, Due, Verdict, about


def alerts(outputs: Outputs) -> list[Alert]:
    """Every alert."""
    return outputs.values(ALERTS, Alert)


def check_decisions(expected: Expected, outputs: Outputs, settled_ms: int) -> Iterator[Finding]:
    """One decision for each trigger that is due by `settled_ms`; all of a customer's such as some order makes them."""
    decided: dict[str, dict[str, Verdict]] = {}
    for one in outputs.decisions():
        verdict = Verdict(one.outcome, one.reason, one.cause_id, one.decided_ms)
        decided.setdefault(one.customer_id, {})[one.decision_id] = verdict
    wanted: dict[str, int] = {}
    found: dict[str, int] = {}
    walked, wrong = 0, []
    for customer, asking in expected.asking.items():
        theirs = decided.pop(customer, {})
        may_wait = {id_ for id_, due in asking.dues.items() if due.due_ms > settled_ms} - theirs.keys()
        wanted |= dict.fromkeys(_ids(asking) - may_wait, 1)
        found |= dict.fromkeys(theirs, 1)
        broken = asking.broken(theirs, expected.inputs.customers[customer])
        if not broken and asking.is_small:
            walked += 1
            broken = _against_every_order(asking, theirs, settled_ms)
        if broken:
            wrong.append(f"{customer}: {broken}")
    found |= {id_: 1 for theirs in decided.values() for id_ in theirs}
    yield compare("I5", "triggers, each with one decision", wanted, found)
    what = f"customers decided rightly, {walked} in every order"
    yield Finding("I5", what, len(expected.asking), len(wrong), min(wrong, default=""))
    yield _check_pending(expected, outputs)


def _check_pending(expected: Expected, outputs: Outputs) -> Finding:
    """What is told of a survey before it is sent: when it will be, and under a version that any decision beats."""
    dues = {id_: due.due_ms for asking in expected.asking.values() for id_, due in asking.dues.items()}
    found = {
        one.decision_id: (one.decided_ms, one.version)
        for one in outputs.values(DECISIONS, Decision)
        if one.outcome == "pending"
    }
    return compare("I5", "decisions pending until due", {id_: (dues.get(id_), 0) for id_ in found}, found)


def _ids(asking: Asking) -> set[str]:
    """The ids of decisions that a customer's triggers must have."""
    taken = [taken for taken in asking.triggers.values() if asking.is_trigger(taken)]
    events = [one.event for one in taken if not isinstance(one.event, Wakeup)]
    return {decision_of(event.customer_id, event.source, event.id) for event in events}


def _against_every_order(asking: Asking, theirs: Mapping[str, Verdict], settled_ms: int) -> str:
    ledgers = asking.ledgers()
    ours = frozenset(theirs.items())
    if ours not in ledgers:
        nearest = min(ledgers, key=lambda ledger: len(ledger ^ ours))
        return f"no order of reading leads to {sorted(ours - nearest)}, nearest is {sorted(nearest - ours)}"
    late = [id_ for id_ in ledgers[ours] if asking.dues[id_].due_ms <= settled_ms]
    return f"{sorted(late)} are due and not decided" if late else ""


def check_dispatches(expected: Expected, outputs: Outputs, terms: Terms) -> Finding:
    """A dispatch for each decision to send and for no other, saying what its trigger says."""
    sent = {one.decision_id for one in outputs.decisions() if one.outcome == "sent"}
    dues = {id_: (name, due) for name, asking in expected.asking.items() for id_, due in asking.dues.items()}
    wanted: dict[str, object] = {dues[id_][1].survey_id: _dispatch(*dues[id_], terms) for id_ in sent & dues.keys()}
    wanted |= {f"decision {id_}": "a trigger" for id_ in sent - dues.keys()}
    found: dict[str, object] = {
        one.survey_id: (
            one.customer_id, one.survey, one.rule, one.trigger_id, one.trigger_ms, one.correlation_id, one.due_ms,
            one.expires_ms, tuple(one.segments), tuple(sorted(one.dimensions.items())),
        )
        for one in outputs.dispatched.values()
    }  # fmt: skip
    return compare("I5", "dispatches, one for each decision to send", wanted, found)


def _dispatch(customer: str, due: Due, terms: Terms) -> tuple[object, ...]:
    event, ask = due.event, due.ask
    dimensions = sorted((name, event.attributes.get(name, "(none)")) for name in terms.dimensions)
    return (
        customer, ask.survey, ask.name, event.id, event.time, about(event), due.due_ms, due.due_ms + ask.expires_ms,
        terms.segments(event.attributes), tuple(dimensions),
    )  # fmt: skip


def check_due(outputs: Outputs) -> Finding:
    """No dispatch lies in Kafka from before it was due; producers' clocks must not run ahead of Kafka's for that."""
    sent = [(one.row, one.value) for one in outputs.told[DISPATCHES]]
    early = sorted(
        f"{value.survey_id}: due {value.due_ms}, in Kafka {value.due_ms - row.timestamp_ms} ms earlier"
        for row, value in sent
        if isinstance(value, SurveyDispatch) and row.timestamp_ms < value.due_ms
    )
    return Finding("I5", "dispatches, none before it was due", len(sent), len(early), early[0] if early else "")
