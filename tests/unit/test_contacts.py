"""What customers say about being contacted: the newest word holds, a no wins, and channel and language follow."""

import pytest

from schemas.events import ContactUpdate, Decision, SurveyDispatch
from schemas.reasons import Reason
from streams.domain.contacts import MOST_CONSENTS, locale_for
from streams.domain.effects import Reject
from streams.domain.panes import DAY_MS
from streams.domain.policy import CHANNELS, Cap, Program, Rule
from tests.support.contacts import asking, outcome
from tests.support.histories import CUSTOMER, START_MS, Moment, Run, opted, program, purchase, run, told, wakeup


def test_a_withdrawal_is_never_too_late() -> None:
    """Said a month before it reaches us, it still holds: only what counts must come in time."""
    month_ms = 30 * DAY_MS
    update = opted("u", True, START_MS - month_ms)
    assert outcome(asking(), [(START_MS, update)]) == Reason.OPTED_OUT


def test_preference_then_the_rules_order() -> None:
    """The preferred channel where the rule knows it, else the rule's first; the newest preference holds."""
    rule = asking(channels=("email", "sms", "phone"))
    for preferred, channel in ((None, "email"), ("sms", "sms"), ("phone", "phone"), ("web", "email")):
        assert outcome(rule, [(START_MS, told("u", START_MS, preferred=preferred))]) == channel
    two: list[Moment] = [(START_MS + 5, told(f"{n}", START_MS + n, preferred=c)) for n, c in ((2, "sms"), (1, "phone"))]
    assert outcome(rule, two) == "sms"
    bounced = told("b", START_MS, bounces={"sms": "bounced"}, preferred="sms")
    assert outcome(rule, [(START_MS, bounced)]) == "email"


def test_consent_is_checked_again_when_sending() -> None:
    """Withdrawn while the survey waits: another channel, or none."""
    late = program([Rule("r", "s", frozenset({"x"}), {}, DAY_MS, DAY_MS, frozenset(), channels=("email", "sms"))])
    for consents, wanted in (
        ({"feedback/email": "withdrawn"}, "sms"),
        ({"feedback/*": "withdrawn"}, Reason.NO_CONSENT),
    ):
        gone = told("u", START_MS + 1, consents)
        journey = run([(START_MS, purchase("p", "x", START_MS)), (START_MS + 1, gone), wakeup(START_MS + DAY_MS)], late)
        (decision,) = journey.all(Decision)
        assert (decision.reason or decision.channel) == wanted


def test_without_channels_only_a_withdrawal_for_all_of_them_counts() -> None:
    """The delivery tool chooses, so what holds for one channel is for the tool to know."""
    rule = asking(channels=())
    assert outcome(rule, [(START_MS, told("u", START_MS, {"feedback/email": "withdrawn"}))]) is None
    assert outcome(rule, [(START_MS, told("u", START_MS, {"feedback/*": "withdrawn"}))]) == Reason.NO_CONSENT
    assert outcome(rule, [(START_MS, told("u", START_MS, {"news/*": "withdrawn"}))]) is None


def test_a_channel_is_not_used_too_often() -> None:
    """`at_most` within `every`, over all surveys; then the next channel, and in the end none."""
    capped = program([asking()], quarantine_ms=0)
    capped = Program(**{name: getattr(capped, name) for name in capped.__dataclass_fields__} | {
        "caps": {"email": Cap(2, 10 * DAY_MS), "sms": Cap(1, 10 * DAY_MS)}})  # fmt: skip
    times = [START_MS + day * DAY_MS for day in (0, 1, 2, 3, 10, 11)]
    journey = run([(at, purchase(f"p{at}", "x", at)) for at in times], capped)
    assert [d.reason or d.channel for d in journey.all(Decision)] == [
        "email", "email", "sms", Reason.CHANNEL_LIMIT, "email", "email"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("consents", "bounces", "preferred"),
    [
        ({"feedback": "granted"}, {}, None), ({"feedback/e-mail": "granted"}, {}, None), ({"/sms": "no"}, {}, None),
        ({"feedback/email": "yes"}, {}, None), ({}, {"post": "bounced"}, None), ({}, {"email": "hard"}, None),
        ({}, {}, "post"), ({f"p{n}/email": "granted" for n in range(MOST_CONSENTS + 1)}, {}, None),
    ],
)  # fmt: skip
def test_what_nobody_understands_is_a_dead_letter(
    consents: dict[str, str], bounces: dict[str, str], preferred: str | None
) -> None:
    """A withdrawal that is misspelt must not get lost: the whole update is refused, nothing of it is taken."""
    journey = run([(START_MS, told("u", START_MS, consents, bounces, preferred, opted_out=True))], program())
    assert [reject.reason for reject in journey.all(Reject)] == [Reason.INVALID_CONTACT]
    assert (journey.journey.contact, journey.journey.opted_out) == (None, False)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("pt-BR", "pt-BR"), ("PT-br", "pt-BR"), ("pt_BR", "pt-BR"), ("pt-PT", "pt"), ("pt", "pt"), ("de", "en"),
        ("", "en"), ("zh-Hant-TW", "zh-Hant"), ("zh-Hans-CN", "zh"), ("zh-x-private", "zh"), ("en-a-bbb-x-ccc", "en"),
        ("-", "en"), ("portuguese", "en"),
    ],
)  # fmt: skip
def test_languages_fall_back(wanted: str, found: str) -> None:
    """RFC 4647 lookup: cut off from the end, a single letter with what followed it; else the rule's first."""
    assert locale_for(wanted, ("en", "pt", "pt-BR", "zh", "zh-Hant")) == found
    assert locale_for(wanted, ()) is None


def test_the_dispatch_speaks_the_customers_language() -> None:
    """As far as the rule does; the newest word on it holds."""
    rule = asking(locales=("en", "pt"))
    updates = [
        ContactUpdate("crm", f"{n}", "u", START_MS - n, CUSTOMER, None, None, tag, {})
        for n, tag in enumerate(["pt-BR", "en"])
    ]
    journey = run(
        [*((START_MS, update) for update in updates), (START_MS, purchase("p", "x", START_MS))], program([rule])
    )
    assert [dispatch.locale for dispatch in journey.all(SurveyDispatch)] == ["pt"]


def test_an_update_that_says_nothing_new_leaves_no_trace() -> None:
    """The same journey, not merely an equal one: nothing is written for it."""
    journey = Run(program(), run([(START_MS, told("u", START_MS, {"feedback/email": "granted"}))], program()).journey)
    before = journey.journey
    journey.take((START_MS, told("u", START_MS, {"feedback/email": "granted"})))
    journey.take((START_MS, opted("v", None, START_MS)))
    assert journey.journey is before


def test_every_channel_can_be_used() -> None:
    """All six."""
    for channel in CHANNELS:
        assert outcome(asking(channels=(channel,)), []) == channel
