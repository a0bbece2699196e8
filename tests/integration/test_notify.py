"""Alerts reach their receiver: signed, again when it falters, once more after a crash, and never for nothing."""

import io
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from standardwebhooks import Webhook, WebhookVerificationError

from schemas.codec import Codec
from schemas.deadletters import unwrap
from schemas.events import Alert
from schemas.topics import ALERTS, DEAD_LETTERS
from sinks.batch import Backoff
from sinks.notify.console.notifier import ConsoleNotifier
from sinks.notify.delivery import AlertDelivery
from sinks.notify.http_post import retry_after_s
from sinks.notify.notifier import GiveUp, Notifier, TryLater
from sinks.notify.webhook.notifier import WebhookNotifier
from streams.local.servers import LocalServer
from tests.support.commands import BOUND_S
from tests.support.strangers import strangers
from tests.support.waits import dead_letters, eventually

CODEC = Codec()
SECRET = "whsec_" + "test" * 8


class Receiver(ThreadingHTTPServer):
    """Answers with `replies` in turn, then 200; keeps the headers and body of each request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), BatchHandler)
        self.replies: list[int] = []
        self.requests: list[tuple[dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"

    def ids(self) -> list[str]:
        return [headers["Idempotency-Key"] for headers, _ in self.requests]


class BatchHandler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((dict(self.headers), body))
        self.send_response(self.server.replies.pop(0) if self.server.replies else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def kafka(broker: LocalServer) -> str:
    admin = AdminClient({"bootstrap.servers": broker.address})
    for made in admin.create_topics([NewTopic(name, 1, 1) for name in (ALERTS.name, DEAD_LETTERS)]).values():
        made.result(10)
    return broker.address


def alert(alert_id: str = "a1", comment: str | None = "too slow, João", age_ms: int = 0) -> Alert:
    received_ms = time.time_ns() // 1_000_000 - age_ms
    return Alert(alert_id, "s1", "open", "critical", "c1", "post_purchase", "delivered", "o1", 2, comment, 1,
                 1_000, received_ms, ["all", "country=BR"], "prog", 7)  # fmt: skip


def send(kafka: str, *values: bytes, timestamp_ms: int = 0) -> None:
    producer = Producer({"bootstrap.servers": kafka})
    for value in values:
        producer.produce(ALERTS.name, value, b"c1", timestamp=timestamp_ms)
    assert producer.flush(BOUND_S) == 0


@contextmanager
def notifying(kafka: str, notifier: Notifier, **options: int) -> Iterator[None]:
    delivery = AlertDelivery(
        {"bootstrap.servers": kafka, "session.timeout.ms": "10000", "heartbeat.interval.ms": "300"},
        {"bootstrap.servers": kafka}, CODEC, notifier, backoff=Backoff(10, 40), **options,
    )  # fmt: skip
    stop = threading.Event()
    thread = threading.Thread(target=delivery.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(BOUND_S)
        assert not thread.is_alive()


# -- the signature -----------------------------------------------------------------------------------------------------


def received(receiver: Receiver, secret: str = SECRET, age_s: float = 0.0) -> tuple[dict[str, str], bytes]:
    """Headers and body as a receiver gets them of a notifier with this secret, `age_s` seconds ago."""
    WebhookNotifier(receiver.url, secret, now_s=lambda: time.time() - age_s).deliver(alert())
    return receiver.requests[-1]


@pytest.mark.parametrize(
    ("secret", "receivers"),
    [
        (SECRET, SECRET),
        (SECRET + "YQ==", SECRET + "YQ"),
        (SECRET + "YQ", SECRET + "YQ=="),
        ("only 24 bytes, but words", b"only 24 bytes, but words"),
        ("Schlüssel " * 20, ("Schlüssel " * 20).encode()),
    ],
)
def test_a_receiver_verifies_with_the_library(receiver: Receiver, secret: str, receivers: str | bytes) -> None:
    """`whsec_` and base64, padded or not, is given to the library as it is; any other text as its bytes."""
    headers, body = received(receiver, secret)
    assert Webhook(receivers).verify(body, headers) == json.loads(body)


def test_another_secret_body_id_or_time_is_not_genuine(receiver: Receiver) -> None:
    """Each of them is under the signature."""
    headers, body = received(receiver)
    webhook = Webhook(SECRET)
    webhook.verify(body, headers)
    earlier = str(int(headers["webhook-timestamp"]) - 1)
    for other, changed, text in (
        (Webhook(SECRET + "YQ=="), headers, body),
        (webhook, headers, body.replace(b"critical", b"minor")),
        (webhook, {**headers, "webhook-id": "a2"}, body),
        (webhook, {**headers, "webhook-timestamp": earlier}, body),
    ):
        with pytest.raises(WebhookVerificationError, match="No matching signature"):
            other.verify(text, changed)


@pytest.mark.parametrize(("age_s", "says"), [(310, "too old"), (-310, "too new")])
def test_an_old_request_cannot_be_sent_again(receiver: Receiver, age_s: float, says: str) -> None:
    """The receiver believes clocks that differ by five minutes and no more, however good the signature."""
    headers, body = received(receiver, age_s=age_s)
    with pytest.raises(WebhookVerificationError, match=says):
        Webhook(SECRET).verify(body, headers)
    headers, body = received(receiver, age_s=age_s * 0.9)
    Webhook(SECRET).verify(body, headers)


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        ("", "key of 0 bytes"),
        ("hunter2", "key of 7 bytes"),
        ("x" * 23, "key of 23 bytes"),
        ("whsec_", "key of 0 bytes"),
        ("whsec_" + "hunter2x" * 3, "key of 18 bytes"),
        ("whsec_hunter2-hunter2-hunter2-hunter2", "must be base64 after whsec_"),
        ("whsec_hunter2hunter2hunter2hunter2hunter2ü", "must be base64 after whsec_"),
    ],
)
def test_a_secret_too_short_or_mistyped_is_refused(secret: str, says: str) -> None:
    """In one line that names the setting, and repeats nothing of it."""
    with pytest.raises(ValueError, match=f"NPS_WEBHOOK_SECRET.* {says}") as caught:
        WebhookNotifier("https://host/x", secret)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


# -- the channels ------------------------------------------------------------------------------------------------------


def test_a_webhook_gets_signed_json(receiver: Receiver) -> None:
    """The body is the alert, the signature holds, and the same alert comes under the same id and key."""
    given = alert()
    for _ in range(2):
        WebhookNotifier(receiver.url, SECRET).deliver(given)
    for headers, body in receiver.requests:
        assert Webhook(SECRET).verify(body, headers) == given._asdict()
        assert (headers["webhook-id"], headers["Content-Type"]) == ("a1", "application/json")
    assert receiver.ids() == ["a1", "a1"]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, TryLater),
        (500, TryLater),
        (503, TryLater),
        (400, GiveUp),
        (302, GiveUp),
        (401, GiveUp),
        (403, GiveUp),
        (405, GiveUp),
        (409, GiveUp),
        (410, GiveUp),
        (413, GiveUp),
        (422, GiveUp),
        (404, TryLater),
        (408, TryLater),
        (421, TryLater),
        (423, TryLater),
        (425, TryLater),
        (499, TryLater),
        (502, TryLater),
        (504, TryLater),
    ],
)
def test_answers_fall_into_two_kinds(receiver: Receiver, status: int, error: type[Exception]) -> None:
    """A passing trouble is worth another try; a plain no is not, and a redirect is not followed."""
    receiver.replies = [status]
    with pytest.raises(error, match=str(status)):
        WebhookNotifier(receiver.url, SECRET).deliver(alert())
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [("", 0), ("120", 120), ("soon", 0), ("-5", 0), ("\u0661", 0), ("9" * 400, 6 * 3_600), ("1.5", 0),
     (" 7 ", 7), ("9" * 5_000, 0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("Thu, 99 Jan 1970", 0),
     ("Thu, 01 Jan 99999 00:00:00 GMT", 0), ("Thu, 01 Jan 99999999999 00:00:00", 0)],
)  # fmt: skip
def test_a_receiver_may_say_when(header: str, wait_s: float) -> None:
    """Retry-After comes in seconds or as a date, six hours count at most; nonsense asks for nothing."""
    assert retry_after_s(header) == wait_s


def test_a_receiver_may_name_the_time() -> None:
    """A date is as many seconds away as it is by the clock."""
    assert 58 <= retry_after_s(formatdate(time.time() + 60, usegmt=True)) <= 60


def test_a_receiver_that_is_down_is_worth_another_try() -> None:
    """A refused connection is TryLater; an id that makes no header is GiveUp; neither says the secret."""
    with Receiver() as closed:
        url = closed.url
    with pytest.raises(TryLater, match="does not answer") as error:
        WebhookNotifier(url, SECRET).deliver(alert())
    assert SECRET not in str(error.value) + repr(WebhookNotifier(url, SECRET))
    with pytest.raises(GiveUp, match="no valid request"):
        WebhookNotifier(url, SECRET).deliver(alert("a1\r\nX-Forged: 1"))


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://host/x", "host/x", "https://user:pass@host/x", "https://"]
)
def test_only_plain_http_addresses_are_taken(url: str) -> None:
    """Anything else is refused when made."""
    with pytest.raises(ValueError, match="NPS_WEBHOOK_URL must look"):
        WebhookNotifier(url, SECRET)


def test_the_terminal_shows_no_comment_unless_asked() -> None:
    """One line an alert, without what the customer wrote."""
    out, chatty = io.StringIO(), io.StringIO()
    ConsoleNotifier(out).deliver(alert())
    ConsoleNotifier(chatty, show_comments=True).deliver(alert())
    assert out.getvalue() == ("alert open severity=critical score=2 survey=post_purchase segments=all,country=BR "
                              "customer=c1 about=o1 alert_id=a1\n")  # fmt: skip
    assert "João" in chatty.getvalue()


def test_a_log_names_no_customer() -> None:
    """Where the output is no terminal, the line has ids of ours alone."""
    out = io.StringIO()
    ConsoleNotifier(out, show_customers=False).deliver(alert())
    assert out.getvalue() == (
        "alert open severity=critical score=2 survey=post_purchase segments=all,country=BR alert_id=a1\n"
    )


def test_a_line_cannot_be_forged() -> None:
    """Line ends in a field do not start a line of their own."""
    out = io.StringIO()
    ConsoleNotifier(out, show_comments=True).deliver(
        alert(comment="x\nalert open")._replace(correlation_id="o\nalert\x1b[2J")
    )
    assert (out.getvalue().count("\n"), out.getvalue().isascii(), "\x1b" in out.getvalue()) == (1, True, False)


# -- the notifier ------------------------------------------------------------------------------------------------------


def test_a_faltering_receiver_gets_every_alert_in_order(kafka: str, receiver: Receiver) -> None:
    """A passing trouble is tried again until it works; then the next one; after a restart none comes again."""
    receiver.replies = [503, 429, 200, 500]
    now_ms = int(time.time() * 1_000)
    send(kafka, *(CODEC.encode(alert(f"a{number}")) for number in range(3)), timestamp_ms=now_ms)
    with notifying(kafka, WebhookNotifier(receiver.url, SECRET)):
        eventually(lambda: len(receiver.requests) >= 6)
    assert receiver.ids() == ["a0", "a0", "a0", "a1", "a1", "a2"]
    send(kafka, CODEC.encode(alert("a3")), timestamp_ms=now_ms)
    with notifying(kafka, WebhookNotifier(receiver.url, SECRET)):
        eventually(lambda: len(receiver.requests) >= 7)
    assert receiver.ids()[6:] == ["a3"]


def test_what_cannot_be_delivered_is_a_dead_letter(kafka: str, receiver: Receiver) -> None:
    """After the last try, or at once for a plain no, the alert is dead-lettered as it was, and the next one goes on."""
    receiver.replies = [500, 404, 408, 400, 200]
    values = [CODEC.encode(alert(f"a{number}")) for number in range(3)]
    send(kafka, *values[:2], b"junk", values[2], timestamp_ms=int(time.time() * 1_000))
    with notifying(kafka, WebhookNotifier(receiver.url, SECRET), max_tries=3):
        eventually(lambda: len(receiver.requests) >= 5)
        found = dead_letters(kafka, 3)
    assert receiver.ids() == ["a0", "a0", "a0", "a1", "a2"]
    deaths = [unwrap(letter.headers())[1] for letter in found]  # type: ignore[arg-type]  # a list, as produced
    assert [letter.value() for letter in found] == [values[0], values[1], b"junk"]
    assert [(death.reason, death.offset) for death in deaths] == [
        ("undelivered", 0),
        ("undelivered", 1),
        ("undecodable", 2),
    ]
    assert "answered 408" in deaths[0].detail


def test_strangers_page_nobody_and_hold_nobody_up(kafka: str, receiver: Receiver) -> None:
    """Whatever they write on nps.alerts becomes a dead letter, and the alert behind it is delivered."""
    foreign = [written for _, written in strangers(ALERTS)]
    producer = Producer({"bootstrap.servers": kafka})
    for key, value in foreign:
        producer.produce(ALERTS.name, value, key)
    assert producer.flush(BOUND_S) == 0
    send(kafka, CODEC.encode(alert("a1")), timestamp_ms=int(time.time() * 1_000))
    with notifying(kafka, WebhookNotifier(receiver.url, SECRET)):
        eventually(lambda: receiver.requests)
        found = dead_letters(kafka, len(foreign))
    assert receiver.ids() == ["a1"]
    assert [(letter.key(), letter.value()) for letter in found] == foreign


def test_history_pages_nobody(kafka: str, receiver: Receiver) -> None:
    """Alerts of old answers are passed over, whenever they were written; the next fresh one is delivered."""
    now_ms = int(time.time() * 1_000)
    send(kafka, CODEC.encode(alert("old", age_ms=90_000_000)), timestamp_ms=now_ms - 90_000_000)
    send(kafka, CODEC.encode(alert("counted anew", age_ms=90_000_000)), timestamp_ms=now_ms)
    send(kafka, CODEC.encode(alert("new")), timestamp_ms=now_ms)
    with notifying(kafka, WebhookNotifier(receiver.url, SECRET)):
        eventually(lambda: receiver.requests)
    assert receiver.ids() == ["new"]


class Frozen:
    """A channel on which every try fails, and which says when it was tried."""

    def __init__(self) -> None:
        self.tried = threading.Event()

    def deliver(self, alert: Alert) -> None:
        self.tried.set()
        raise TryLater(f"{alert.alert_id}: not now")


def test_an_alert_in_the_middle_of_its_tries_comes_again(kafka: str, receiver: Receiver) -> None:
    """Stopping between two tries loses nothing: the next run delivers it."""
    send(kafka, CODEC.encode(alert("a1")), timestamp_ms=int(time.time() * 1_000))
    frozen = Frozen()
    with notifying(kafka, frozen, max_tries=10_000):
        assert frozen.tried.wait(BOUND_S)
    with notifying(kafka, WebhookNotifier(receiver.url, SECRET)):
        eventually(lambda: receiver.requests)
    assert receiver.ids() == ["a1"]
