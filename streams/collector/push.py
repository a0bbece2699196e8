"""Answers that a survey tool pushes as JSON: one object or a list, fields as in the Avro schema of SurveyResponse.

A mistake of the tool refuses the whole body, so that it can be sent again as it should be.  A token that is not the
answer's own is a customer's doing, or a stranger's: it refuses this answer alone.

BadPush   the body is no answer and no list of answers; the message names the place and the field
"""

import hmac
import json
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from schemas.event_json import BadEvent, event_of
from schemas.events import SurveyResponse
from schemas.reasons import Reason
from streams.collector.responses import Unusable
from streams.domain.links import Keys, Refusal, verify
from streams.kafka.ports import Output

MOST_AT_ONCE = 1_000
"""The most answers in one request."""

LONGEST_ERROR = 300
"""The most characters that are said of one answer: an error may repeat a name or value of any length."""


class BadPush(ValueError):
    """The body is no answer and no list of answers; `errors` has a line for each answer that is none, at least one."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__(errors[0])
        self.errors = errors


class PushedAnswer(NamedTuple):
    """A valid answer of a push: its object as it was pushed, its record, and the refusal of its token, if it is."""

    fields: dict[str, Any]
    customer_id: str
    record: Output
    refusal: Refusal | None


def is_allowed(authorization: str, key: str) -> bool:
    """True for a header of `Bearer` and our key, compared in constant time; never when our key is empty."""
    scheme, _, credentials = authorization.partition(" ")
    is_equal = hmac.compare_digest(_digest(credentials.strip()), _digest(key))
    return bool(key) and scheme.lower() == "bearer" and is_equal


def parse(
    body: bytes, keys: Keys | None, now_ms: int, as_record: Callable[[SurveyResponse], Output]
) -> list[PushedAnswer]:
    """Parse the answers in a body, all of them valid.  `time`, left out, is `now_ms`.  Raises BadPush.

    `as_record` makes the record of a response and raises Unusable for one that is none.
    """
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadPush([f"the body is no JSON: {error}"[:LONGEST_ERROR]]) from None
    objects = document if isinstance(document, list) else [document]
    if len(objects) > MOST_AT_ONCE:
        raise BadPush([f"{len(objects)} answers at once; send at most {MOST_AT_ONCE}"])
    answers: list[PushedAnswer] = []
    errors: list[str] = []
    for place, fields in enumerate(objects):
        try:
            answers.append(_answer(fields, keys, now_ms, as_record))
        except (BadEvent, Unusable, RecursionError) as error:
            errors.append(f"answer {place}: {error}"[:LONGEST_ERROR])
    if errors:
        raise BadPush(errors)
    return answers


def _answer(fields: Any, keys: Keys | None, now_ms: int, as_record: Callable[[SurveyResponse], Output]) -> PushedAnswer:
    if not isinstance(fields, dict) or "topic" in fields:
        raise BadEvent("expected an object with the fields of SurveyResponse")
    told = {"time": now_ms, "type": "survey.answered", **fields}
    token = told.pop("token", None)
    if not isinstance(token, str | None):
        raise BadEvent("expected text, or no token at all - at `$.token`")
    response = event_of(told, SurveyResponse)
    if not isinstance(response, SurveyResponse):
        raise BadEvent("is no SurveyResponse")
    if not response.survey_id.strip():
        raise BadEvent("survey_id is empty - at `$.survey_id`")
    if response.score is None and not response.voided and not (response.comment or "").strip():
        raise BadEvent("neither score nor comment nor withdrawal - at `$.score`")
    record = as_record(response)
    return PushedAnswer(fields, response.customer_id, record, _refusal(token, response, keys, now_ms))


def _refusal(token: str | None, response: SurveyResponse, keys: Keys | None, now_ms: int) -> Refusal | None:
    if token is None:
        return None
    claim = verify(keys, token, now_ms) if keys else Refusal(Reason.FORGED_TOKEN, "there are no keys to check it with")
    if isinstance(claim, Refusal):
        return claim
    if (claim.survey_id, claim.customer_id) != (response.survey_id, response.customer_id):
        return Refusal(Reason.FOREIGN_TOKEN, "the token is of another survey or customer", claim)
    return None


def _digest(text: str) -> bytes:
    return sha256(text.encode(errors="replace")).digest()
