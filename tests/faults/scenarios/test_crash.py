"""On real Kafka, a worker is killed again and again in the middle of its work, and the numbers are still exact.

CRASH_ANSWERS, CRASH_KILLS and CRASH_SEED change the size, the kills and the seed; the report is printed (pytest -s).
"""

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from schemas.deadletters import unwrap
from schemas.events import Alert, Answer, Decision, PaneTally, SurveyDispatch, SurveyResponse
from schemas.topics import ALERTS, ANSWERS, DEAD_LETTERS, DECISIONS, DISPATCHES, PANES, RESPONSES, pane_key
from tests.faults.harness.kafka import KafkaCluster
from tests.faults.harness.pipeline import OFFSET_OF, Pipeline
from tests.faults.traffic.crash_input import PROGRAM, Given, day
from tests.support.commands import Service, done
from tests.support.recount import Cell, Counts, held

pytestmark = pytest.mark.kafka

ANSWERED = int(os.environ.get("CRASH_ANSWERS", "100000"))
KILLS = int(os.environ.get("CRASH_KILLS", "10"))
SEED = int(os.environ.get("CRASH_SEED", "1"))
STOPS = 4
PARTITIONS = 4
WITHIN_S = 600.0


class Kill(NamedTuple):
    """One kill: how far the work was, and how many answers were in Kafka whose responses had to be read again."""

    done_ratio: float
    again: int


class Setting(NamedTuple):
    """A Kafka with the topics, and how a worker is started on it."""

    pipeline: Pipeline
    environ: dict[str, str]
    folder: Path

    def worker(self, **environ: str) -> Service:
        """Start a worker."""
        return Service("worker", {**self.environ, **environ}, self.folder / "worker.log")


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    (tmp_path / "nps.toml").write_text(PROGRAM)
    with KafkaCluster(tmp_path) as kafka, closing(Pipeline(kafka.bootstrap, PARTITIONS)) as pipeline:
        environ = {
            "NPS_BROKERS": kafka.bootstrap,
            "NPS_PARTITIONS": str(PARTITIONS),
            "NPS_PROGRAM": str(tmp_path / "nps.toml"),
            "NPS_INSTANCE": "the-one",  # so that Kafka does not wait a session for the dead one
            "NPS_SESSION_TIMEOUT_MS": "6000",
            "NPS_FETCH_BYTES": "65536",  # small batches: a kill falls into any stage of one
        }
        done("topics", environ=environ)
        yield Setting(pipeline, environ, tmp_path)


