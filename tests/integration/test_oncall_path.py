"""From an alert to a pager and back, through `nps incidents` and `nps notify`, as both run beside each other."""

import asyncio
from importlib import resources
from pathlib import Path

from schemas.codec import Codec
from schemas.events import Alert
from schemas.topics import ALERTS, key_of
from streams.clock import wall_ms
from streams.kafka.producer import Producer
from streams.local.servers import LocalServer
from tests.support.commands import Service, done
from tests.support.services import GoAlert, PagerDuty, Trouble

ROUTES = """
[receivers.cx-pager]
kind = "pagerduty"
url = "{pager}"
[receivers.lead]
kind = "goalert"
[[routes]]
name = "rest"
steps = [{{ after = "0s", to = ["cx-pager"] }}, {{ after = "15m", to = ["lead"] }}]
"""


def alert(score: int, revision: int) -> Alert:
    now_ms, status = wall_ms(), "open" if score <= 6 else "resolved"
    return Alert(f"a{revision}", "survey-1", status, "critical", "c1", "delivery", "after-delivery", "o1", score,
                 "secret words", revision, now_ms, now_ms, ["all", "country=BR"], "p", revision)  # fmt: skip


def test_a_pager_that_refuses_brings_the_next_step_at_once_and_the_end_is_told(
    broker: LocalServer, tmp_path: Path
) -> None:
    """The lead is paged at once and not in 15 minutes, and hears when the customer is content; no comment leaves."""
    with PagerDuty() as pager, GoAlert() as lead:
        program = tmp_path / "nps.toml"
        shipped = (resources.files("streams") / "nps.toml").read_text(encoding="utf-8")
        program.write_text(shipped + ROUTES.format(pager=pager.url))
        environ = {
            "NPS_BROKERS": broker.address, "NPS_PARTITIONS": "2", "NPS_SESSION_TIMEOUT_MS": "3000",
            "NPS_PROGRAM": str(program), "NPS_RECEIVER_CX_PAGER_KEY": "k" * 32, "NPS_RECEIVER_LEAD_URL": lead.url,
        }  # fmt: skip
        done("topics", environ=environ)
        pager.answer(Trouble(400))

        def write(record: Alert) -> None:
            producer = Producer(broker.address)
            producer.send(ALERTS.name, Codec().encode(record), key_of(record))
            asyncio.run(producer.flush())

        with (
            Service("incidents", environ, tmp_path / "incidents.log") as incidents,
            Service("notify", environ, tmp_path / "notify.log") as notify,
        ):
            write(alert(score=2, revision=1))
            notify.until(lambda: sum(lead.pages.values()) == 1, "a page to the lead")
            write(alert(score=9, revision=2))
            notify.until(lambda: not lead.open, "the end, told to the lead")
            assert (incidents.stop(), notify.stop()) == (0, 0)
        assert pager.pages.total() == 0
        assert sum(lead.pages.values()) == 1
        assert not any(
            "secret words" in request.text or '"c1"' in request.text for request in pager.requests + lead.requests
        )
