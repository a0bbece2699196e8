"""Law of contacts: the newest word holds, and a no wins a tie."""

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.reasons import Reason
from tests.support.contacts import asking, outcome
from tests.support.histories import START_MS, Moment, told
from tests.support.laws import examples

CONSENTS = st.dictionaries(
    st.sampled_from(["feedback/email", "feedback/sms", "feedback/*", "news/email"]),
    st.sampled_from(["granted", "withdrawn"]),
    max_size=3,
)
BOUNCES = st.dictionaries(st.sampled_from(["email", "sms"]), st.sampled_from(["bounced", "cleared"]), max_size=2)
UPDATES = st.lists(
    st.tuples(st.integers(0, 5), CONSENTS, BOUNCES, st.sampled_from([None, None, True, False])), max_size=8
)


def newest(said: list[tuple[int, bool]]) -> bool | None:
    """The last word; where two were said at once the one that forbids.  None when nothing was said."""
    return not max((at, not yes) for at, yes in said)[1] if said else None


def expected(updates: list[tuple[int, dict[str, str], dict[str, str], bool | None]], required: bool) -> str:
    """Channel or reason, worked out on its own."""
    if newest([(at, not out) for at, _, _, out in updates if out is not None]) is False:
        return Reason.OPTED_OUT
    objections = []
    for channel in ("email", "sms"):
        names = (f"feedback/{channel}", "feedback/*")
        consent = newest([(at, c[name] == "granted") for at, c, _, _ in updates for name in names if name in c])
        reached = newest([(at, b[channel] == "cleared") for at, _, b, _ in updates if channel in b])
        if consent is False or (required and consent is None):
            objections.append(Reason.NO_CONSENT)
        elif reached is False:
            objections.append(Reason.BOUNCED)
        else:
            return channel
    return objections[0] if len(set(objections)) == 1 else Reason.NO_CHANNEL


@settings(max_examples=examples(1_000))
@given(UPDATES, st.booleans(), st.randoms())
def test_a_withdrawal_wins_whatever_the_order_of_arrival(
    updates: list[tuple[int, dict[str, str], dict[str, str], bool | None]], required: bool, random: "st.randoms"  # type: ignore[valid-type]
) -> None:  # fmt: skip
    """Consent, bounces and opt-outs, told in any order: as if told in order of their times, and a no wins a tie."""
    moments: list[Moment] = [
        (START_MS + 9, told(f"u{n}", START_MS + at, consents, bounces, opted_out=out))
        for n, (at, consents, bounces, out) in enumerate(updates)
    ]
    random.shuffle(moments)  # type: ignore[attr-defined]
    assert outcome(asking(required), moments) == expected(updates, required)
