"""ClickHouse away, slow, unwilling, or silent after it did as asked: nothing is lost, or doubled, or held up with it.

One pipeline goes through all but refused rows; after each fault the numbers are compared once more, from the first
event on.
"""

import itertools
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from schemas.deadletters import unwrap
from schemas.events import Answer
from schemas.topics import ANSWERS, DEAD_LETTERS
from sinks.clickhouse.client import connect
from streams.kafka.ports import KafkaRecord
from streams.local.servers import free_port
from tests.faults.harness import proxy
from tests.faults.harness.deployment import Deployment
from tests.faults.harness.pipeline import Pipeline
from tests.faults.harness.proxy import CutReply, CutRequest, Down, Fault, Pass, Proxy, Refuse, Slow
from tests.faults.harness.receiver import Receiver
from tests.faults.oracle.terms import PROGRAM
from tests.faults.scenarios.scenario import ALONE, conclude, metric, visits
from tests.faults.traffic.generator import generate, produce, recent

pytestmark = pytest.mark.kafka

SECRET = "whsec_" + "faults" * 6
TRIES = 3
"""The sink waits longer after each failure: so many are enough to see it try, and soon over."""

_seeds = itertools.count(16)


class Setting(NamedTuple):
    nps: Deployment
    proxy: Proxy
    receiver: Receiver
    metrics_port: int

    def failures(self) -> float:
        """How often the sink has failed to write."""
        return metric(self.metrics_port, "nps_sink_failures_total", {"kind": "unavailable"})

    def meanwhile(self) -> int:
        """New traffic while something is wrong; the seed it came of."""
        seed = next(_seeds)
        produce(self.nps.kafka.bootstrap, recent(seed, 150, ALONE))
        return seed


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    port = free_port()
    with (
        Receiver(SECRET) as receiver,
        Deployment(tmp_path_factory.mktemp("warehouse"), PROGRAM) as nps,
        Proxy(nps.clickhouse_url.removesuffix("/nps")) as between,
    ):
        produce(nps.kafka.bootstrap, generate(next(_seeds), ALONE))
        nps.run("worker-1")
        nps.run("sink", NPS_CLICKHOUSE_URL=f"{between.address}/nps", NPS_METRICS_PORT=str(port))
        nps.run("notify", NPS_WEBHOOK_URL=receiver.url, NPS_WEBHOOK_SECRET=SECRET)
        nps.quiet()
        yield Setting(nps, between, receiver, port)


def test_while_it_is_down_alerts_go_on(setting: Setting) -> None:
    """Scenario 16, down: the sink waits with its rows and lives; people are paged meanwhile; then it catches up."""
    nps, failures = setting.nps, setting.failures()
    setting.proxy.switch(Down())
    seed = setting.meanwhile()
    name = f"down-{time.monotonic_ns()}"
    produce(nps.kafka.bootstrap, visits(name, 5, score=0))
    nps.until(lambda: setting.failures() >= failures + TRIES, "the sink has tried again and again")
    nps.until(lambda: len(paged(setting.receiver, name)) == 5, "people are paged")
    assert nps.query(f"SELECT count() FROM answers WHERE startsWith(customer_id, '{name}')") == [(0,)]
    assert metric(setting.metrics_port, "nps_sink_waiting_rows") > 0
    began = time.monotonic()
    setting.proxy.switch(Pass())
    nps.until(lambda: not nps.behind(), "the sink caught up")
    assert nps.members["sink"].exits == [], "it must wait, not end"
    assert metric(setting.metrics_port, "nps_sink_waiting_rows") == 0
    conclude(nps, "16 ClickHouse down", seed, {"failed tries": round(setting.failures() - failures)},
             figures={"caught up after": f"{time.monotonic() - began:.1f} s"})  # fmt: skip


@pytest.mark.parametrize("answer", [proxy.READ_ONLY, proxy.FULL, proxy.TOO_MANY_PARTS, proxy.MEMORY_LIMIT])
def test_an_answer_that_means_not_now_is_waited_out(setting: Setting, answer: Refuse) -> None:
    """Scenario 16, read-only, full, behind with merging, out of memory: no row is refused for it, none is lost."""
    before = setting.proxy.done[answer.name]
    setting.proxy.switch(answer)
    seed = setting.meanwhile()
    setting.nps.until(lambda: setting.proxy.done[answer.name] >= before + TRIES - 1, "it has refused again and again")
    setting.proxy.switch(Pass())
    conclude(setting.nps, f"16 ClickHouse says {answer.name}", seed, {answer.name: setting.proxy.done[answer.name]})
    assert setting.nps.members["sink"].exits == []
    assert refused(setting.nps) == [], "what it did not take for a while must not be buried"


