"""Scenario 23: whoever should be told is down, slow, overwhelmed or broken; each alert is told once, or visibly not."""

import itertools
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from schemas.deadletters import unwrap
from schemas.events import Alert
from schemas.topics import ALERTS, DEAD_LETTERS
from streams.kafka.ports import KafkaRecord
from streams.local.servers import free_port
from tests.faults.harness.deployment import Deployment
from tests.faults.harness.pipeline import Pipeline
from tests.faults.harness.receiver import Received, Receiver
from tests.faults.oracle.terms import PROGRAM
from tests.faults.scenarios.scenario import conclude, metric, visits
from tests.faults.traffic.generator import produce

pytestmark = pytest.mark.kafka

SECRET = "whsec_" + "faults" * 6
FIRST_WAIT_S, LONGEST_WAIT_S, MOST_TRIES = 0.5, 30.0, 8
"""What a notifier keeps to as shipped: waits double from the first to the longest, and then it gives up."""

CLIENT_TIMEOUT_S = 10.0


class Setting(NamedTuple):
    nps: Deployment
    receiver: Receiver
    metrics_port: int

    def alert(self, name: str) -> Alert:
        """Let one customer be a detractor; the alert that comes of it."""
        name = f"{name}-{time.monotonic_ns()}"
        produce(self.nps.kafka.bootstrap, visits(name, 1, score=0))
        self.nps.until(lambda: self._alerts(name) != [], "the alert is raised")
        return self._alerts(name)[0]

    def _alerts(self, name: str) -> list[Alert]:
        told = (self.nps.topics.codec.decode(Alert, record.value) for _, record in self.nps.topics.read(ALERTS.name))
        return [alert for alert in told if alert.customer_id.startswith(name)]

    def until_taken(self, alert: Alert) -> list[Received]:
        """Wait until an alert was taken; all tries of it."""
        self.nps.until(lambda: self.receiver.pages[alert.alert_id] > 0, "it was taken")
        return self.receiver.tries(alert.alert_id)


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    port = free_port()
    with Receiver(SECRET) as receiver, Deployment(tmp_path_factory.mktemp("notifier"), PROGRAM) as nps:
        nps.run("worker-1")
        nps.run("sink")
        webhook = {"NPS_WEBHOOK_URL": receiver.url, "NPS_WEBHOOK_SECRET": SECRET}
        nps.run("notify", NPS_METRICS_PORT=str(port), **webhook)
        yield Setting(nps, receiver, port)


def test_down_for_a_while(setting: Setting) -> None:
    """What could not be told while nobody listened is told afterwards, once each, and in a growing rhythm."""
    setting.receiver.go_down()
    alerts = [setting.alert(f"down{number}") for number in range(3)]
    before = attempts(setting, "retry")
    setting.nps.until(lambda: attempts(setting, "retry") >= before + 2, "it was tried again")
    setting.receiver.come_up()
    for alert in alerts:
        assert [one.status for one in setting.until_taken(alert)] == [200]
    finish(setting, "23 receiver down", {"refused connections": round(attempts(setting, "retry"))})


def test_too_many_requests(setting: Setting) -> None:
    """A receiver that says when to come again is not asked before."""
    setting.receiver.answer(429, retry_after_s=4, times=2)
    tries = setting.until_taken(setting.alert("many"))
    assert [one.status for one in tries] == [429, 429, 200]
    assert all(later.at_s - earlier.at_s >= 4 for earlier, later in itertools.pairwise(tries))
    finish(setting, "23 receiver answers 429", {"429 with Retry-After: 4": 2})


def test_too_slow(setting: Setting) -> None:
    """An answer that comes too late is none: it is told again, by the same id, by which the receiver knows it."""
    setting.receiver.answer(200, delay_s=CLIENT_TIMEOUT_S + 2, times=1)
    alert = setting.alert("slow")
    setting.nps.until(lambda: len(setting.receiver.tries(alert.alert_id)) == 2, "it was told again")
    first, second = setting.receiver.tries(alert.alert_id)
    assert first.body == second.body
    finish(setting, "23 receiver slow", {"answers after 12 s": 1})


def test_killed_between_telling_and_committing(setting: Setting) -> None:
    """A notifier that dies before it notes what it told tells it again, by the same id; no other comes twice."""
    setting.receiver.answer(200, delay_s=4, times=1)
    alerts = [setting.alert("killed")]
    setting.nps.until(lambda: setting.receiver.tries(alerts[0].alert_id) != [], "it is being told")
    setting.nps.members["notify"].kill()
    alerts += [setting.alert(f"next{number}") for number in range(3)]
    for alert in alerts:
        setting.until_taken(alert)
    setting.nps.until(lambda: len(setting.receiver.tries(alerts[0].alert_id)) == 2, "it was told again")
    assert [len(setting.receiver.tries(alert.alert_id)) for alert in alerts] == [2, 1, 1, 1]
    finish(setting, "23 notifier killed", {"kill -9": 1})


@pytest.mark.long
def test_broken_for_good(setting: Setting) -> None:
    """After eight tries with growing, scattered waits an alert is a dead letter, whole; the next one is told."""
    setting.receiver.answer(500, times=MOST_TRIES)
    alert = setting.alert("broken")
    setting.nps.until(lambda: attempts(setting, "gave_up") == 1, "it gave up")
    after = setting.alert("mended")
    setting.until_taken(after)
    tries = setting.receiver.tries(alert.alert_id)
    assert [one.status for one in tries] == [500] * MOST_TRIES
    waits = [later.at_s - earlier.at_s for earlier, later in itertools.pairwise(tries)]
    wholes = [min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**number) for number in range(len(waits))]
    assert all(whole / 2 <= wait for whole, wait in zip(wholes, waits, strict=True)), waits
    assert len({round(wait / whole, 2) for whole, wait in zip(wholes, waits, strict=True)}) > 1, "not scattered"
    [letter] = undelivered(setting)
    assert setting.nps.topics.codec.decode(Alert, letter.value) == alert
    assert metric(setting.metrics_port, "nps_notify_alerts_total", {"outcome": "undelivered"}) == 1
    setting.nps.quiet()
    assert setting.nps.query("SELECT count() FROM dead_letters FINAL WHERE reason = 'undelivered'") == [(1,)]
    finish(setting, "23 receiver broken", {"500": MOST_TRIES}, given_up=1,
           figures={"gave up after": f"{sum(waits):.1f} s"})  # fmt: skip


def finish(
    setting: Setting,
    scenario: str,
    injected: dict[str, int],
    *,
    given_up: int = 0,
    figures: dict[str, str] | None = None,
) -> None:
    """All that was raised was told, by genuine requests, and nothing else was; then the numbers."""
    conclude(setting.nps, scenario, 23, injected, figures=figures, tolerated=("undelivered",))
    raised = {
        setting.nps.topics.codec.decode(Alert, record.value).alert_id
        for _, record in setting.nps.topics.read(ALERTS.name)
    }
    told = set(setting.receiver.pages)
    assert told <= raised
    assert len(raised - told) == given_up
    assert all(one.genuine for one in setting.receiver.received)


def attempts(setting: Setting, result: str) -> float:
    """How many tries ended like this."""
    return metric(setting.metrics_port, "nps_notify_attempts_total", {"result": result})


def undelivered(setting: Setting) -> list[KafkaRecord]:
    """Dead letters of alerts that were given up."""
    letters = [record for _, record in Pipeline(setting.nps.kafka.bootstrap, 1).read(DEAD_LETTERS)]
    return [record for record in letters if unwrap(record.headers)[1].reason == "undelivered"]
