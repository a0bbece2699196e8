"""Every receiver keeps its port's promises: killed anywhere or answered anyhow, no page is lost and none comes twice.

Only services that know nothing again may miss one, and then the delivery is marked doubtful.
"""

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from standardwebhooks import Webhook

from schemas.errors import BadInput
from schemas.oncall import payload_of
from sinks.notify.outbox import GIVE_UP_AFTER_MS
from sinks.notify.receivers import KINDS, configured, made
from tests.support.couriers import POINTS, Machine
from tests.support.oncall import AT_MS, notification
from tests.support.services import GoAlert, Hook, PagerDuty, Request, Service, SlackApp, Trouble

SECRET, OLD_SECRET = "whsec_" + "new0" * 8, "whsec_" + "old0" * 8
TOKEN = "xoxb-token"
KNOWN = ("pagerduty", "goalert", "slack", "webhook")
"""Kinds whose service knows the same news when they come again."""

UNKNOWN = ("slack-webhook", "teams")
BY_ID = "nps.example/incidents/"


class Case(NamedTuple):
    """A receiver at its service, and how it is reached."""

    kind: str
    service: Service
    machine: Machine

    @property
    def pages(self) -> int:
        """How often the incident rang or appeared."""
        return self.service.pages["i1"]


def serve(kind: str) -> Service:
    if kind == "webhook":
        return Once(lambda request: str(request.body["data"]["incident_id"]))
    if kind in UNKNOWN:
        return Hook(lambda request: "i1", 202 if kind == "teams" else 200)
    return SlackApp(TOKEN) if kind == "slack" else PagerDuty() if kind == "pagerduty" else GoAlert()


class Once(Hook):
    """Receiver of webhooks that passes over an id it has taken, as the specification asks for."""

    def take(self, request: Request) -> tuple[int, dict[str, object]]:
        if any(request.headers["webhook-id"] == one.headers["webhook-id"] for one in self.taken):
            return 200, {}
        return super().take(request)


def receiver_at(kind: str, url: str) -> Machine:
    table: dict[str, str | int | bool | list[str]] = {"kind": kind}
    environ = {"NPS_RECEIVER_PAGER_URL": url}
    if kind == "slack":
        table |= {"channel": "C1", "url": url}
        environ = {"NPS_RECEIVER_PAGER_TOKEN": TOKEN}
    elif kind == "pagerduty":
        table |= {"url": url}
        environ = {"NPS_RECEIVER_PAGER_KEY": "k" * 32}
    elif kind == "webhook":
        environ |= {"NPS_RECEIVER_PAGER_SECRET": SECRET, "NPS_RECEIVER_PAGER_OLD_SECRET": OLD_SECRET}
    config = configured({"pager": table}, environ)["pager"]
    return Machine(made(config), permission=config.permission)


def case_of(kind: str) -> Iterator[Case]:
    with serve(kind) as service:
        yield Case(kind, service, receiver_at(kind, service.url))


@pytest.fixture(params=[*KNOWN, *UNKNOWN])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    """Each receiver over HTTP; e-mail, Alertmanager and console have tests of their own."""
    yield from case_of(request.param)


@pytest.fixture(params=KNOWN)
def known(request: pytest.FixtureRequest) -> Iterator[Case]:
    """Each receiver whose service knows the same news."""
    yield from case_of(request.param)


@pytest.fixture(params=UNKNOWN)
def unknown(request: pytest.FixtureRequest) -> Iterator[Case]:
    """Each receiver whose service knows nothing again."""
    yield from case_of(request.param)


OPEN, UPDATE = notification(seq=1), notification(seq=2, verb="update", severity="critical")
ACKNOWLEDGE, RESOLVE = notification(seq=3, verb="acknowledge"), notification(seq=4, verb="resolve")


def test_an_incident_from_its_opening_to_its_end(case: Case) -> None:
    """One page where the service knows incidents, and it is over there too; a message each where it does not."""
    for one in (OPEN, UPDATE, ACKNOWLEDGE, RESOLVE):
        assert case.machine.run([one])
    assert set(case.machine.states().values()) == {"delivered"}
    assert case.pages == (1 if case.kind in ("pagerduty", "goalert", "slack") else 4)
    if isinstance(case.service, PagerDuty):
        assert case.service.states == {"i1": "resolved"}
    if isinstance(case.service, GoAlert):
        assert case.service.open == set()
    if isinstance(case.service, SlackApp):
        assert sum(case.service.threads.values()) == 3
        assert "Resolved" in case.service.messages[0]["text"]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("killed", [OPEN, UPDATE, RESOLVE])
