"""The live page's parts without Kafka and HTTP: tokens, sessions, what is kept, and what a role may see."""

import json
import time

import pytest

from schemas.deadletters import Death, wrap
from schemas.events import Erasure
from schemas.topics import DEAD, INCIDENTS, Topic
from streams.commands.page import require_door
from streams.errors import BadSettings
from streams.kafka.ports import KafkaRecord
from streams.page import shown
from streams.page.access import (
    MOST_SESSIONS,
    OWNER,
    SESSION_S,
    OneTimeKey,
    PagePerson,
    Role,
    Sessions,
    parse_tokens,
    person_of,
)  # fmt: skip
from streams.page.actions import BadAction, parse_action
from streams.page.board import MOST_ANSWERS, MOST_SEGMENTS, POINTS, LiveBoard
from streams.page.service import is_loopback, origins_of
from streams.settings import Settings
from tests.support.live_page import (
    COMMENT,
    CUSTOMER,
    HOUR_MS,
    RESPONDER,
    TOKENS,
    VIEWER,
    answer,
    case,
    delivery,
    fall,
    fall_facts,
    incident,
    member,
    now_ms,
    row,
)  # fmt: skip


def board(*records: object) -> LiveBoard:
    """A board that took these records."""
    taken = LiveBoard(now_ms)
    take(taken, *records)
    return taken


def take(taken: LiveBoard, *records: object) -> None:
    """Let a board take records, as its feed hands them over."""
    for record in records:
        taken.take((Topic("", None, "", 0), KafkaRecord(0, 0, None, b""), record))  # type: ignore[arg-type]


def told(taken: LiveBoard, role: Role) -> dict[str, list[dict[str, object]]]:
    """What a snapshot tells a role."""
    text = shown.snapshot(taken, role).decode()
    assert text.startswith("event: snapshot\ndata: ")
    found: dict[str, list[dict[str, object]]] = json.loads(text.partition("data: ")[2])
    return found


def test_a_token_is_its_persons_and_its_hash_nobodys() -> None:
    """The setting has hashes: who reads it cannot come in with them."""
    tokens = parse_tokens(TOKENS)
    assert person_of(tokens, VIEWER) == PagePerson("wall", Role.VIEWER)
    assert person_of(tokens, RESPONDER) == PagePerson("ann", Role.RESPONDER)
    for other in ("", RESPONDER + " ", tokens[0].digest, "x" * 100_000, "\udcff"):
        assert person_of(tokens, other) is None


@pytest.mark.parametrize(
    "text", ["ann", "ann:admin:" + "0" * 64, f"ann:viewer:{RESPONDER}", TOKENS + "," + TOKENS, ","]
)
def test_a_wrong_setting_is_refused_without_repeating_it(text: str) -> None:
    """A token in place of its hash must not reach a log."""
    with pytest.raises(ValueError, match=r"entry|entries") as refused:
        parse_tokens(text)
    assert RESPONDER not in str(refused.value)


def test_sessions_end_after_their_time_and_are_bounded() -> None:
    """Each use prolongs a session; beyond the bound the one used least lately ends."""
    sessions = Sessions()
    first = sessions.begin(OWNER, 0.0)
    assert sessions.find(first, SESSION_S - 1) is not None
    assert sessions.find(first, 2 * SESSION_S - 2) is not None
    assert sessions.find(first, 4 * SESSION_S) is None
    names = [sessions.begin(OWNER, 0.0) for _ in range(MOST_SESSIONS)]
    assert sessions.find(names[0], 1.0) is not None
    sessions.begin(OWNER, 1.0)
    assert len(sessions) == MOST_SESSIONS
    assert sessions.find(names[0], 1.0) is not None
    assert sessions.find(names[1], 1.0) is None


def test_a_link_works_once() -> None:
    """The next one is another."""
    key = OneTimeKey()
    text = key.text
    assert not key.take("")
    assert key.take(text)
    assert not key.take(text)
    assert key.take(key.text)


def test_loopback_has_three_names_and_other_hosts_only_the_one_that_is_set() -> None:
    """A browser elsewhere never names us as 127.0.0.1."""
    assert is_loopback("127.0.0.2")
    assert is_loopback("::1")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("page.example.org")
    local = origins_of("127.0.0.1", 8091, "")
    assert local == {"http://127.0.0.1:8091", "http://localhost:8091", "http://[::1]:8091"}
    assert origins_of("0.0.0.0", 8091, "https://nps.example.org/") == {"https://nps.example.org"}


