"""Every notifier keeps its port's promises: an alert is handed over whole on return, and known when it comes again."""

import io
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from schemas.events import Alert
from sinks.notify.console.notifier import ConsoleNotifier
from sinks.notify.notifier import Notifier
from sinks.notify.webhook.notifier import WebhookNotifier
from tests.faults.harness.receiver import Receiver

SECRET = "whsec_" + "test" * 8
ALERT = Alert("a1", "s1", "open", "critical", "c1", "post_purchase", "delivered", "o1", 2, None, 1, 1_000, 2_000,
              ["all", "country=BR"], "prog", 7)  # fmt: skip


class Case(NamedTuple):
    """A notifier, and what reached people through it: the text of each message."""

    notifier: Notifier
    received: Callable[[], list[str]]


@pytest.fixture(params=["console", "webhook"])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    """Each notifier there is; whoever adds one adds it here."""
    if request.param == "console":
        out = io.StringIO()
        yield Case(ConsoleNotifier(out), lambda: out.getvalue().splitlines())
        return
    with Receiver(SECRET) as receiver:
        notifier = WebhookNotifier(receiver.url, SECRET)
        yield Case(notifier, lambda: [f"{one.alert_id} {one.body}" for one in receiver.received])


def test_it_is_there_on_return_with_what_a_person_needs(case: Case) -> None:
    """One message, with the alert's id, state, severity, score, segments, customer and order."""
    case.notifier.deliver(ALERT)
    (message,) = case.received()
    for word in ("a1", "open", "critical", "2", "country=BR", "c1", "o1"):
        assert word in message


def test_the_same_alert_is_known_when_it_comes_again(case: Case) -> None:
    """Delivered twice, as after a crash, both carry the one id; another alert carries its own."""
    for alert in (ALERT, ALERT, ALERT._replace(alert_id="a2", status="resolved", score=None)):
        case.notifier.deliver(alert)
    first, second, third = case.received()
    assert "a1" in first
    assert "a1" in second
    assert "a1" not in third
    assert "a2" in third


@pytest.mark.parametrize("text", ["line\nend", "\x1b[2J", "\u2028", "„Grüße“ 😀", "x" * 10_000, ""])
def test_whatever_a_field_holds_it_is_one_message(case: Case, text: str) -> None:
    """No text of a customer's breaks a message in two, or is refused."""
    case.notifier.deliver(ALERT._replace(correlation_id=text, comment=text))
    assert len(case.received()) == 1
