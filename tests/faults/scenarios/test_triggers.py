"""Whom to ask is decided once, in due order and never early, also when the one who asks dies or was away."""

import time
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from schemas.codec import Codec
from schemas.events import Purchase, SurveyDispatch
from schemas.topics import DISPATCHES, PURCHASES, WAKEUPS
from streams.processing.journeys import WAKEUPS_PER_S
from tests.faults.harness.deployment import Deployment
from tests.faults.oracle.terms import PROGRAM
from tests.faults.scenarios.lengths import SEED, times
from tests.faults.scenarios.scenario import LASTING_S, Traffic, conclude, now_ms, start, wait
from tests.faults.traffic.generator import CLEAN, Mix, Sent, generate, produce, together

pytestmark = pytest.mark.kafka

DAY_MS = 86_400_000
DUE = times(10_000)
LUCK = {
    "10 everything one to three times, out of order": replace(CLEAN, duplicated_ratio=0.8, reordered_ratio=0.5),
    "11 late, early and absurd times": replace(CLEAN, late_ratio=0.3, absurd_ratio=0.2, reordered_ratio=0.2),
    "12 corrected up, down and withdrawn": replace(CLEAN, corrected_ratio=0.7, voided_ratio=0.3, overtaking_ratio=0.2),
    "21 cancels and triggers race": replace(CLEAN, cancelled_ratio=0.4, racing_ratio=0.5, hot_customer_ratio=0.2),
    "25 objections of every kind": replace(
        CLEAN, opted_ratio=0.2, contact_ratio=0.3, erased_ratio=0.1, clicked_ratio=0.4, scanned_ratio=0.2
    ),
    "27 one who never stops, and long values": replace(CLEAN, burst=300, long_ratio=0.2, twin_ratio=0.2),
    "all at once": Mix(burst=60),
}
"""The scenarios that are all in the input."""


def test_every_kind_of_bad_luck(tmp_path: Path) -> None:
    """10, 11, 12, 21, 25: days of history of each kind, found by workers that are killed again and again over it."""
    histories = [generate(SEED + 20 + n, replace(mix, visits=times(600))) for n, mix in enumerate(LUCK.values())]
    with Deployment(tmp_path, PROGRAM, settings={"NPS_FETCH_BYTES": "16384"}) as nps:
        produce(nps.kafka.bootstrap, together(*histories))
        start(nps, "worker-1", "worker-2", "sink")
        for number in range(len(LUCK)):
            before = nps.topics.progress()
            nps.until(lambda before=before: nps.topics.progress() > before or not nps.behind(), "some is done")  # type: ignore[misc]
            nps.members[f"worker-{number % 2 + 1}"].kill()
        luck = Counter(dict.fromkeys(LUCK, 1))
        conclude(nps, "10, 11, 12, 21, 25 bad luck of every kind", SEED + 20, luck, slack_ms=0)


def test_killed_between_dispatch_and_state(tmp_path: Path) -> None:
    """19: who dies with the dispatch written and the journey not asks again, under the same survey id."""
    rounds = times(5)
    with Deployment(tmp_path, PROGRAM, settings={"NPS_FETCH_BYTES": "4096"}) as nps:
        nps.run("sink")
        worker = nps.run("worker-1")
        with Traffic(nps, SEED + 30, 40, LASTING_S) as traffic:
            for number in range(rounds):
                worker.stop()
                worker.start(FAILPOINTS=f"after-outputs:{2 + number}:kill")
                nps.until(lambda number=number: len(worker.exits) > number, "it died")  # type: ignore[misc]
            traffic.enough()
        conclude(nps, "19 killed between dispatch and state", SEED + 30, {"after-outputs: kill": rounds})
        assert worker.exits == [-9] * rounds
        copies = Counter(dispatch.survey_id for _, dispatch in dispatches(nps))
        assert sum(copies.values()) > len(copies), "no kill fell between: this run proves nothing"


@pytest.mark.long
def test_away_over_ten_thousand_due_times(tmp_path: Path) -> None:
    """20: what fell due while the worker was stopped goes out afterwards, in order, none early, so many at once."""
    with Deployment(tmp_path, PROGRAM, partitions=1) as nps:
        start(nps, "worker-1", "sink")
        first_due_ms = now_ms() + 60_000
        produce(nps.kafka.bootstrap, installed(first_due_ms))
        nps.until(lambda: not nps.lag.behind(["worker"]), "all wait for their time")
        assert now_ms() < first_due_ms, "this machine is too slow for the scenario"
        assert nps.members["worker-1"].stop() == 0
        assert dispatches(nps) == []
        wait(nps, (first_due_ms - now_ms()) / 1000 + 6)
        began = time.monotonic()
        nps.members["worker-1"].start()
        nps.until(lambda: sum(nps.lag.ends({DISPATCHES.name}).values()) >= DUE, "all were asked")
        drained_s = time.monotonic() - began
        at_once = Counter(record.timestamp for _, record in nps.topics.read(WAKEUPS.name))
        figures = {
            "due while away": str(DUE),
            "all asked after": f"{drained_s:.1f} s",
            "most wakeups at once": str(max(at_once.values())),
        }
        conclude(nps, "20 away over ten thousand due times", SEED, {"worker stopped": 1}, figures=figures)
        sent = dispatches(nps)
    assert len({dispatch.survey_id for _, dispatch in sent}) == len(sent) == DUE
    assert all(a.due_ms // 1000 <= b.due_ms // 1000 for (_, a), (_, b) in pairwise(sent))
    assert all(dispatch.due_ms <= sent_ms for sent_ms, dispatch in sent)
    assert max(at_once.values()) <= WAKEUPS_PER_S + DUE // 5  # a second's customers are taken whole


def installed(first_due_ms: int) -> list[Sent]:
    """So many purchases of so many customers, each to be asked about a day later, all within five seconds."""
    codec, found = Codec(), []
    for number in range(DUE):
        at_ms = first_due_ms - DAY_MS + number * 5_000 // DUE
        name = f"D{number}"
        event = Purchase("shop", name, "order.installed", at_ms, name, f"order {name}", None, None, {"country": "BR"})
        found.append(Sent(PURCHASES.name, name.encode(), codec.encode(event), at_ms))
    return found


def dispatches(nps: Deployment) -> list[tuple[int, SurveyDispatch]]:
    """All dispatches in the order of writing, each with the time at which it was written."""
    codec = nps.topics.codec
    return [(record.timestamp, codec.decode(SurveyDispatch, record.value))
            for _, record in nps.topics.read(DISPATCHES.name)]  # fmt: skip