@pytest.mark.parametrize(
    ("more", "complaint"),
    [({"NPS_PAGE_HOST": "0.0.0.0"}, "set NPS_PAGE_TOKENS"), ({"NPS_PAGE_HOST": "nps"}, "set NPS_PAGE_TOKENS"),
     ({"NPS_PAGE_HOST": "::", "NPS_PAGE_TOKENS": TOKENS}, "needs NPS_PAGE_URL"),
     ({"NPS_PAGE_TOKENS": "ann:boss:1"}, "name:role:sha256"), ({"NPS_PAGE_URL": "nps.example.org"}, "NPS_PAGE_URL")],
)  # fmt: skip
def test_an_open_door_is_refused(more: dict[str, str], complaint: str) -> None:
    """Without tokens nobody comes in from another host, and there we must know our own name."""
    with pytest.raises(BadSettings, match=complaint):
        require_door(Settings.from_env(more))


@pytest.mark.parametrize(
    ("verb", "body"),
    [("erase", b"{}"), ("note", b"{}"), ("assign", b""), ("contacted", b"{}"), ("note", b"no JSON"),
     ("note", b'{"note":1}'), ("note", b'{"note":"' + b"x" * 2_001 + b'"}'), ("note", b"\xff")],
)  # fmt: skip
def test_what_is_no_action_is_refused(verb: str, body: bytes) -> None:
    """Unknown verbs, missing and overlong texts."""
    with pytest.raises(BadAction):
        parse_action("i1", verb, "ann", body)


def test_the_newest_version_of_a_row_is_shown_with_its_trend() -> None:
    """An older row changes nothing; the trend has a point for each fortieth of the window, and so many at most."""
    now = now_ms()
    taken = board(row(version=5, counts=(1, 0, 0), at_ms=now), row(version=4, counts=(0, 0, 1), at_ms=now))
    (figure,) = told(taken, Role.VIEWER)["rolling"]
    assert (figure["nps"], figure["trend"]) == (100.0, [100.0])
    take(taken, *(row(version=6 + i, counts=(i, 0, 1), at_ms=now + i * HOUR_MS) for i in range(100)))
    (figure,) = told(taken, Role.VIEWER)["rolling"]
    assert len(list(figure["trend"])) == POINTS  # type: ignore[call-overload]


def test_segments_with_most_answers_have_the_places() -> None:
    """`all` is never without; a segment gives way to one with more answers, and readers hear that it is gone."""
    taken = board(
        row("all", counts=(1, 0, 0)), *(row(f"s={i}", counts=(i + 1, 0, 0)) for i in range(MOST_SEGMENTS - 1))
    )
    shown.changes(taken, Role)
    assert not taken.has_more_segments
    take(taken, row("s=small", counts=(1, 0, 0)), row("s=large", counts=(500, 0, 0)))
    pieces = shown.changes(taken, Role)[Role.VIEWER].decode()
    assert '"key":"s=large|24h"' in pieces
    assert '{"key":"s=0|24h","gone":true}' in pieces
    assert "small" not in pieces
    assert len(told(taken, Role.VIEWER)["rolling"]) == MOST_SEGMENTS
    assert taken.has_more_segments


def test_a_viewer_gets_aggregates_alone() -> None:
    """No answer, no case, no customer, no comment, no note and no name; a responder has them all."""
    taken = board(
        row(), answer("s1", 2, COMMENT), incident("i1", [member("s1", 2)], note="call them", assignee="bob"),
        case("s1", "i1"),
    )  # fmt: skip
    seen = shown.snapshot(taken, Role.VIEWER) + shown.changes(taken, Role)[Role.VIEWER]
    for word in (CUSTOMER, COMMENT, "call them", "bob", "members", "s1"):
        assert word.encode() not in seen
    (found,) = told(taken, Role.VIEWER)["incidents"]
    assert (found["title"], found["count"]) == ("1 detractor · country BR", 1)
    responder = told(taken, Role.RESPONDER)
    assert responder["answers"][0]["customer"] == CUSTOMER
    assert responder["cases"][0]["comment"] == COMMENT
    assert responder["incidents"][0]["note"] == "call them"


