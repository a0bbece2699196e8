"""Pushed answers: what the worker would refuse is refused at the door, with the place and the field."""

import json
from operator import itemgetter
from typing import Any

import pytest

from schemas.codec import Codec
from schemas.deadletters import unwrap
from schemas.events import SurveyResponse
from schemas.reasons import Reason
from streams.collector import push
from streams.collector.responses import as_record, dead_letter
from streams.domain.effects import Count, Reject
from streams.domain.links import mint
from streams.domain.panes import DAY_MS
from streams.kafka.ports import Output
from streams.program import load
from tests.support.histories import OPEN, START_MS, purchase, response, run
from tests.support.links import KEYS

CODEC = Codec()
PROGRAM = load()
NOW_MS = START_MS
GOOD: dict[str, Any] = {"source": "tool", "id": "a1", "customer_id": "c1", "survey_id": "s1", "score": 9}


def record_of(response: SurveyResponse) -> Output:
    """The record, written now."""
    return as_record(CODEC, PROGRAM, response, NOW_MS)


def parsed(*objects: Any) -> list[push.PushedAnswer]:
    """Answers of a body with these objects."""
    return push.parse(json.dumps(list(objects)).encode(), KEYS, NOW_MS, record_of)


def errors_of(*objects: Any) -> list[str]:
    """What is said of the objects that are no answers."""
    with pytest.raises(push.BadPush) as caught:
        parsed(*objects)
    assert str(caught.value) == caught.value.errors[0]
    return list(caught.value.errors)


SHORT = ("source", "id", "customer_id", "survey_id", "type", "channel")
WRONG: dict[str, list[Any]] = {
    "score": [11, -1, 2**31 - 1, -(2**31), 2**31, 10**400, 7.5, "9", True, [9]],
    "time": [
        NOW_MS // 1000, NOW_MS * 1000, NOW_MS * 1_000_000, 0, -1, NOW_MS + 3_600_000, 2**63, None, "soon", "2023-11-14",
        "1970-01-20T03:33:20Z", "2100-01-01T00:00:00Z", 1.5, "",
    ],
    "comment": ["x" * 100_000, "é" * 8_193, "\U0001f600" * 4_097, 5, "half \ud800"],
    "voided": ["yes", None],
    "provisional": [1],
    "token": [5],
    **{name: ["i" * 1_500, "€" * 86, 7] for name in SHORT},
    "unknown": ["field"],
    "scores": [9],
}  # fmt: skip
NEEDED = ("source", "id", "customer_id", "survey_id")
EMPTY: list[Any] = ["", " \t", None, []]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((field, value) for field, values in WRONG.items() for value in values),
        *((name, value) for name in NEEDED for value in EMPTY),
    ],
)
def test_what_the_worker_would_refuse_is_refused_with_its_field(field: str, value: Any) -> None:
    """One line that names the place and the field, and does not repeat a book."""
    (error,) = errors_of(GOOD, {**GOOD, "id": "a2", field: value})
    assert error.startswith("answer 1: ")
    assert field in error
    assert len(error) <= push.LONGEST_ERROR
    assert "\n" not in error


@pytest.mark.parametrize("missing", NEEDED)
def test_a_field_that_is_missing_is_named(missing: str) -> None:
    """No answer is without these."""
    (error,) = errors_of({name: value for name, value in GOOD.items() if name != missing})
    assert f"`{missing}`" in error


@pytest.mark.parametrize("said", [{}, {"comment": ""}, {"comment": " \n"}, {"score": None}, {"channel": "email"}])
def test_an_answer_that_says_nothing_is_none(said: dict[str, Any]) -> None:
    """Neither score nor word nor withdrawal."""
    (error,) = errors_of({**{name: GOOD[name] for name in NEEDED}, **said})
    assert error == "answer 0: neither score nor comment nor withdrawal - at `$.score`"


