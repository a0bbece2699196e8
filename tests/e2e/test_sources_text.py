"""`deploy/SOURCES.md`, run as it is written, by copy and paste: from a sample to a survey, from a webhook to a row."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from streams.local.servers import free_port
from streams.sources import conversions, language
from streams.sources.fields import TABLE_KEYS
from streams.sources.reading import KEYS
from tests.support.commands import BOUND_S, ROOT, Service, clean
from tests.support.console import pasted

TEXT = (ROOT / "deploy" / "SOURCES.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)


def test_from_an_own_sample_to_a_survey(tmp_path: Path) -> None:
    """Every command of every block is pasted into one shell, beside a running `nps up`."""
    commands = "".join(map(pasted, BLOCKS))
    assert commands.startswith("make shell\n")
    kafka, clickhouse, collector = str(free_port()), str(free_port()), str(free_port())
    words = ["up", "--data", str(tmp_path / "data"), "--kafka-port", kafka, "--clickhouse-port", clickhouse]
    words += ["--collector-port", collector]
    here = {
        "NPS_BROKERS": f"127.0.0.1:{kafka}", "NPS_CLICKHOUSE_URL": f"http://127.0.0.1:{clickhouse}/nps",
        "NPS_COLLECTOR_URL": f"http://127.0.0.1:{collector}",
    }  # fmt: skip
    with Service(words, first_terminal(), tmp_path / "up.log") as up:
        up.until(lambda: "restored partitions" in up.said(), "what the text says to wait for")
        ended = subprocess.run(
            ["bash", "-s"],
            cwd=ROOT, env={**clean(here), "SHELL": "/bin/bash", "HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
            input=commands, capture_output=True, text=True, check=False, timeout=BOUND_S,
        )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    said = ended.stdout
    assert "    id             4711:delivered\n" in said
    assert re.search(r"│ message +│ delivery, ", said)
    assert "dead letter missing_field: shop.toml:15: purchases.customer_id: nothing at /order/customer/ref\n" in said
    assert "│ missing_field " in said
    assert "1 events of 1 records loaded\norder.json: as expected\n" in said
    assert '{"accepted": 1}\n' in said
    assert re.search(r"│ 9 +│ right on time │", said)


def first_terminal() -> dict[str, str]:
    """What the text says `make up` is to be told, so that webhooks are taken."""
    [told] = re.findall(r"`((?:[A-Z_]+=\S+ )+)make up`", TEXT)
    return {
        name: value.replace("deploy/", f"{ROOT}/deploy/") for name, _, value in (w.partition("=") for w in told.split())
    }


@pytest.mark.parametrize(
    "words",
    [
        language.FORMATS, language.ENVELOPES, language.COMPRESSIONS, language.OTHERWISE, conversions.CONVERSIONS, KEYS,
        TABLE_KEYS, language.SIGNATURES, ("not", "exists", "at_least", "starts", "differs_from"),
        (language.HEADER, language.KEY, language.RECORD, language.ENVELOPE),
    ],
)  # fmt: skip
def test_the_text_tells_every_word_of_the_language(words: tuple[str, ...]) -> None:
    """Whoever adds a word tells of it."""
    prose = re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)
    told = set(re.findall(r"[@\w]+", " ".join(re.findall(r"`([^`]+)`", prose))))
    assert set(words) - told == set()


def test_every_file_that_is_linked_exists() -> None:
    """The files that lie ready are read."""
    for link in re.findall(r"\]\(([^)]+)\)", TEXT):
        assert (ROOT / "deploy" / link).exists()
    for file in (ROOT / "deploy" / "sources").glob("*.toml"):
        assert tomllib.loads(file.read_text())["name"] == file.stem
