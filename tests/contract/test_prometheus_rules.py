"""The files of Prometheus and Alertmanager, tested by their own tools; skipped loudly where there are none."""

import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "deploy/prometheus/rules").glob("*.yml"))
ALERTMANAGER = ROOT / "deploy/alertmanager/alertmanager.yml"
WITH_ANY_REASON = 'nps_sink_dead_letters_total{reason="refused_by_warehouse"}'
TESTS = Path(__file__).with_name("prometheus_rules.test.yml")


PACKAGES = {"promtool": "prometheus", "amtool": "prometheus-alertmanager"}
"""Debian's package of each tool."""


def promtool(*arguments: str) -> str:
    """What promtool says; skips where it is missing."""
    return tool("promtool", *arguments)


def tool(name: str, *arguments: str) -> str:
    """What one of Prometheus's tools says of files that it finds right; skips loudly where it is missing."""
    ended = complaint(name, *arguments)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def complaint(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What one of Prometheus's tools says; skips loudly where it is missing."""
    if shutil.which(name) is None:
        remedy = f"apt-get install {PACKAGES[name]}"
        warnings.warn(f"NOT TESTED: the files of Prometheus need {name} ({remedy})", stacklevel=1)
        pytest.skip(f"needs {name}: {remedy}")
    return subprocess.run([name, *arguments], capture_output=True, text=True, check=False)


def test_rules_are_valid() -> None:
    """Prometheus would load every rule file."""
    assert "SUCCESS" in promtool("check", "rules", *map(str, RULES))


def test_prometheus_would_start() -> None:
    """Its configuration is valid, with the rules that it names."""
    said = tool("promtool", "check", "config", str(ROOT / "deploy/prometheus/prometheus.yml"))
    assert "SUCCESS" in said
    assert f"{len(RULES)} rule files found" in said


def test_alertmanager_would_start() -> None:
    """Its configuration is valid."""
    assert "SUCCESS" in tool("amtool", "check-config", str(ALERTMANAGER))


@pytest.mark.parametrize(("severity", "receiver"), [("page", "page"), ("ticket", "ticket")])
def test_alerts_go_to_the_receiver_of_their_severity(severity: str, receiver: str) -> None:
    """Every severity that a rule has leads to a receiver of its own."""
    alerts = [rule for path in RULES for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]
    assert {rule["labels"]["severity"] for rule in alerts if "alert" in rule} == {"page", "ticket"}
    routed = tool("amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}", f"severity={severity}")
    assert routed.strip() == receiver


def test_a_broken_file_would_be_seen(tmp_path: Path) -> None:
    """The checks can fail: a route to nobody."""
    broken = tmp_path / "alertmanager.yml"
    broken.write_text(ALERTMANAGER.read_text().replace("- name: page", "- name: nobody"))
    assert complaint("amtool", "check-config", str(broken)).returncode != 0


def test_rules_fire_when_they_should_and_not_before() -> None:
    """Each rule fires on series that call for it, with its text, and on none that does not."""
    promtool("test", "rules", str(TESTS))


def test_every_alert_is_tested() -> None:
    """No alert is without a case in which it fires."""
    rules = [rule for path in RULES for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]
    cases = [case for test in yaml.safe_load(TESTS.read_text())["tests"] for case in test.get("alert_rule_test", [])]
    fired = {case["alertname"] for case in cases if case["exp_alerts"]}
    assert {rule["alert"] for rule in rules if "alert" in rule} == fired


def test_what_rules_wait_for_is_counted_from_nought() -> None:
    """A counter that first shows as 1 has not risen to Prometheus: what a rule waits for is there from 0."""
    program = "import sinks.metrics, prometheus_client as p; print(p.generate_latest().decode())"
    fresh = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    text = "\n".join(path.read_text() for path in RULES)
    waited = set(re.findall(r'increase\((nps_(?:sink|notify)\w+\{\w+="\w+"\})', text))
    assert 'nps_notify_alerts_total{outcome="undelivered"}' in waited
    assert [series for series in waited | {WITH_ANY_REASON} if f"\n{series} 0.0\n" not in fresh] == []
