"""Answers that a survey tool pushes as JSON: one object or a list, fields as in the Avro schema of SurveyResponse.

BadPush   the body is no answer and no list of answers; the message names the place and says what to do
Foreign   the token of an answer belongs to another survey or customer, or is not valid
"""

import hmac
import json
from hashlib import sha256
from typing import Any

from schemas.event_json import BadEvent, event_of
from schemas.events import SurveyResponse
from schemas.reasons import Reason
from streams.domain.links import Keys, Refusal, verify

MOST_AT_ONCE = 1_000
"""The most answers in one request."""


class BadPush(ValueError):
    """The body is no answer and no list of answers."""


class Foreign(Exception):
    """The token of an answer belongs to another survey or customer, or is not valid."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


def is_allowed(authorization: str, key: str) -> bool:
    """True for a header of `Bearer` and our key, compared in constant time; never when our key is empty."""
    scheme, _, credentials = authorization.partition(" ")
    is_equal = hmac.compare_digest(_digest(credentials.strip()), _digest(key))
    return bool(key) and scheme.lower() == "bearer" and is_equal


def parse(body: bytes, keys: Keys | None, now_ms: int) -> list[SurveyResponse]:
    """Parse the answers in a body, all of them valid.  `time`, left out, is `now_ms`.  Raises BadPush and Foreign."""
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadPush(f"the body is no JSON: {error}") from None
    answers = document if isinstance(document, list) else [document]
    if len(answers) > MOST_AT_ONCE:
        raise BadPush(f"{len(answers)} answers at once; send at most {MOST_AT_ONCE}")
    return [_answer(fields, place, keys, now_ms) for place, fields in enumerate(answers)]


def _answer(fields: Any, place: int, keys: Keys | None, now_ms: int) -> SurveyResponse:
    if not isinstance(fields, dict) or "topic" in fields:
        raise BadPush(f"answer {place}: expected an object with the fields of SurveyResponse")
    token = fields.pop("token", None)
    try:
        answer = event_of({"time": now_ms, "type": "survey.answered", **fields}, SurveyResponse)
    except BadEvent as error:
        raise BadPush(f"answer {place}: {error}") from None
    if not isinstance(answer, SurveyResponse):
        raise BadPush(f"answer {place}: is no SurveyResponse")
    if token is not None:
        _check_token(str(token), answer, keys, now_ms)
    return answer


def _check_token(token: str, answer: SurveyResponse, keys: Keys | None, now_ms: int) -> None:
    claim = verify(keys, token, now_ms) if keys else Refusal(Reason.FORGED_TOKEN, "there are no keys to check it with")
    if isinstance(claim, Refusal):
        raise Foreign(claim)
    if (claim.survey_id, claim.customer_id) != (answer.survey_id, answer.customer_id):
        raise Foreign(Refusal(Reason.FOREIGN_TOKEN, "the token is of another survey or customer", claim))


def _digest(text: str) -> bytes:
    return sha256(text.encode(errors="replace")).digest()
