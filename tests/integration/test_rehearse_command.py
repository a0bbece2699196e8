"""`nps rehearse` against the local broker: as many partitions as Kafka has, and the program that is in force there."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from schemas.codec import Codec
from schemas.topics import DECISIONS
from streams.local.servers import local_broker
from streams.local.stack import TRY_PROGRAM
from streams.program import load
from tests.support.commands import ROOT, done, run
from tests.support.ledger_rows import DECIDED

CUSTOMERS = 40
SHIPPED = ROOT / "streams" / "nps.toml"


@pytest.fixture(params=[1, 9])
def environ(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """A broker with fewer or more partitions than the setting says, and an event of each of many customers."""
    with local_broker() as broker:
        told = {"NPS_BROKERS": broker.address, "NPS_SERVER_WAIT_S": "20"}
        done("topics", environ={**told, "NPS_PARTITIONS": str(request.param)})
        now_ms = time.time_ns() // 1_000_000
        event = {"source": "shop", "id": "1", "type": "order.delivered", "time": now_ms, "order_id": "O1"}
        lines = [json.dumps({**event, "customer_id": f"C{number}"}) for number in range(CUSTOMERS)]
        done("produce", "--topic", "purchases", "-", environ=told, given="\n".join(lines))
        yield told


def decide(environ: dict[str, str], program: str, at_ms: int) -> None:
    """A worker with this program decides something."""
    producer = Producer({"bootstrap.servers": environ["NPS_BROKERS"], "log_level": 0})
    value = Codec().encode(DECIDED._replace(program=program))
    producer.produce(DECISIONS.name, value, DECIDED.customer_id.encode(), 0, timestamp=at_ms)
    assert producer.flush(20) == 0


def test_all_is_replayed_by_the_program_in_force(environ: dict[str, str], tmp_path: Path) -> None:
    """Whatever NPS_PARTITIONS says; the program is that of the newest decisions, or named where nobody has its file."""
    other = tmp_path / "other.toml"
    other.write_text(SHIPPED.read_text().replace('delay = "3d"', 'delay = "4d"'))
    words = ["rehearse", "--program", str(other)]
    said = done(*words, environ=environ)
    assert f"{CUSTOMERS} events replayed" in said
    assert f"in force ({load(SHIPPED).hash})" in said, "nobody has decided yet: the program of the settings"
    decide(environ, load(SHIPPED).hash, 1_000_000_000_000)
    decide(environ, load(TRY_PROGRAM).hash, 1_000_000_001_000)
    said = done(*words, environ=environ)
    assert f"in force ({load(TRY_PROGRAM).hash})" in said
    assert re.search(rf"│ sent in all +│ +{CUSTOMERS} +│ +0 +│", said), said
    decide(environ, load(other).hash, 1_000_000_002_000)
    ended = run(*words, environ=environ)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        f"nps: the newest decisions were made by program {load(other).hash}, but NPS_PROGRAM is {load(SHIPPED).hash}: "
        "set NPS_PROGRAM to the file that the workers run with\n"
    )
    assert f"in force ({load(other).hash})" in done(*words, environ={**environ, "NPS_PROGRAM": str(other)})