def test_killed_ten_times_every_answer_counts_once(setting: Setting) -> None:
    """Ten kills -9 in mid-work leave every pane, answer, decision and alert as if there had been none."""
    started = time.monotonic()
    given = day(SEED, ANSWERED, time.time_ns() // 1_000_000)
    setting.pipeline.write(given.written)
    ready = time.monotonic()
    kills = work_through(setting, len(given.written))
    worked_s = time.monotonic() - ready

    panes = read_panes(setting.pipeline)
    answers = read_answers(setting.pipeline)
    report(given, kills, panes, answers, worked_s)
    print(f"total with input and checks: {time.monotonic() - started:.0f} s")

    assert len(kills) == KILLS
    assert sum(kill.again for kill in kills), "no kill fell between an answer and its commit: this run proves nothing"
    assert differences(given.panes(), panes.cells) == {}
    assert differences(given.panes(), recounted(given, answers.last)) == {}
    assert panes.falling == []
    assert answers.contradicting == []
    assert {survey: shown(answer) for survey, answer in answers.last.items() if answer.counted} == given.final()
    check_decisions(setting.pipeline, given)
    check_alerts(setting.pipeline, answers)
    check_dead_letters(setting.pipeline, given)


def test_stopped_in_mid_work_nothing_is_done_twice(setting: Setting) -> None:
    """SIGTERM ends the worker with 0 and everything stepped is committed: a restart writes no second answer."""
    pipeline = setting.pipeline
    before = pipeline.ends()
    given = day(SEED + 1, 60_000, time.time_ns() // 1_000_000, prefix="S")
    once = {event.id: written for written in given.written if isinstance(event := written.event, SurveyResponse)}
    first = [written for response, written in once.items() if response.endswith("-1")]
    pipeline.write([written for written in given.written if written.topic != RESPONSES.name])
    with setting.worker() as worker:
        worker.until(pipeline.is_through, "the purchases were through")
    cut_short = []
    for part in range(STOPS):
        pipeline.write(first[part::STOPS])
        begun = pipeline.progress()
        with setting.worker(NPS_COMMIT_INTERVAL_MS="50", NPS_FETCH_BYTES="8192") as worker:
            worker.until(lambda begun=begun: pipeline.progress() > begun, "some were done")  # type: ignore[misc]
            assert worker.stop() == 0, worker.said()
        assert answered(pipeline, before) == stepped(pipeline, before)
        cut_short.append(not pipeline.is_through())
    assert any(cut_short), "no stop fell into work: this run proves nothing"
    with setting.worker() as worker:
        worker.until(lambda: "restored" in worker.said() and pipeline.is_through(), "all was done")
        assert worker.stop() == 0, worker.said()
    assert answered(pipeline, before) == stepped(pipeline, before)
    assert sum(map(len, stepped(pipeline, before).values())) == len(first)


def test_read_again_from_the_beginning_nothing_changes(setting: Setting) -> None:
    """A group that knows no offsets replays every answer before it takes anything else, and counts none again."""
    given = day(SEED + 2, 6_000, time.time_ns() // 1_000_000, prefix="A")
    setting.pipeline.write(given.written)
    with setting.worker() as worker:
        worker.until(setting.pipeline.is_through, "all was read")
        assert worker.stop() == 0, worker.said()
    before = read_panes(setting.pipeline), read_answers(setting.pipeline)
    with closing(Pipeline(setting.pipeline.brokers, PARTITIONS, "again-worker")) as again:
        with setting.worker(NPS_GROUP="again", NPS_INSTANCE="", NPS_FETCH_BYTES="8192") as worker:
            worker.until(again.is_through, "all was read again")
            assert worker.stop() == 0, worker.said()
        assert (read_panes(again), read_answers(again)) == before


def work_through(setting: Setting, total: int) -> list[Kill]:
    """Let workers do it all, killing each but the last somewhere in its own part of the work."""
    r, pipeline, kills = random.Random(SEED), setting.pipeline, []
    for number in range(KILLS):
        goal = total * (number + r.uniform(0.3, 0.9)) / (KILLS + 1)
        with setting.worker() as worker:
            worker.until(lambda goal=goal: pipeline.progress() >= goal, "it got so far", WITHIN_S)  # type: ignore[misc]
            time.sleep(r.uniform(0, 0.3))  # a random moment is the point
            assert worker.is_running(), worker.said()
            worker.kill()
        kills.append(Kill(pipeline.progress() / total, read_again(pipeline)))
    with setting.worker() as worker:
        worker.until(pipeline.is_through, "all was read", WITHIN_S)
        assert worker.stop() == 0, worker.said()
    return kills


def read_again(pipeline: Pipeline) -> int:
    """How many responses lie between what is committed and what was answered already."""
    committed = pipeline.committed()
    return sum(max(0, end - committed[RESPONSES.name, part]) for part, end in pipeline.answered_to().items())


class Panes(NamedTuple):
    """nps.panes: the last tally of each pane, summed over its partitions, and the versions that fell."""

    cells: dict[Cell, Counts]
    falling: list[tuple[bytes, int, int]]
    records: int


def read_panes(pipeline: Pipeline) -> Panes:
    last: dict[bytes, PaneTally] = {}
    falling, records = [], 0
    for _, record in pipeline.read(PANES.name):
        if record.value is None:
            continue
        pane = pipeline.codec.decode(PaneTally, record.value)
        assert record.key == pane_key(pane)
        records += 1
        if record.key in last and pane.version < last[record.key].version:
            falling.append((record.key, last[record.key].version, pane.version))
        last[record.key] = pane
    return Panes(held(last.values()), falling, records)


class Answers(NamedTuple):
    """nps.answers: all by survey and revision, the last of each survey, and versions that are told in two ways."""

    revisions: dict[tuple[str, int], Answer]
    last: dict[str, Answer]
    contradicting: list[tuple[Answer, Answer]]
    records: int
    distinct: int


def read_answers(pipeline: Pipeline) -> Answers:
    by_version: dict[tuple[str, int], Answer] = {}
    contradicting, records = [], 0
    for _, record in pipeline.read(ANSWERS.name):
        answer = pipeline.codec.decode(Answer, record.value)
        records += 1
        known = by_version.setdefault((answer.survey_id, answer.version), answer)
        if known != answer:
            contradicting.append((known, answer))
    last: dict[str, Answer] = {}
    for answer in by_version.values():
        if answer.survey_id not in last or answer.version > last[answer.survey_id].version:
            last[answer.survey_id] = answer
    revisions = {(answer.survey_id, answer.revision): answer for answer in by_version.values()}
    return Answers(revisions, last, contradicting, records, len(by_version))


def recounted(given: Given, last: dict[str, Answer]) -> dict[Cell, Counts]:
    """The panes, counted from the last answer of each survey."""
    told = {survey: shown(answer) for survey, answer in last.items() if answer.counted}
    return given.panes_of(told)


def shown(answer: Answer) -> tuple[int, int]:
    assert answer.score is not None
    return answer.answered_ms, answer.score


def differences(wanted: dict[Cell, Counts], found: dict[Cell, Counts]) -> dict[Cell, tuple[object, object]]:
    """The cells that are not the same in both."""
    cells = wanted.keys() | found.keys()
    return {cell: (wanted.get(cell), found.get(cell)) for cell in cells if wanted.get(cell) != found.get(cell)}


def check_decisions(pipeline: Pipeline, given: Given) -> None:
    """Each purchase has one decision, to send, and one survey, whatever was written twice."""
    decided: dict[str, Decision] = {}
    for _, record in pipeline.read(DECISIONS.name):
        decision = pipeline.codec.decode(Decision, record.value)
        assert decided.setdefault(decision.decision_id, decision)._replace(version=0) == decision._replace(version=0)
    sent = [pipeline.codec.decode(SurveyDispatch, record.value) for _, record in pipeline.read(DISPATCHES.name)]
    assert Counter(decision.outcome for decision in decided.values()) == {"sent": len(given.purchases)}
    assert {decision.survey_id for decision in decided.values()} == set(given.purchases)
    assert {dispatch.survey_id for dispatch in sent} == set(given.purchases)


def check_alerts(pipeline: Pipeline, answers: Answers) -> None:
    """One alert id for each revision of a detractor that says something new, and for the one that resolves it."""
    ids: dict[tuple[str, int], set[str]] = {}
    for _, record in pipeline.read(ALERTS.name):
        alert = pipeline.codec.decode(Alert, record.value)
        ids.setdefault((alert.dedup_key, alert.revision), set()).add(alert.alert_id)
        assert (alert.status == "open") == is_bad(answers.revisions[alert.dedup_key, alert.revision])
    wanted = {
        (survey, revision)
        for (survey, revision), answer in answers.revisions.items()
        if (is_bad(answer) or is_bad(answers.revisions.get((survey, revision - 1))))
        and said(answer) != said(answers.revisions.get((survey, revision - 1)))
    }
    assert ids.keys() == wanted
    assert all(len(names) == 1 for names in ids.values())
    assert len({name for names in ids.values() for name in names}) == len(ids)


def said(answer: Answer | None) -> tuple[object, ...]:
    """What people see of a revision."""
    return () if answer is None else (answer.score if answer.counted else None, answer.comment)


def is_bad(answer: Answer | None) -> bool:
    return answer is not None and answer.counted and answer.score is not None and answer.score <= 6


def check_dead_letters(pipeline: Pipeline, given: Given) -> None:
    """Only the scores that are none are there, each of them; what died twice died of the same."""
    dead: dict[tuple[str, int, int], tuple[str, str]] = {}
    for _, record in Pipeline(pipeline.brokers, 1).read(DEAD_LETTERS):
        _, death = unwrap(record.headers)
        response = pipeline.codec.decode(SurveyResponse, record.value)
        place = (death.topic, death.partition, death.offset)
        assert dead.setdefault(place, (response.id, death.reason)) == (response.id, death.reason)
    assert {reason for _, reason in dead.values()} == {"invalid_score"}
    assert Counter(response for response, _ in dead.values()) == given.rejected()


def stepped(pipeline: Pipeline, before: dict[tuple[str, int], int]) -> dict[int, list[int]]:
    """The offsets of nps.responses that are committed, from `before` on, by partition."""
    committed = pipeline.committed()
    parts = [(RESPONSES.name, number) for number in range(pipeline.partitions)]
    return {number: list(range(before[topic, number], committed[topic, number])) for topic, number in parts}


def answered(pipeline: Pipeline, before: dict[tuple[str, int], int]) -> dict[int, list[int]]:
    """The offsets of nps.responses that answers came of, from `before` on, as often as they came, by partition."""
    found: dict[int, list[int]] = {number: [] for number in range(pipeline.partitions)}
    for number, record in pipeline.read(ANSWERS.name):
        offset = pipeline.codec.decode(Answer, record.value).version & OFFSET_OF
        if offset >= before[RESPONSES.name, number]:
            found[number].append(offset)
    return found


def report(given: Given, kills: list[Kill], panes: Panes, answers: Answers, worked_s: float) -> None:
    """What happened, for whoever runs this by hand."""
    print(f"\nseed {SEED}: {len(given.purchases)} surveys answered by {customers(given)} customers,", end=" ")
    print(f"{len(given.written)} events, {PARTITIONS} partitions, worked through in {worked_s:.0f} s")
    for number, kill in enumerate(kills, 1):
        print(f"kill {number:2}: at {kill.done_ratio:4.0%}, {kill.again:6} responses read again")
    wanted = given.panes()
    print(f"answers written {answers.records}, {answers.records - answers.distinct} of them a second time")
    total = sum(
        sum(tally) for (segment, length, _), tally in panes.cells.items() if (segment, length) == ("all", "day")
    )
    print(f"counted {total}, recount of the input {len(given.final())}")
    print(f"{len(wanted)} panes ({panes.records} records), {len(differences(wanted, panes.cells))} differ")


def customers(given: Given) -> int:
    return len({purchase.customer_id for purchase in given.purchases.values()})
