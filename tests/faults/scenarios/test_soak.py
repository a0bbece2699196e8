"""24: everything that can go wrong, mixed by a seed for SOAK minutes, all invariants at each quiet point.

Run by `make soak SOAK=30 SEED=7`; left out where SOAK is not set.
"""

import os
import random
import time
from pathlib import Path

import pytest

from tests.faults.harness.deployment import Deployment
from tests.faults.harness.proxy import Proxy
from tests.faults.harness.receiver import Receiver
from tests.faults.oracle.terms import PROGRAM
from tests.faults.scenarios.nemesis import Nemesis
from tests.faults.scenarios.scenario import LIVE, Traffic, conclude

pytestmark = pytest.mark.kafka

MINUTES = float(os.environ.get("SOAK", "0"))
SEED = int(os.environ.get("SEED", "1"))
ROUND_S = 150.0
RATE = 30.0
SECRET = "whsec_" + "soak" * 8


@pytest.mark.skipif(not MINUTES, reason="takes as many minutes as SOAK says: make soak")
def test_soak(tmp_path: Path) -> None:
    """After each round of faults every answer counts once, and stream and warehouse agree."""
    ends = time.monotonic() + MINUTES * 60
    r = random.Random(SEED)
    with (
        Receiver(SECRET) as receiver,
        Deployment(tmp_path, PROGRAM) as nps,
        Proxy(nps.clickhouse_url.removesuffix("/nps")) as proxy,
    ):
        for name in ("worker-1", "worker-2"):
            nps.run(name)
        nps.run("sink", NPS_CLICKHOUSE_URL=f"{proxy.address}/nps")
        nps.run("notify", NPS_WEBHOOK_URL=receiver.url, NPS_WEBHOOK_SECRET=SECRET)
        number = 0
        while number == 0 or time.monotonic() < ends:
            number += 1
            soak_once(nps, Nemesis(nps, proxy, r), number, min(ROUND_S, MINUTES * 40))
    assert all(received.genuine for received in receiver.received)


def soak_once(nps: Deployment, nemesis: Nemesis, number: int, seconds: float) -> None:
    """A round of traffic and faults, then peace and the invariants."""
    with Traffic(nps, SEED * 1_000 + number, RATE, seconds, LIVE) as traffic:
        while not traffic.is_over():
            nemesis.strike()
        nemesis.heal()
    report = conclude(nps, f"24 soak, round {number}", SEED, nemesis.done, rounds=number)
    print(report.text(), flush=True)
