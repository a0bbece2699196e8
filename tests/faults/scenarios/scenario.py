"""What the scenarios of broken servers share: plain visits, traffic in the background, and the way a scenario ends."""

import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from itertools import takewhile
from types import TracebackType
from typing import Self
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from schemas.codec import Codec
from schemas.events import Purchase, SurveyResponse
from schemas.topics import PURCHASES, RESPONSES
from tests.faults.harness.deployment import Deployment
from tests.faults.harness.report import Report, publish
from tests.faults.oracle.ids import survey_of
from tests.faults.oracle.invariants import judge, look
from tests.faults.oracle.terms import read_terms
from tests.faults.traffic.generator import Mix, Sent, live, produce
from tests.support.commands import BOUND_S

LASTING_S = 120.0
"""Seconds of traffic that somebody ends."""

SLACK_MS = 20_000
"""How far one topic may have been read behind the others while somebody wrote; more than `recent` traffic goes back."""

LIVE = Mix(absurd_ratio=0)
"""Live traffic without clocks that run ahead: what they ask for falls due minutes later, when all should be quiet."""

ALONE = Mix(
    visits=150, customers=150, racing_ratio=0, cancelled_ratio=0, opted_ratio=0, contact_ratio=0, erased_ratio=0,
    clicked_ratio=0, scanned_ratio=0, hot_customer_ratio=0, types=tuple(t for t in Mix().types if t != "order.toured"),
)  # fmt: skip
"""One visit a customer, no objection and no click: whoever is asked is so however late anything is read."""

_CODEC = Codec()


def now_ms() -> int:
    """The wall clock, milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def visits(name: str, count: int, score: int = 9, at_ms: int | None = None, comment: str | None = None) -> list[Sent]:
    """So many new customers who are asked at once and answer alike, a moment later; nothing is wrong with any."""
    at_ms = now_ms() if at_ms is None else at_ms
    return [sent for number in range(count) for sent in _visit(f"{name}-{number}", score, at_ms, comment)]


def _visit(customer: str, score: int, at_ms: int, comment: str | None) -> Iterator[Sent]:
    key = customer.encode()
    bought = Purchase(
        source="shop", id=customer, type="order.collected", time=at_ms - 2_000, customer_id=customer,
        order_id=f"order {customer}", amount_minor=None, currency=None,
        attributes={"country": "BR", "category": "toys"},
    )  # fmt: skip
    said = SurveyResponse(
        source="tool", id=f"{customer}-1", type="survey.answered", time=at_ms - 1_000, customer_id=customer,
        survey_id=survey_of(customer, "shop", customer, "at-once"), score=score, comment=comment, voided=False,
        channel="email",
    )  # fmt: skip
    yield Sent(PURCHASES.name, key, _CODEC.encode(bought), at_ms - 2_000)
    yield Sent(RESPONSES.name, key, _CODEC.encode(said), at_ms - 1_000)


class Traffic:
    """Live traffic in the background while something goes wrong; `acknowledged` is what Kafka took, by topic.

    Where a scenario waits for what only traffic brings about, it asks for a lot of it and says when it has `enough`.
    """

    def __init__(self, nps: Deployment, seed: int, rate: float, seconds: float, mix: Mix = LIVE) -> None:
        self.acknowledged: Counter[str] = Counter()
        self._error: BaseException | None = None
        self._enough = threading.Event()
        sent = live(seed, rate, seconds, now_ms() + 500, mix, nps.program)
        self._sent = takewhile(lambda _: not self._enough.is_set(), sent)
        self._thread = threading.Thread(target=self._run, args=(nps.kafka.bootstrap,), name="traffic")

    def _run(self, bootstrap: str) -> None:
        try:
            self.acknowledged = produce(bootstrap, self._sent, paced=True)
        except BaseException as error:
            self._error = error

    def enough(self) -> None:
        """Write no more than what is on its way."""
        self._enough.set()

    def is_over(self) -> bool:
        """True once everything is written."""
        return not self._thread.is_alive()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.enough()
        self._thread.join(BOUND_S)
        assert self.is_over(), "the traffic does not end"
        if self._error is not None:
            raise self._error


def conclude(
    nps: Deployment, scenario: str, seed: int, injected: Mapping[str, int], *, rounds: int = 1,
    figures: Mapping[str, str] | None = None, tolerated: Collection[str] = (), excused: Collection[str] = (),
    slack_ms: int = SLACK_MS,
) -> Report:  # fmt: skip
    """Wait until all is quiet, compare everything with the oracle, and keep the report; it must hold.

    `slack_ms` is 0 where all was written before anybody read.  `tolerated` are reasons of dead letters made on purpose,
    `excused` findings that cannot be had after this scenario.
    """
    quiet_s = nps.quiet()
    world = nps.at_rest(lambda: look(nps.kafka.bootstrap, nps.clickhouse_url))
    found = judge(world, read_terms(nps.program), slack_ms=slack_ms, tolerated=tolerated)
    findings = [one for one in found if one.what not in excused]
    told = {**(figures or {}), "until quiet": f"{quiet_s:.1f} s", "restarts": _restarts(nps)}
    report = Report(scenario, seed, rounds, injected, findings, told)
    publish(report)
    assert report.holds, report.text()
    return report


def _restarts(nps: Deployment) -> str:
    return ", ".join(f"{name} {member.exits}" for name, member in nps.members.items() if member.exits) or "none"


def metric(port: int, name: str, labels: Mapping[str, str] | None = None) -> float:
    """The sum of a metric's samples that carry these labels, as a member serves it on this port; 0 for none."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=BOUND_S) as reply:
        families = list(text_string_to_metric_families(reply.read().decode()))
    wanted = (labels or {}).items()
    return sum(s.value for family in families for s in family.samples if s.name == name and wanted <= s.labels.items())


def start(nps: Deployment, *names: str) -> None:
    """Start these members."""
    for name in names:
        nps.run(name)


def wait(nps: Deployment, seconds: float) -> None:
    """Let so much time pass, as part of the scenario, while whoever dies is started again."""
    until_s = time.monotonic() + seconds
    nps.until(lambda: time.monotonic() >= until_s, "time passes", seconds + BOUND_S)
