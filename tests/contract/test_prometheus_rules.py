"""The alert rules, tested by Prometheus's own tool; skipped loudly where there is no `promtool`."""

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
WITH_ANY_REASON = 'nps_sink_dead_letters_total{reason="refused_by_warehouse"}'
TESTS = Path(__file__).with_name("prometheus_rules.test.yml")


def promtool(*arguments: str) -> str:
    """What promtool says; skips where it is missing."""
    if shutil.which("promtool") is None:
        warnings.warn("NOT TESTED: the Prometheus rules need promtool (apt-get install prometheus)", stacklevel=1)
        pytest.skip("needs promtool: apt-get install prometheus")
    ended = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_rules_are_valid() -> None:
    """Prometheus would load every rule file."""
    assert "SUCCESS" in promtool("check", "rules", *map(str, RULES))


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
