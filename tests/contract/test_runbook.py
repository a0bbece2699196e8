"""What the runbook tells people at night is so: it makes up no code, metric, alert, setting, topic or command."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from prometheus_client import REGISTRY

import sinks.metrics  # noqa: F401  # these two declare what the runbook names
import streams.metrics  # noqa: F401
from schemas.topics import TOPICS
from streams import settings
from streams.errors import ExitCode

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "deploy/RUNBOOK.md").read_text(encoding="utf-8")
ADVICE = re.sub(r"^```\n.*?^```$", "", RUNBOOK, flags=re.MULTILINE | re.DOTALL)
"""Without the lines from runs, which quote mistakes too."""

RULES = yaml.safe_load((ROOT / "deploy/prometheus/rules/nps.yml").read_text(encoding="utf-8"))
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule}
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in RUNBOOK.splitlines() if line.startswith("|")]


@pytest.mark.parametrize("code", ExitCode)
def test_every_exit_code_has_its_row_and_its_section(code: ExitCode) -> None:
    """Number and name stand in the table; all but a clean stop have a section with a line from a real run."""
    assert [row[:2] for row in ROWS if row[0] == str(code.value)] == [[str(code.value), code.name.lower()]]
    if code is not ExitCode.OK:
        section = RUNBOOK.partition(f"### {code.value} {code.name.lower()}\n")[2].partition("\n###")[0]
        assert re.match(r"```\n.+\n", section), f"exit code {code.value} has no example"


def test_every_metric_exists() -> None:
    """A metric that is named is declared."""
    named = set(re.findall(r"`(nps_\w+)`", ADVICE))
    assert named
    assert named <= set(REGISTRY._names_to_collectors)


def test_every_alert_has_a_row_with_a_metric_of_its_rule() -> None:
    """The table has all alerts and no other; the metric that it points at is in the rule, if by another rule."""
    rows = {row[0]: row[1] for row in ROWS if row[0].startswith("Nps")}
    assert rows.keys() == ALERTS.keys()
    records = {rule["record"]: rule["expr"] for group in RULES["groups"] for rule in group["rules"] if "record" in rule}
    for name, shown in rows.items():
        expression = ALERTS[name]["expr"]
        expression += "".join(text for record, text in records.items() if record in expression)
        assert any(metric in expression for metric in re.findall(r"`(\w+)`", shown)), name


def test_every_setting_exists() -> None:
    """A setting that is named can be set."""
    named = set(re.findall(r"\b(NPS_[A-Z_]+)\b", ADVICE))
    assert named
    assert named <= {name for name, *_ in settings.rows()}


def test_every_topic_exists() -> None:
    """A topic that is named is one of the pipeline's."""
    named = set(re.findall(r"`(nps\.[\w-]+)`", ADVICE))
    assert named
    assert named <= {topic.name for topic in TOPICS}


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`nps ([a-z]+)", ADVICE))))
def test_every_command_exists(command: str) -> None:
    """A command that is named is taken."""
    shown = subprocess.run([sys.executable, "-m", "streams.cli", command, "--help"], capture_output=True, check=False)
    assert shown.returncode == 0


@pytest.mark.parametrize("anchor", sorted(set(re.findall(r"\]\(#([^)]+)\)", RUNBOOK))))
def test_every_link_leads_somewhere(anchor: str) -> None:
    """A link names a heading of this page."""
    headings = re.findall(r"^#+ (.+)$", RUNBOOK, re.MULTILINE)
    assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
