"""Every command on dead letters and schemas that README and runbook show runs as it stands there, in that order."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from schemas.codec import Codec
from schemas.deadletters import Death, wrap
from schemas.topics import DEAD_LETTERS, RESPONSES
from streams.clock import wall_ms
from streams.local.servers import local_broker, local_clickhouse
from tests.support.avro_files import FOLDER
from tests.support.commands import BOUND_S, ROOT, clean, done
from tests.support.histories import response

SHOWN = re.compile(r"^\$ (nps (?:deadletters|schemas|query \"SELECT \* FROM letters_by_reason).*?)(?:\s+#.*)?$", re.M)
REASONS = ("unknown_schema", "invalid_score", "undelivered", "forged_token", "placeholder")


def commands(name: str) -> list[str]:
    """The commands that a document shows, in its order; those in a sentence last."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return [*SHOWN.findall(text), *re.findall(r"`(nps (?:deadletters|schemas) [a-z]+[^`]* [^`]+)`", text)]


@pytest.fixture
def environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Servers with topics, tables and letters of each kind."""
    with local_broker() as broker, local_clickhouse(tmp_path / "clickhouse") as server:
        settings = {
            "NPS_BROKERS": broker.address, "NPS_CLICKHOUSE_URL": f"{server.address}/nps", "NPS_PARTITIONS": "3"
        }  # fmt: skip
        done("topics", environ=settings)
        done("migrate", environ=settings)
        bury(broker.address)
        yield settings


def bury(brokers: str) -> None:
    """Write twenty letters, of each reason four."""
    producer, codec, now_ms = Producer({"bootstrap.servers": brokers, "log_level": 0}), Codec(), wall_ms()
    for number in range(20):
        reason = REASONS[number % len(REASONS)]
        said = response(f"r{number}", now_ms, 11 if reason == "invalid_score" else 9)
        death = Death(reason, "", "nps.collector" if reason == "forged_token" else RESPONSES.name, 0, number, now_ms)
        told: list[tuple[str, str | bytes | None]] = [*wrap([], death)]
        producer.produce(DEAD_LETTERS, codec.encode(said), b"c1", headers=told)
    assert producer.flush(BOUND_S) == 0


@pytest.mark.parametrize(("document", "least"), [("README.md", 7), ("deploy/RUNBOOK.md", 10)])
def test_what_is_shown_runs(document: str, least: int, environ: dict[str, str], tmp_path: Path) -> None:
    """In a shell, with nothing on stderr; between showing and putting back a person corrects the scores."""
    shown = commands(document)
    assert len(shown) >= least, shown
    shutil.copy(FOLDER / "purchase.v1.avsc", tmp_path / "NEW.avsc")
    shutil.copy(ROOT / "deploy" / "sources" / "zendesk.toml", tmp_path / "shop.toml")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command in shown:
        ended = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env={**clean(environ), "PATH": path}, capture_output=True, text=True,
            check=False, timeout=BOUND_S,
        )  # fmt: skip
        assert (ended.returncode, ended.stderr) == (0, ""), (command, ended)
        if command.endswith("> letters.jsonl"):
            correct(tmp_path / "letters.jsonl")
        if "--edited" in command:
            assert "4 letters put back" in ended.stdout, ended


def correct(file: Path) -> None:
    """Make ten of eleven."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert lines
    file.write_text("".join(json.dumps({**line, "score": 10}) + "\n" for line in lines), encoding="utf-8")
