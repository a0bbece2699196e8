"""I4, I6 and I9 of the topics themselves: what a replay may repeat, and which way versions may go.

Under at-least-once anything may be written again.  What may never happen:
- two records of one thing that say different things: an answer at a version, an alert, a decision, a dispatch (only the
  version of a decision and a dispatch may differ, since any record may have made them due), a dead letter of a place;
- an answer's revision that falls as its version rises, or the other way about;
- a pane's version that falls, or stays while its tally changes: panes are not written again below what they include;
- a window's row that is older than the one before it, or says something else as of the same instant and version.
"""

from collections.abc import Callable, Hashable, Iterator
from typing import Any

from schemas.events import Decision, PaneTally, SegmentNps
from tests.faults.harness.report import Finding
from tests.faults.oracle.comparison import LONGEST
from tests.faults.oracle.outputs import ALERTS, ANSWERS, DECISIONS, DISPATCHES, PANES, ROLLING, Outputs


def check_repeats(outputs: Outputs) -> Iterator[Finding]:
    """I4, I6, I9: records of one thing say one thing."""
    yield _repeats(outputs, "I9", DECISIONS, _decision_key, lambda one: one._replace(version=0))
    yield _repeats(
        outputs, "I9", DISPATCHES, lambda one: (one.survey_id, getattr(one, "reminder", 0)),
        lambda one: one._replace(version=0),
    )  # fmt: skip
    yield _repeats(outputs, "I9", ANSWERS, lambda one: (one.survey_id, one.version), lambda one: one)
    yield _repeats(outputs, "I4", ALERTS, lambda one: one.alert_id, lambda one: one)
    wrong = [
        f"{place}: {sorted(deaths)}"
        for place, deaths in outputs.deaths.items()
        if len(deaths) > 1
        or any(len({(b.row.key, b.row.value, b.headers, b.timestamp_ms) for b in all_}) > 1 for all_ in deaths.values())
    ]
    yield Finding("I6", "dead letters, repeats alike", len(outputs.deaths), len(wrong), min(wrong, default=""))


def _decision_key(one: Decision) -> Hashable:
    return one.decision_id, one.outcome == "pending"


def _repeats(
    outputs: Outputs, invariant: str, topic: str, key: Callable[[Any], Hashable], body: Callable[[Any], object]
) -> Finding:
    first: dict[Hashable, object] = {}
    wrong = {}
    for one in outputs.told[topic]:
        name, said = key(one.value), body(one.value)
        if first.setdefault(name, said) != said:
            wrong[name] = f"{name}: {first[name]!r:.{LONGEST}} and then {said!r:.{LONGEST}}"
    what = f"{topic.removeprefix('nps.')}, repeats alike"
    return Finding(invariant, what, len(outputs.told[topic]), len(wrong), min(wrong.values(), default=""))


def check_versions(outputs: Outputs) -> Iterator[Finding]:
    """I9: versions of a key only rise."""
    answers = [
        f"{survey}: revisions {revisions} in order of version"
        for survey, told in outputs.answers.items()
        if (revisions := [rev for _, rev in sorted({(one.version, one.revision) for one in told})])
        != list(range(1, len(revisions) + 1))
    ]
    what = "answers, revisions rise with versions"
    yield Finding("I9", what, len(outputs.answers), len(answers), min(answers, default=""))
    yield _rising(outputs, PANES, _pane)
    yield _rising(outputs, ROLLING, _window)


Rank = tuple[int, ...]


def _pane(one: PaneTally) -> tuple[Hashable, Rank, object]:
    key = (one.segment, one.resolution, one.start_ms, one.source_partition, one.supplement)
    return key, (one.version,), (one.promoters, one.passives, one.detractors)


def _window(one: SegmentNps) -> tuple[Hashable, Rank, object]:
    return (one.segment, one.window), (one.as_of_ms, one.version), (one.promoters, one.passives, one.detractors)


def _rising(outputs: Outputs, topic: str, taken_apart: Callable[[Any], tuple[Hashable, Rank, object]]) -> Finding:
    last: dict[Hashable, tuple[Rank, object]] = {}
    wrong = []
    for one in outputs.told[topic]:
        key, rank, said = taken_apart(one.value)
        before, said_before = last.get(key, ((), None))
        if rank < before or (rank == before and said != said_before):
            wrong.append(f"{key} at {one.row.partition}/{one.row.offset}: {before} {said_before}, then {rank} {said}")
        last[key] = max((rank, said), (before, said_before), key=lambda pair: pair[0])
    what = f"{topic.removeprefix('nps.')}, versions never fall"
    return Finding("I9", what, len(outputs.told[topic]), len(wrong), wrong[0] if wrong else "")
