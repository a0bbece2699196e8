"""Receivers at real servers: an SMTP server, Prometheus Alertmanager, and notifications through a real broker."""

import io
import json
import os
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from importlib import resources
from pathlib import Path
from typing import Any, cast

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from schemas.codec import Codec
from schemas.events import Delivery, Notification
from schemas.topics import DEAD_LETTERS, DELIVERIES, NOTIFICATIONS, ONCALL, key_of
from sinks.notify.alertmanager.receiver import AlertmanagerReceiver
from sinks.notify.configuration import ReceiverConfig
from sinks.notify.console.receiver import ConsoleReceiver
from sinks.notify.delivery_log import DeliveryLog
from sinks.notify.email.receiver import EmailReceiver
from sinks.notify.notifier import GiveUp, TryLater
from sinks.notify.process import ReceiverProcess
from sinks.notify.receiver import IncidentReceiver, Permission
from sinks.notify.receivers import configured, made
from streams.local.servers import LocalServer, free_port
from tests.support.commands import BOUND_S, run
from tests.support.couriers import Machine
from tests.support.oncall import news, notification
from tests.support.services import PagerDuty
from tests.support.waits import dead_letters, eventually

CODEC = Codec()


# -- e-mail ------------------------------------------------------------------------------------------------------------


class Mailbox:
    """Handler of aiosmtpd that keeps every mail; `replies` are given first, to RCPT."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.replies: list[str] = []

    async def handle_RCPT(self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: list[str]) -> str:
        if self.replies:
            return self.replies.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:
        self.mails.append(message_from_bytes(cast(bytes, envelope.content), policy=default))
        return "250 taken"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, Controller]]:
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield box, controller
    controller.stop()


def email_at(controller: Controller, to: list[str] | None = None) -> EmailReceiver:
    options: dict[str, Any] = {
        "host": "127.0.0.1", "port": controller.port, "security": "none", "from": "nps@example.com",
        "to": to or ["oncall@example.com"],
    }  # fmt: skip
    return EmailReceiver(ConfigOf(options))


def ConfigOf(options: dict[str, Any]) -> ReceiverConfig:
    return ReceiverConfig("mail", "email", options)


def test_mails_of_an_incident_are_one_thread(mailbox: tuple[Mailbox, Controller]) -> None:
    """The later ones answer the first; a second one that is sent again bears the same Message-ID."""
    box, controller = mailbox
    machine = Machine(email_at(controller))
    machine.run([notification(seq=1)])
    machine.crash_at("called")
    machine.run([notification(seq=2, verb="update")])
    machine.start()
    machine.run()
    first, second, again = box.mails
    assert (first["In-Reply-To"], second["In-Reply-To"]) == (None, first["Message-ID"])
    assert second["References"] == first["Message-ID"]
    assert second["Message-ID"] == again["Message-ID"] != first["Message-ID"]
    assert set(machine.states().values()) == {"delivered"}
    plain, html = (part.get_content() for part in cast(Any, first).iter_parts())
    assert "3 detractors in country=BR" in plain
    assert "3 detractors in country=BR" in html


def test_a_mail_server_that_is_busy_or_refuses(mailbox: tuple[Mailbox, Controller]) -> None:
    """4xx passes, 5xx does not; one recipient of two that is taken is enough."""
    box, controller = mailbox
    box.replies = ["450 busy"]
    with pytest.raises(TryLater, match="450"):
        email_at(controller).send(news())
    box.replies = ["550 who?"]
    with pytest.raises(GiveUp, match="550"):
        email_at(controller).send(news())
    box.replies = ["550 who?"]
    receipt = email_at(controller, ["gone@example.com", "oncall@example.com"]).send(news())
    assert receipt.answer == "taken for 1 of 2 recipients"
    assert len(box.mails) == 1


def test_no_mail_server_is_worth_another_try() -> None:
    """It was not reached, so nothing is in doubt."""
    receiver = EmailReceiver(ConfigOf({
        "host": "127.0.0.1", "port": free_port(), "security": "none", "from": "a@b.c", "to": ["a@b.c"],
    }))  # fmt: skip
    with pytest.raises(TryLater, match="does not answer"):
        receiver.send(news())


def test_a_server_without_starttls_gets_nothing(mailbox: tuple[Mailbox, Controller]) -> None:
    """Where the program file asks for it, no mail goes out in the clear."""
    box, controller = mailbox
    options = {"host": "127.0.0.1", "port": controller.port, "from": "a@b.c", "to": ["a@b.c"]}
    with pytest.raises(GiveUp):
        EmailReceiver(ConfigOf(options)).send(news())
    assert box.mails == []


# -- Alertmanager ------------------------------------------------------------------------------------------------------

ALERTMANAGER = shutil.which("prometheus-alertmanager")
CONFIG = """
route: {receiver: hook, group_by: [incident_id], group_wait: 0s, group_interval: 1s, repeat_interval: 4h}
receivers: [{name: hook}]
"""


@contextmanager
def alertmanager(folder: Path, port: int) -> Iterator[str]:
    """A real Alertmanager that keeps its state in the folder."""
    assert ALERTMANAGER is not None
    (folder / "am.yml").write_text(CONFIG)
    words = [
        ALERTMANAGER, f"--config.file={folder / 'am.yml'}", f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
    ]  # fmt: skip
    with (folder / "am.log").open("ab") as said:
        process = subprocess.Popen(words, stdout=said, stderr=said, env={**os.environ})
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: _is_ready(url))
        yield url
    finally:
        process.terminate()
        process.wait(BOUND_S)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def active(url: str) -> list[dict[str, Any]]:
    """Alerts that the Alertmanager holds to be firing."""
    with urllib.request.urlopen(f"{url}/api/v2/alerts?active=true", timeout=30) as reply:
        found: list[dict[str, Any]] = json.loads(reply.read())
    return found


@pytest.mark.skipif(ALERTMANAGER is None, reason="needs Debian's prometheus-alertmanager")
def test_alertmanager_holds_what_is_open(tmp_path: Path) -> None:
    """One alert an incident, of its present severity; the same after a restart of ours, and gone with its resolve."""
    port = free_port()
    with alertmanager(tmp_path, port) as url:
        receiver = AlertmanagerReceiver(ReceiverConfig("am", "alertmanager", secrets={"url": url}))
        now_ms = time.time_ns() // 1_000_000
        opened: dict[str, Any] = {"opened_ms": now_ms - 1_000}
        receiver.send(news(time_ms=now_ms, severity="warning", **opened))
        receiver.send(news("update", time_ms=now_ms, severity="critical", **opened))
        eventually(lambda: [one["labels"]["severity"] for one in active(url)] == ["critical"])
        (alert,) = active(url)
        assert alert["labels"]["alertname"] == "NpsDetractors"
        assert alert["generatorURL"] == "https://nps.example/incidents/i1"
        again = AlertmanagerReceiver(ReceiverConfig("am", "alertmanager", secrets={"url": url}))
        again.restore([news("update", time_ms=now_ms, severity="critical", **opened)])
        again.repeat(now_ms + 60_000)
        assert [one["fingerprint"] for one in active(url)] == [alert["fingerprint"]]
        again.send(news("resolve", time_ms=now_ms, severity="critical", **opened))
        eventually(lambda: active(url) == [])


# -- the test page -----------------------------------------------------------------------------------------------------


def test_a_test_page_says_what_the_service_answered(tmp_path: Path) -> None:
    """One marked page, one line; a name that is none and a secret that is missing are told in one line too."""
    program = tmp_path / "nps.toml"
    shipped = (resources.files("streams") / "nps.toml").read_text(encoding="utf-8")
    with PagerDuty() as service:
        program.write_text(f'{shipped}\n[receivers.cx-pager]\nkind = "pagerduty"\nurl = "{service.url}"\n')
        environ = {"NPS_PROGRAM": str(program), "NPS_RECEIVER_CX_PAGER_KEY": "k" * 32}
        tested = run("notify", "test", "cx-pager", environ=environ)
        (request,) = service.requests
        mistyped = run("notify", "test", "cx-page", environ=environ)
        secretless = run("notify", "test", "cx-pager", environ={"NPS_PROGRAM": str(program)})
    assert (tested.returncode, tested.stderr) == (0, "")
    assert tested.stdout.startswith('cx-pager: 202 {"status": "success", "message": "Event processed"')
    assert request.body["payload"]["summary"].startswith("[TEST] ")
    assert (mistyped.returncode, secretless.returncode, len(service.requests)) == (2, 2, 1)
    assert mistyped.stderr == "nps: 'cx-page' is no receiver, did you mean 'cx-pager'?; there are cx-pager\n"
    assert secretless.stderr == "nps: NPS_RECEIVER_CX_PAGER_KEY is needed for [receivers.cx-pager]: set it\n"


# -- through a broker --------------------------------------------------------------------------------------------------


@pytest.fixture
def kafka(broker: LocalServer) -> str:
    admin = AdminClient({"bootstrap.servers": broker.address})
    names = (NOTIFICATIONS.name, DELIVERIES.name, ONCALL.name, DEAD_LETTERS)
    for made_ in admin.create_topics([NewTopic(name, 1, 1) for name in names]).values():
        made_.result(30)
    return broker.address


def send(kafka: str, *notifications: Notification) -> None:
    producer = Producer({"bootstrap.servers": kafka})
    for one in notifications:
        producer.produce(NOTIFICATIONS.name, CODEC.encode(one), key_of(one))
    assert producer.flush(BOUND_S) == 0


@contextmanager
def delivering(kafka: str, receivers: dict[str, IncidentReceiver]) -> Iterator[None]:
    """The processes of these receivers, each in its group."""
    stop, threads = threading.Event(), []
    clients = {"bootstrap.servers": kafka}
    for name, receiver in receivers.items():
        consumer = {**clients, "group.id": f"t-{name}", "session.timeout.ms": "6000", "heartbeat.interval.ms": "300"}
        process = ReceiverProcess(
            name, receiver, Permission(), consumer, clients, CODEC, DeliveryLog(consumer, clients, CODEC),
            buries=name == "pager",
        )  # fmt: skip
        threads.append(threading.Thread(target=process.run, args=(stop,)))
        threads[-1].start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(BOUND_S)
        assert not any(thread.is_alive() for thread in threads)


def deliveries(kafka: str) -> dict[str, str]:
    """The last state of each notification, by receiver, incident and seq."""
    log = DeliveryLog({"bootstrap.servers": kafka}, {"bootstrap.servers": kafka}, CODEC)
    found: list[Delivery] = list(log.deliveries(time.time_ns() // 1_000_000))
    return {f"{one.receiver}/{one.incident_id}/{one.seq}": one.state for one in found}


def test_news_reach_every_receiver_once_and_strangers_reach_none(kafka: str) -> None:
    """Each receiver hears of its own news; after a restart of all nothing comes again; junk is a dead letter."""
    now_ms, out = time.time_ns() // 1_000_000, io.StringIO()
    terminal = ConsoleReceiver(ReceiverConfig("terminal", "console"), out)
    with PagerDuty() as service:
        config = configured({"pager": {"kind": "pagerduty", "url": service.url}}, {"NPS_RECEIVER_PAGER_KEY": "k" * 32})[
            "pager"
        ]
        send(kafka, notification("i1", 1, time_ms=now_ms), notification("i1", 1, receiver="terminal", time_ms=now_ms))
        producer = Producer({"bootstrap.servers": kafka})
        producer.produce(NOTIFICATIONS.name, b"junk", b"i1")
        assert producer.flush(BOUND_S) == 0
        with delivering(kafka, {"pager": made(config), "terminal": terminal}):
            eventually(lambda: service.pages["i1"] and out.getvalue())
            assert [letter.value() for letter in dead_letters(kafka, 1)] == [b"junk"]
        send(kafka, notification("i1", 2, "resolve", time_ms=now_ms))
        with delivering(kafka, {"pager": made(config), "terminal": terminal}):
            eventually(lambda: service.states.get("i1") == "resolved")
    assert (service.pages["i1"], len(service.requests), out.getvalue().count("\n")) == (1, 2, 1)
    assert deliveries(kafka) == {"pager/i1/1": "delivered", "terminal/i1/1": "delivered", "pager/i1/2": "delivered"}
