"""Workers come, go and fall behind: how long partitions pause, how soon others take over, what a burst costs."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from schemas.events import Answer
from schemas.topics import ANSWERS
from streams.settings import Settings
from tests.faults.harness.deployment import Deployment
from tests.faults.oracle.terms import PROGRAM
from tests.faults.scenarios.lengths import LENGTH, SEED, times
from tests.faults.scenarios.scenario import LASTING_S, LIVE, Traffic, conclude, now_ms, start, visits, wait
from tests.faults.traffic.generator import Sent, produce

pytestmark = pytest.mark.kafka

RATE = 60.0
PAUSE_S = TAKEN_OVER_S = 180.0
"""The longest that a partition may rest; how long it does on a machine of its own is what the reports say."""

BACKLOG_S = times(300)
BACKLOG_RATE = 200
GROWN_BYTES = 100 << 20


def test_stopped_and_started_again(tmp_path: Path) -> None:
    """3: SIGTERM ends a worker with 0 under live traffic, and no answer is written twice."""
    with Deployment(tmp_path, PROGRAM) as nps:
        start(nps, "worker-1", "worker-2", "sink", "notify")
        with Traffic(nps, SEED + 10, RATE, LASTING_S * LENGTH) as traffic:
            nps.until(lambda: answered(nps) > 50, "answers come")
            for name in ("worker-1", "worker-2", "sink", "notify") * times(1):
                assert nps.members[name].stop() == 0, nps.members[name].said()
                nps.members[name].start()
            traffic.enough()
        conclude(nps, "3 stopped and started again", SEED + 10, {"SIGTERM": 4 * times(1)})
        versions = [(record.key, nps.topics.codec.decode(Answer, record.value).version)
                    for _, record in nps.topics.read(ANSWERS.name)]  # fmt: skip
        assert len(versions) == len(set(versions))


@pytest.mark.long
def test_scaled_out_and_in_and_rolled(tmp_path: Path) -> None:
    """4: from one worker to three and back, then all restarted one by one; no partition rests for long."""
    pauses: dict[str, str] = {}
    with Deployment(tmp_path, PROGRAM, settings={"NPS_INSTANCE": ""}) as nps:
        nps.run("sink")
        nps.run("worker-1", NPS_INSTANCE="")
        with Traffic(nps, SEED + 11, RATE, LASTING_S * LENGTH) as traffic:
            nps.until(lambda: answered(nps) > 50, "answers come")
            began_ms = now_ms()
            for name in ("worker-2", "worker-3"):
                nps.run(name, NPS_INSTANCE="")
            nps.until(lambda: members(nps) == 3, "all three are in the group")
            wait(nps, 4)
            pauses |= paused("1 to 3 workers", nps, began_ms)
            began_ms = now_ms()
            for name in ("worker-2", "worker-1"):
                assert nps.members[name].stop() == 0
                nps.members[name].start()
                nps.until(lambda: members(nps) == 3, "it is back")
            wait(nps, 3)
            pauses |= paused("rolling restart", nps, began_ms)
            began_ms = now_ms()
            for name in ("worker-2", "worker-3"):
                assert nps.members[name].stop() == 0
            wait(nps, 4)
            pauses |= paused("3 to 1 workers", nps, began_ms)
            traffic.enough()
        conclude(nps, "4 scaled and rolled", SEED + 11, {"joined": 4, "left": 4}, figures=pauses)
    assert all(float(pause.split()[-2]) < PAUSE_S for pause in pauses.values()), pauses


def test_another_takes_over(tmp_path: Path) -> None:
    """The shipped settings: from kill -9 of one of two workers to the first answer on a partition that it had."""
    shipped = Settings()
    settings = {"NPS_SESSION_TIMEOUT_MS": str(shipped.session_timeout_ms), "NPS_INSTANCE": ""}
    with Deployment(tmp_path, PROGRAM, settings=settings) as nps:
        for name in ("worker-1", "worker-2", "sink"):
            nps.run(name, NPS_INSTANCE="")
        with Traffic(nps, SEED + 12, RATE, LASTING_S) as traffic:
            nps.until(lambda: answered(nps) > 100, "answers come")
            nps.until(lambda: len(owned(nps, "worker-1")) == 2, "both have their share")
            lost = owned(nps, "worker-1")
            killed_ms = now_ms()
            nps.members["worker-1"].kill(again=False)
            nps.until(
                lambda: all(first_after(nps, number, killed_ms) for number in lost), "others serve its partitions"
            )
            traffic.enough()
        took = {number: (first_after(nps, number, killed_ms) - killed_ms) / 1000 for number in sorted(lost)}
        figures = {f"partition {number} served again": f"{seconds:.1f} s" for number, seconds in took.items()}
        figures |= {
            "session timeout": f"{shipped.session_timeout_ms} ms",
            "heartbeat": f"{shipped.engine().session_timeout_ms // 4} ms",
            "rebalance timeout": f"{shipped.rebalance_timeout_ms} ms",
        }
        conclude(nps, "fail-over with the shipped settings", SEED + 12, {"kill -9": 1}, figures=figures)
    assert max(took.values()) < TAKEN_OVER_S, took


@pytest.mark.long
def test_catches_up_after_an_outage(tmp_path: Path) -> None:
    """Five minutes of answers came while all workers were stopped: how soon they are through."""
    with Deployment(tmp_path, PROGRAM) as nps:
        start(nps, "worker-1", "worker-2", "sink")
        produce(nps.kafka.bootstrap, visits("before", 10))
        nps.quiet()
        for name in ("worker-1", "worker-2"):
            assert nps.members[name].stop() == 0
        produce(nps.kafka.bootstrap, backlog())
        began = time.monotonic()
        for name in ("worker-1", "worker-2"):
            nps.members[name].start()
        nps.until(lambda: not nps.lag.behind(["worker"]), "the workers are through")
        worked_s = time.monotonic() - began
        nps.until(lambda: not nps.behind(), "ClickHouse has it all")
        stored_s = time.monotonic() - began
        figures = {
            "answers in the backlog": str(BACKLOG_S * BACKLOG_RATE),
            "workers caught up after": f"{worked_s:.1f} s",
            "ClickHouse caught up after": f"{stored_s:.1f} s",
        }
        conclude(nps, "catching up after an outage", SEED + 13, {"all workers stopped": 1}, figures=figures)


@pytest.mark.long
def test_a_burst(tmp_path: Path) -> None:
    """22: ten times the traffic for a while; memory stays flat and nothing is dropped."""
    with Deployment(tmp_path, PROGRAM) as nps:
        start(nps, "worker-1", "sink")
        with Traffic(nps, SEED + 14, RATE / 2, LASTING_S) as traffic:
            nps.until(lambda: answered(nps) > 50, "answers come")
            traffic.enough()
        before = {name: resident_bytes(member.pid) for name, member in nps.members.items()}
        peak = dict(before)

        def watched() -> bool:
            for name, member in nps.members.items():
                peak[name] = max(peak[name], resident_bytes(member.pid))
            return burst.is_over()

        # who has many records within the time that one takes to be written is judged where all is written first
        mix = replace(LIVE, hot_customer_ratio=0)
        with Traffic(nps, SEED + 15, RATE * 5, 20 * LENGTH, mix) as burst:
            nps.until(watched, "the burst is over")
        figures = {f"{name} before, at most": f"{before[name] >> 20}, {peak[name] >> 20} MiB" for name in peak}
        conclude(nps, "22 a burst of ten times the traffic", SEED + 14, {"burst": 1}, figures=figures)
    assert all(peak[name] - before[name] < GROWN_BYTES for name in peak), figures


def backlog() -> Iterator[Sent]:
    """The visits of some minutes up to now, spread over them."""
    start_ms = now_ms() - BACKLOG_S * 1000
    for second in range(BACKLOG_S):
        yield from visits(f"b{second}", BACKLOG_RATE, at_ms=start_ms + second * 1000)


def answered(nps: Deployment) -> int:
    """How many answers were written."""
    return sum(nps.lag.ends({ANSWERS.name}).values())


def members(nps: Deployment) -> int:
    """How many workers share the partitions."""
    return len({member for member, parts in nps.lag.assigned("worker").items() if parts})


def owned(nps: Deployment, name: str) -> frozenset[int]:
    """The partitions that a worker said it restored last."""
    said = nps.members[name].said().rpartition("restored partitions=[")[2].partition("]")[0]
    return frozenset(int(number) for number in said.split(",") if number.strip().isdigit())


def paused(what: str, nps: Deployment, since_ms: int) -> Mapping[str, str]:
    """The longest time without an answer on each partition since then."""
    times_ms: dict[int, list[int]] = {number: [since_ms] for number in range(nps.partitions)}
    for number, record in nps.topics.read(ANSWERS.name):
        if record.timestamp >= since_ms:
            times_ms[number].append(record.timestamp)
    ended_ms = now_ms()
    pauses = (max(b - a for a, b in pairwise([*found, ended_ms])) / 1000 for found in times_ms.values())
    return {f"{what}: partition {number} rested": f"{pause:.1f} s" for number, pause in enumerate(pauses)}


def first_after(nps: Deployment, partition: int, since_ms: int) -> int:
    """When the first answer of this partition was written since then; 0 as long as there is none."""
    times_ms = (record.timestamp for number, record in nps.topics.read(ANSWERS.name) if number == partition)
    return min((at_ms for at_ms in times_ms if at_ms > since_ms), default=0)


def resident_bytes(pid: int) -> int:
    """The memory that a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096