@pytest.mark.parametrize(
    "said",
    [
        {"score": 0}, {"score": 10}, {"score": None, "comment": "x"}, {"score": None, "voided": True},
        {"comment": "\U0001f600" * 4_096}, {"comment": "x" * 16_384}, {"customer_id": "€" * 85 + "x"},
        {"time": NOW_MS + 60_000}, {"time": "2023-11-14T12:00:00+01:00"}, {"time": 946_684_800_000}, {"token": None},
    ],
)  # fmt: skip
def test_the_edges_are_answers(said: dict[str, Any]) -> None:
    """As long, as low, as early as the worker takes it; what is only late is the worker's to tell."""
    (answer,) = parsed({**GOOD, **said})
    assert answer.refusal is None
    assert (answer.record.key, answer.record.timestamp_ms) == (answer.customer_id.encode(), NOW_MS)


def test_every_answer_that_is_none_is_named() -> None:
    """So that a tool puts all of them right at once."""
    wrong = [{**GOOD, "score": 11}, GOOD, {**GOOD, "time": 1}, 5, {**GOOD, "id": ""}]
    assert [error.partition(":")[0] for error in errors_of(*wrong)] == ["answer 0", "answer 2", "answer 3", "answer 4"]


@pytest.mark.parametrize("depth", [10, 200, 400, 600, 800, 900, 950, 990])
def test_depth_is_no_error_of_ours(depth: int) -> None:
    """However deep a value is nested it is refused as any other of a wrong type."""
    body = json.dumps(GOOD)[:-1] + ', "comment": ' + "[" * depth + "]" * depth + "}"
    with pytest.raises(push.BadPush):
        push.parse(body.encode(), KEYS, NOW_MS, record_of)


def test_each_answer_has_an_outcome_of_its_own() -> None:
    """One with another's token is refused alone, and its dead letter is its own customer's and holds nobody else."""
    mine, others = mint(KEYS, "s1", "c1", NOW_MS + 1), mint(KEYS, "s9", "c9", NOW_MS + 1)
    expired = mint(KEYS, "s1", "c1", NOW_MS)
    tokens = [mine, others, expired, mine[:-1], "", None]
    answers = parsed(*[{**GOOD, "id": f"a{n}", "comment": f"of {n}", "token": t} for n, t in enumerate(tokens)])
    assert [answer.refusal.reason if answer.refusal else None for answer in answers] == [
        None, Reason.FOREIGN_TOKEN, Reason.EXPIRED_TOKEN, Reason.FORGED_TOKEN, Reason.FORGED_TOKEN, None
    ]  # fmt: skip
    foreign = answers[1]
    assert foreign.refusal is not None
    letter = dead_letter(foreign.refusal, json.dumps(foreign.fields).encode(), foreign.customer_id, NOW_MS)
    assert letter.key == b"c1"
    assert json.loads(letter.value or b"") == {**GOOD, "id": "a1", "comment": "of 1", "token": others}
    assert unwrap(letter.headers)[1].reason == Reason.FOREIGN_TOKEN


def pushed_at(at_ms: int, said: dict[str, Any]) -> tuple[int, SurveyResponse]:
    """What the worker reads of an answer that is pushed without a time."""

    def record_then(response: SurveyResponse) -> Output:
        return as_record(CODEC, PROGRAM, response, at_ms)

    (answer,) = push.parse(json.dumps(said).encode(), KEYS, at_ms, record_then)
    response = CODEC.decode(SurveyResponse, answer.record.value)
    assert response.time == answer.record.timestamp_ms == at_ms
    return at_ms, response


@pytest.mark.parametrize("first_ms", [60_000, -60_000], ids=["survey sent", "survey not sent yet"])
@pytest.mark.parametrize("later_ms", [0, 1, 50_000, 2 * DAY_MS, 20 * DAY_MS])
def test_without_a_time_the_same_answer_told_twice_is_one(first_ms: int, later_ms: int) -> None:
    """Source and id tell what is one answer, whenever it is pushed again, also when corrections have ended."""
    said = {**GOOD, "survey_id": response("x", 0, 9).survey_id, "score": 2}
    pushes = [pushed_at(START_MS + first_ms + after_ms, said) for after_ms in (0, later_ms)]
    told = run(sorted([(START_MS, purchase("p", "order.delivered", START_MS)), *pushes], key=itemgetter(0)), OPEN)
    (counted,), (alert,) = told.all(Count), told.alerts
    assert (counted.at_ms, counted.sign, alert.score) == (START_MS + first_ms, 1, 2)
    assert told.all(Reject) == []