def test_resolved_incidents_and_cases_leave() -> None:
    """So do incidents whose record was compacted away; readers hear it once."""
    taken = board(incident("i1", [member("s1", 2)]), incident("i2"), case("s1", "i1"))
    shown.changes(taken, Role)
    take(taken, incident("i1", state="resolved", version=2), case("s1", "i1")._replace(state="resolved"))
    taken.take((INCIDENTS, KafkaRecord(0, 0, b"i2", None), None))
    pieces = shown.changes(taken, Role)[Role.RESPONDER].decode()
    assert pieces.count('"gone":true') == 3
    assert shown.changes(taken, Role)[Role.RESPONDER] == b""
    assert told(taken, Role.RESPONDER)["incidents"] == []
    assert len(taken.cases) == 0


def test_an_incident_that_cannot_be_read_ends_nothing() -> None:
    """Its JSON is not what this version writes."""
    assert told(board(incident("i1")._replace(members="{")), Role.RESPONDER)["incidents"] == []


def test_titles_are_made_of_counts_and_segments() -> None:
    """Whatever the kind."""
    kinds = [
        incident("a", kind="no_answers"),
        incident("b", kind="fall", fall=fall_facts("country=a%3Db,category=toys")),
    ]
    titles = {each["key"]: each["title"] for each in told(board(*kinds), Role.VIEWER)["incidents"]}
    assert titles == {"a": "No answers come in", "b": "NPS of country a=b · category toys fell"}


def test_the_smallest_fall_is_shown_for_each_window() -> None:
    """In the order of the evidence; evidence that cannot be read shows none."""
    (shown_fall,) = told(board(fall("all")), Role.VIEWER)["falls"]
    assert shown_fall["windows"] == [{"window": "6h", "smallest": 31.0}, {"window": "1d", "smallest": 17.0}]
    (broken,) = told(board(fall("all")._replace(windows="{")), Role.VIEWER)["falls"]
    assert broken["windows"] == []


def test_an_erased_customer_leaves_the_last_answers() -> None:
    """Also when the answer is read after the erasure."""
    erasure = Erasure("e1", CUSTOMER, "crm", "1", now_ms() + 1_000, now_ms(), "p", 1)
    taken = board(answer("s1", 2, COMMENT), answer("s2", 9, None, "another"), erasure, answer("s3", 2, COMMENT))
    assert [each["key"] for each in told(taken, Role.RESPONDER)["answers"]] == ["s2"]
    take(taken, case("s4", "i1"), incident("i1", [member("s4", 2)]))
    take(taken, case("s4", "i1")._replace(customer_id=None), incident("i1", [member("s4", 2, None, None)], version=2))
    assert COMMENT.encode() not in shown.snapshot(taken, Role.RESPONDER)


def test_the_last_answers_are_bounded_and_a_correction_replaces() -> None:
    """The highest version of a survey's answer is shown."""
    taken = board(*(answer(f"s{i}", 9) for i in range(2 * MOST_ANSWERS)))
    assert len(told(taken, Role.RESPONDER)["answers"]) == MOST_ANSWERS
    take(taken, answer("s99", 1, version=3), answer("s99", 5, version=2))
    assert [each["score"] for each in told(taken, Role.RESPONDER)["answers"] if each["key"] == "s99"] == [1]


def test_dead_letters_of_a_day_are_counted_by_reason() -> None:
    """Reasons that are none of ours are one, so that nobody can make the page grow."""
    taken, now = LiveBoard(now_ms), now_ms()
    for reason, at_ms in (("too_late", now), ("too_late", now), ("<b>", now), ("too_late", now - 25 * HOUR_MS)):
        headers = wrap((), Death(reason, "", "nps.responses", 0, 1, 1))
        taken.take((DEAD, KafkaRecord(1, at_ms, None, b"", headers), None))
    assert taken.letters() == {"too_late": 2, "unlabelled": 1}


def test_deliveries_count_as_long_as_they_are_not_done() -> None:
    """The last state of each notification holds."""
    taken = board(delivery("n1", "attempting"), delivery("n1", "undelivered"), delivery("n2", "doubtful"))
    assert (taken.deliveries("undelivered"), taken.deliveries("doubtful")) == (1, 1)
    take(taken, delivery("n1", "delivered"))
    assert taken.deliveries("undelivered") == 0


def test_scores_that_stand_still_are_said_to_be() -> None:
    """Five minutes without a row; before the first row nothing is known."""
    assert not board().is_stalled
    assert not board(row()).is_stalled
    assert board(row(at_ms=now_ms() - 301_000)).is_stalled
    assert board(case("s1", "i1", int(time.time() * 1000) - 1_000)).overdue() == 1