def test_killed_where_it_is_known_again(known: Case, point: str, killed: object) -> None:
    """Wherever it dies, at whichever news: each is told once, and nothing is doubtful."""
    for one in (OPEN, UPDATE, RESOLVE):
        if one is killed:
            known.machine.crash_at(point)
            assert not known.machine.run([one]), "it died"
            known.machine.start()
            assert known.machine.run()
        else:
            assert known.machine.run([one])
    assert known.machine.states() == {"i1/1": "delivered", "i1/2": "delivered", "i1/4": "delivered"}
    assert known.pages == (3 if known.kind == "webhook" else 1)
    if isinstance(known.service, SlackApp):
        assert set(known.service.threads.values()) == {1}
        assert len(known.service.threads) == 2


@pytest.mark.parametrize("point", POINTS)
def test_killed_where_nothing_is_known_again(unknown: Case, point: str) -> None:
    """Never twice; when it may not have arrived, it is doubtful, and the end is told."""
    unknown.machine.crash_at(point)
    assert not unknown.machine.run([OPEN])
    unknown.machine.start()
    assert unknown.machine.run()
    state = unknown.machine.states()["i1/1"]
    assert (unknown.pages, state) == {
        "attempting": (0, "doubtful"), "called": (1, "doubtful"), "outcome": (1, "delivered")
    }[point]  # fmt: skip
    before = unknown.pages
    unknown.machine.run([RESOLVE])
    assert unknown.pages == before + 1


@pytest.mark.parametrize("is_taken", [False, True])
@pytest.mark.parametrize("status", [0, 500, 504])
def test_an_answer_that_does_not_come(case: Case, status: int, is_taken: bool) -> None:
    """It is told again where that pages nobody twice, looked up where it can be, and else left doubtful."""
    case.service.answer(Trouble(status, is_taken))
    case.machine.run([OPEN])
    case.machine.wait()
    if case.kind in KNOWN:
        assert (case.pages, case.machine.states()) == (1, {"i1/1": "delivered"})
    else:
        assert (case.pages, case.machine.states()) == (int(is_taken), {"i1/1": "doubtful"})


def test_not_now_is_tried_again_when_asked_to(case: Case) -> None:
    """A service that says when is not asked before, and the news were not taken: nothing is in doubt."""
    case.service.answer(Trouble(429, retry_after_s=120), Trouble(503))
    case.machine.run([OPEN])
    case.machine.now_ms += 119_000
    case.machine.run()
    assert len(case.service.requests) == 1
    case.machine.start()
    case.machine.run()
    case.machine.wait()
    assert (case.pages, case.machine.states()) == (1, {"i1/1": "delivered"})


def test_after_an_hour_the_next_step_is_taken(case: Case) -> None:
    """What is not taken for an hour is undelivered, once, and incidents hear of it."""
    case.service.answer(*[Trouble(503)] * 500)
    case.machine.run([OPEN])
    case.machine.wait()
    assert case.machine.states() == {"i1/1": "undelivered"}
    assert GIVE_UP_AFTER_MS <= case.machine.now_ms - AT_MS <= GIVE_UP_AFTER_MS + 120_000
    (event,) = case.machine.events()
    payload = payload_of(event)
    assert (event.kind, payload.incident_id, payload.receiver) == ("undelivered", "i1", "pager")  # type: ignore[union-attr]


def test_a_refusal_takes_the_next_step_at_once(case: Case) -> None:
    """A plain no is not asked again, and hides no secret in its error."""
    case.service.answer(Trouble(400, body={"message": "bad\nthing"}))
    case.machine.run([OPEN])
    (_, last) = case.machine.deliveries()
    assert (last.state, case.pages, len(case.machine.events())) == ("undelivered", 0, 1)
    assert "400" in (last.error or "")
    assert not any(secret in (last.error or "") for secret in (SECRET, OLD_SECRET, TOKEN, "k" * 32))


def test_news_that_wait_give_way_to_newer(known: Case) -> None:
    """While a service is away only the last state waits; one that was told nothing hears of no end."""
    known.service.answer(*[Trouble(503)] * 3)
    known.machine.run([OPEN])
    known.machine.run([UPDATE, notification("i2", 1)])
    known.machine.run([notification("i2", 2, "resolve")])
    known.machine.wait()
    assert known.machine.states() == {
        "i1/1": "superseded", "i1/2": "delivered", "i2/1": "superseded", "i2/2": "superseded"
    }  # fmt: skip
    assert (known.pages, known.service.pages["i2"]) == (1, 0)