@pytest.mark.parametrize(
    ("fault", "name"), [(CutReply(), "cut after"), (CutRequest(), "cut before")], ids=["reply lost", "request lost"]
)
def test_a_broken_connection_changes_no_total(setting: Setting, fault: Fault, name: str) -> None:
    """Scenario 17: applied and never answered, or never applied, an insert comes again and counts once."""
    before = setting.proxy.done[name]
    setting.proxy.switch(fault, inserts=6)
    seed = setting.meanwhile()
    setting.nps.until(lambda: setting.proxy.done[name] == before + 6, "six inserts were cut")
    conclude(setting.nps, f"17 connection to ClickHouse {name}", seed, {name: 6})
    assert setting.nps.members["sink"].exits == []


def test_a_slow_one_holds_nobody_else_up(setting: Setting) -> None:
    """Scenario 16, slow: rows come late, pages do not."""
    nps, before = setting.nps, setting.proxy.done["slow"]
    setting.proxy.switch(Slow(delay_s=1.5, bytes_per_s=50_000))
    seed = setting.meanwhile()
    nps.until(lambda: setting.proxy.done["slow"] >= before + 2, "it was slow")
    name, began = f"slow-{time.monotonic_ns()}", time.monotonic()
    produce(nps.kafka.bootstrap, visits(name, 5, score=0))
    nps.until(lambda: len(paged(setting.receiver, name)) == 5, "people are paged")
    paged_s = time.monotonic() - began
    nps.until(lambda: setting.proxy.done["slow"] >= before + 4, "it was slow for some time")
    setting.proxy.switch(Pass())
    conclude(nps, "16 ClickHouse slow", seed, {"slow inserts": setting.proxy.done["slow"] - before},
             figures={"paged meanwhile after": f"{paged_s:.1f} s"})  # fmt: skip


def test_rows_that_it_refuses_are_found_among_the_others(tmp_path: Path) -> None:
    """Scenario 16, refusing rows: those alone are dead letters, bytes and all; all others are there."""
    with Deployment(tmp_path, PROGRAM) as nps:
        command(nps, "ALTER TABLE answers ADD CONSTRAINT nothing_bad CHECK NOT startsWith(customer_id, 'bad-')")
        nps.run("worker-1")
        nps.run("sink")
        mixed = zip(visits("good", 60), visits("bad", 60), strict=True)
        sent = [one for number, pair in enumerate(mixed) for one in pair if one is pair[0] or number // 2 % 12 == 0]
        produce(nps.kafka.bootstrap, sent)
        nps.until(lambda: len(refused(nps)) == 5, "the bad ones are buried")
        nps.until(lambda: not nps.behind(), "all was read")
        assert nps.query("SELECT count() FROM answers FINAL WHERE customer_id LIKE 'good-%'") == [(60,)]
        bad = {
            (number, record.offset): (record.key, record.value)
            for number, record in nps.topics.read(ANSWERS.name)
            if nps.topics.codec.decode(Answer, record.value).customer_id.startswith("bad-")
        }
        deaths = {}
        for letter in refused(nps):
            _, death = unwrap(letter.headers)
            assert death.topic == ANSWERS.name
            deaths[death.partition, death.offset] = (letter.key, letter.value)
        assert deaths == bad


def paged(receiver: Receiver, name: str) -> set[str]:
    """Customers of this name about whom somebody was told."""
    customers = {str(one.body["customer_id"]) for one in list(receiver.received) if one.status == 200 and one.genuine}
    return {customer for customer in customers if customer.startswith(f"{name}-")}


def command(nps: Deployment, sql: str) -> None:
    """Tell ClickHouse itself, past the proxy."""
    with closing(connect(nps.clickhouse_url)) as warehouse:
        warehouse.command(sql)


def refused(nps: Deployment) -> list[KafkaRecord]:
    """Dead letters of rows that ClickHouse refused."""
    letters = [record for _, record in Pipeline(nps.kafka.bootstrap, 1).read(DEAD_LETTERS)]
    return [record for record in letters if unwrap(record.headers)[1].reason == "refused_by_warehouse"]
