"""Workers and sinks die, stand still and come back, anywhere in their work, and nothing counts twice or is lost."""

import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import count, cycle, islice
from pathlib import Path

import pytest

from streams.errors import ExitCode
from tests.faults.harness import fault_injection
from tests.faults.harness.deployment import Deployment, Member
from tests.faults.oracle.terms import PROGRAM
from tests.faults.scenarios.lengths import SEED, times
from tests.faults.scenarios.scenario import LASTING_S, LIVE, Traffic, conclude, start, wait
from tests.faults.traffic.generator import Mix, generate, produce, recent

pytestmark = pytest.mark.kafka

_SEEDS = count(SEED * 1_000)
KILLS = times(20)
HITS = times(5)
"""Of each failpoint; a worker's are shared by one that is killed there and one that raises."""

RATE = 40.0
SMALL_BLOCKS = {"NPS_FETCH_BYTES": "4096"}
SHORT_SESSION = {"NPS_SESSION_TIMEOUT_MS": "4000", "NPS_REBALANCE_TIMEOUT_MS": "6000"}


@pytest.mark.long
def test_killed_at_random(tmp_path: Path) -> None:
    """1: kill -9 of one of two workers every two to six seconds under live traffic."""
    r = random.Random(SEED)
    killed: Counter[str] = Counter()
    with Deployment(tmp_path, PROGRAM) as nps:
        start(nps, "worker-1", "worker-2", "sink")
        with Traffic(nps, SEED, RATE, KILLS * 4.3):
            for _ in range(KILLS):
                wait(nps, r.uniform(2, 6))
                victim = nps.members[r.choice(("worker-1", "worker-2"))]
                nps.until(victim.is_running, "the victim is back")
                victim.kill()
                killed[f"kill -9 {victim.name}"] += 1
        conclude(nps, "1 killed at random", SEED, killed, rounds=KILLS)
        assert killed.total() == sum(member.exits.count(-9) for member in nps.members.values())


@pytest.mark.long
def test_killed_at_every_named_point(tmp_path: Path) -> None:
    """2, 7: each failpoint of worker and sink ends its process so many times, by kill -9 or by an error."""
    with Deployment(tmp_path, PROGRAM) as nps:
        plans = {
            "worker-1": orders(fault_injection.WORKER, "kill", HITS - HITS // 2),
            "worker-2": orders(fault_injection.WORKER[::-1], "raise", HITS - HITS // 2),
            "sink": orders(fault_injection.SINK, "kill", HITS),
        }
        members = {nps.run(name, FAILPOINTS=""): plan for name, plan in plans.items()}
        for member in members:
            member.stop()
        nps.until(lambda: hit_all(nps, members), "every point was hit", HITS * 300)
        hit = Counter(re.findall(r"failpoint ([a-z-]+: [a-z]+)\n", "".join(member.said() for member in members)))
        for member in members:
            member.start()
        conclude(nps, "2 and 7 killed at every named point", SEED, hit, rounds=HITS)
        half = {f"{point}: {how}" for point in fault_injection.WORKER for how in ("kill", "raise")}
        assert {what for what in half if hit[what] < HITS // 2} == set()
        assert {point for point in fault_injection.SINK if hit[f"{point}: kill"] < HITS} == set()


def test_an_error_that_stays_commits_nothing(tmp_path: Path) -> None:
    """7: while each batch raises, the process ends each time with 1, and no offset moves."""
    with Deployment(tmp_path, PROGRAM) as nps:
        produce(nps.kafka.bootstrap, generate(SEED + 1, Mix(visits=200)))
        nps.run("sink")
        worker = nps.run("worker-1", FAILPOINTS="in-batch:raise")
        nps.until(lambda: len(worker.exits) >= 3, "it ended three times")
        assert set(worker.exits) == {ExitCode.UNEXPECTED}
        assert set(nps.lag.committed("worker").values()) == {-1001}
        worker.close()
        nps.run("worker-2")
        conclude(nps, "7 an error in every batch", SEED + 1, {"ended by itself": len(worker.exits)}, slack_ms=0)


@pytest.mark.parametrize("order", ["in-batch:3:hold:14", "after-outputs:3:stall:24"])
def test_rebalanced_during_a_slow_block(tmp_path: Path, order: str) -> None:
    """5: who holds a batch past session and rebalance loses its partitions, and may write no more."""
    with Deployment(tmp_path, PROGRAM, settings=SHORT_SESSION | SMALL_BLOCKS) as nps:
        produce(nps.kafka.bootstrap, generate(SEED + 2, Mix(visits=500)))
        nps.run("sink")
        zombie = nps.run("worker-1", FAILPOINTS=order)
        nps.until(lambda: "failpoint" in zombie.said(), "the batch is slow")
        zombie.wanted = False
        nps.run("worker-2")
        assert zombie.ended() == ExitCode.LEASE_LOST, zombie.said()
        conclude(nps, f"5 rebalanced during a slow batch, {order}", SEED + 2, {order: 1}, slack_ms=0)


def test_frozen_for_two_sessions(tmp_path: Path) -> None:
    """6: who stood still for two sessions in the middle of a batch finds its lease over, writes nothing more and ends.

    A worker with nothing in hand rightly joins anew, so this one has a batch whose outputs are written and no more.
    """
    session_s = int(SHORT_SESSION["NPS_SESSION_TIMEOUT_MS"]) / 1000
    with Deployment(tmp_path, PROGRAM, settings=SHORT_SESSION) as nps:
        start(nps, "worker-2", "sink")
        frozen = nps.run("worker-1", FAILPOINTS=f"after-outputs:20:hold:{10 * session_s:.0f}")
        with Traffic(nps, SEED + 3, RATE, LASTING_S) as traffic:
            nps.until(lambda: "failpoint" in frozen.said(), "a batch is in the middle of being written")
            wait(nps, 1)  # what is on its way arrives, or it would be given up first, and that is another error
            frozen.freeze()
            wait(nps, session_s * 2.2)
            frozen.wanted = False
            frozen.thaw()
            assert frozen.ended() == ExitCode.LEASE_LOST, frozen.said()
            traffic.enough()
        conclude(nps, "6 frozen for two sessions", SEED + 3, {"SIGSTOP": 1})


def orders(points: tuple[str, ...], action: str, rounds: int) -> Iterator[str]:
    """Each point so many times, in turn, at the first or second time that it is reached."""
    turns = islice(cycle(points), len(points) * rounds)
    return (f"{point}:{number % 2 + 1}:{action}" for number, point in enumerate(turns))


def hit_all(nps: Deployment, members: Mapping[Member, Iterator[str]]) -> bool:
    """Start whoever has ended with its next order, and give it work; True once all have ended by their last one."""
    resting = [member for member in members if not member.is_running()]
    for member in resting:
        if (order := next(members[member], None)) is not None:
            member.start(FAILPOINTS=order)
            member.wanted = False
            produce(nps.kafka.bootstrap, recent(next(_SEEDS), 40, LIVE))
    return not any(member.is_running() for member in members)