def test_what_the_services_get_names_no_customer(case: Case) -> None:
    """Neither ids nor comments, unless the program file permits it."""
    case.machine.run([OPEN])
    assert case.service.requests
    for request in case.service.requests:
        assert "secret-" not in request.text
        assert "C-1" not in request.text


def test_a_webhook_is_signed_by_both_secrets() -> None:
    """A receiver verifies it with the library, by the new secret and by the old one."""
    with serve("webhook") as service:
        receiver_at("webhook", service.url).run([OPEN])
    (request,) = service.requests
    for secret in (SECRET, OLD_SECRET):
        assert Webhook(secret).verify(request.text, request.headers) == request.body
    assert request.headers["webhook-id"] == OPEN.notification_id


def test_a_deleted_message_is_posted_again() -> None:
    """Whoever deletes the incident's message in Slack gets the news in a new one."""
    with serve("slack") as service:
        machine = receiver_at("slack", service.url)
        machine.run([OPEN])
        assert isinstance(service, SlackApp)
        service.messages[0]["ts"] = "gone"
        machine.run([UPDATE])
        machine.run([RESOLVE])
    assert service.pages["i1"] == 2
    assert machine.states()["i1/4"] == "delivered"


@pytest.mark.parametrize(
    ("table", "environ", "says"),
    [
        ({"kind": "pager"}, {}, "receivers.x-y.kind must be one of .*, did you mean 'pagerduty'"),
        ({}, {}, "receivers.x-y.kind must be one of"),
        ({"kind": "slack", "chanel": "C1"}, {}, "chanel is no option of slack, did you mean 'channel'"),
        ({"kind": "slack", "channel": "C1"}, {}, "NPS_RECEIVER_X_Y_TOKEN is needed for"),
        ({"kind": "slack", "channel": 1}, {"NPS_RECEIVER_X_Y_TOKEN": "t"}, "receivers.x-y.channel must be a text"),
        ({"kind": "teams"}, {"NPS_RECEIVER_X_Y_URL": "secret-host"}, "NPS_RECEIVER_X_Y_URL must look like https"),
        ({"kind": "teams"}, {"NPS_RECEIVER_X_Y_TOKEN": "t"}, "NPS_RECEIVER_X_Y_TOKEN is no secret"),
        ({"kind": "console", "comments": "yes"}, {}, "receivers.x-y.comments must be true or false"),
        ({"kind": "email", "host": "h", "from": "nobody", "to": ["a@b.c"]}, {}, "receivers.x-y.from must be an addr"),
        ({"kind": "email", "host": "h", "from": "a@b.c", "security": "ssl", "to": []}, {}, "security must be one of"),
        ({"kind": "email", "host": "h", "from": "a@b.c", "to": []}, {}, "receivers.x-y.to must be a list"),
        ({"kind": "webhook"}, {"NPS_RECEIVER_X_Y_URL": "http://h", "NPS_RECEIVER_X_Y_SECRET": "short"}, "SECRET has"),
    ],
)  # fmt: skip
def test_a_wrong_configuration_is_told_in_one_line(
    table: dict[str, str | int | bool | list[str]], environ: dict[str, str], says: str
) -> None:
    """It names the place, says what to do and repeats no secret."""
    with pytest.raises(BadInput, match=says) as caught:
        made(configured({"x-y": table}, environ)["x-y"])
    assert "\n" not in str(caught.value)
    assert not any(secret in str(caught.value) for secret in environ.values() if len(secret) > 1)


def test_receivers_that_share_a_variable_are_refused() -> None:
    """Names that differ by - and _ alone."""
    with pytest.raises(BadInput, match="share NPS_RECEIVER_A_B_URL: rename"):
        configured({"a-b": {"kind": "teams"}, "a_b": {"kind": "teams"}}, {})


def test_secrets_are_not_shown() -> None:
    """Not even by `repr`."""
    config = configured({"x": {"kind": "teams"}}, {"NPS_RECEIVER_X_URL": "https://h/very-secret"})["x"]
    assert "very-secret" not in repr(config) + repr(made(config))
    assert set(KINDS) >= {"console", "email", "alertmanager", *KNOWN, *UNKNOWN}
