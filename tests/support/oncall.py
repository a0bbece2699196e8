"""Incidents for tests: facts, notifications, and strategies that draw any of them."""

from typing import Any
from uuid import NAMESPACE_OID, uuid5

from hypothesis import strategies as st

from schemas.events import Notification
from schemas.oncall import Facts, FallFacts, Member, encode
from sinks.notify.receiver import News, news_of

AT_MS = 1_790_000_000_000
"""When the incidents of examples open."""

WORST = '<@U1> <!channel> & "x" *b* _i_ [a](http://b) `c` <script>\u202e\x1b[2J\r\nBcc: all@example.com e\u0301 👩‍👩‍👧 '
"""What a stranger might write, of every service's own marks."""


def member(number: int = 0, **changes: Any) -> Member:
    """A detractor."""
    fields: dict[str, Any] = {
        "dedup_key": f"s{number}", "alert_id": f"a{number}", "customer_id": f"C-{number}", "score": 2,
        "severity": "critical", "comment": f"secret-{number} too slow", "opened_ms": AT_MS,
    }  # fmt: skip
    return Member(**{**fields, **changes})


def facts(**changes: Any) -> Facts:
    """The facts of an incident of three detractors."""
    fields: dict[str, Any] = {
        "title": "3 detractors in country=BR", "kind": "detractor", "severity": "critical", "state": "open",
        "route": "rest", "survey": "post_purchase", "segments": ("all", "country=BR"), "count": 3, "opened_ms": AT_MS,
        "updated_ms": AT_MS, "members": (member(1), member(2), member(3)), "link": "https://nps.example/incidents/i1",
    }  # fmt: skip
    return Facts(**{**fields, **changes})


STATES = {"open": "open", "update": "open", "acknowledge": "acknowledged", "resolve": "resolved"}


def notification(
    incident_id: str = "i1", seq: int = 1, verb: str = "open", receiver: str = "pager", time_ms: int = AT_MS, **of: Any
) -> Notification:
    """A notification, with the id that incidents give it."""
    told = facts(state=STATES[verb], updated_ms=time_ms, resolved_ms=time_ms if verb == "resolve" else None, **of)
    notification_id = str(uuid5(NAMESPACE_OID, f"{incident_id}/{seq}/{receiver}"))
    return Notification(notification_id, receiver, incident_id, seq, verb, time_ms, encode(told))


def news(verb: str = "open", ref: str = "", **changes: Any) -> News:
    """News of an incident."""
    return news_of(notification(verb=verb, **changes), was_told=verb != "open", ref=ref)


TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.builds(
        lambda text, times: (text * times)[:1_000], st.sampled_from([WORST, "x", "é", "😀", "<&>"]), st.integers(1, 400)
    ),
)
NAMES = TEXTS.map(lambda text: text[:256] or "x")
INSTANTS = st.one_of(st.integers(0, 4_000_000_000_000), st.integers(-(2**63), 2**63 - 1))
SEVERITIES = st.sampled_from(["critical", "error", "warning", "info"])
MEMBERS = st.builds(
    Member, dedup_key=NAMES, alert_id=NAMES, customer_id=st.none() | NAMES, survey_id=st.none() | NAMES,
    score=st.none() | st.integers(0, 10), severity=SEVERITIES, comment=st.none() | TEXTS, opened_ms=INSTANTS,
    state=st.sampled_from(["open", "contacted", "resolved"]),
)  # fmt: skip
FALLS = st.builds(
    FallFacts, segment=NAMES, window=NAMES, before_nps=st.floats(-100, 100), after_nps=st.floats(-100, 100),
    n_before=st.integers(0, 10**9), n_after=st.integers(0, 10**9), smallest=st.floats(0, 200), since_ms=INSTANTS,
)  # fmt: skip
FACTS = st.builds(
    Facts, title=TEXTS, kind=st.sampled_from(["detractor", "fall", "no_answers", "stalled", "test"]),
    severity=SEVERITIES, state=st.sampled_from(["open", "acknowledged", "resolved"]), route=NAMES,
    survey=st.none() | NAMES, segments=st.lists(NAMES, max_size=100).map(tuple), count=st.integers(0, 10**6),
    opened_ms=INSTANTS, updated_ms=INSTANTS, resolved_ms=st.none() | INSTANTS, acknowledged_by=st.none() | NAMES,
    assignee=st.none() | NAMES, note=st.none() | TEXTS, members=st.lists(MEMBERS, max_size=10).map(tuple),
    more=st.integers(0, 500), fall=st.none() | FALLS,
    link=st.sampled_from(["", "https://nps.example/incidents/i1", "https://nps.example/" + "p" * 3_000]),
)  # fmt: skip
ANY_NEWS = st.builds(
    News, notification_id=st.uuids().map(str), incident_id=st.uuids().map(str), seq=st.integers(0, 2**31 - 1),
    verb=st.sampled_from(sorted(STATES)), time_ms=st.integers(0, 4_000_000_000_000), facts=FACTS,
)  # fmt: skip
