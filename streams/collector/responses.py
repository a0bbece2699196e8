"""Records of the collector: clicks, traps, written and pushed answers, and dead letters of refused tokens.

Unusable   a response that the worker would turn into a dead letter for what it says, or whose comment it would cut
"""

import secrets

from schemas import deadletters
from schemas.codec import Codec
from schemas.events import SurveyResponse
from schemas.reasons import FAULTS, Reason
from schemas.topics import COLLECTOR_HEADER, DEAD_LETTERS, RESPONSES
from streams.domain.bounds import LARGEST_COMMENT_BYTES
from streams.domain.clicks import CHANNEL, HEADED, SOURCE, confirmation
from streams.domain.effects import Reject
from streams.domain.journey import step
from streams.domain.links import Claim, Refusal
from streams.domain.policy import Program
from streams.domain.state import NEW, Click
from streams.intake import accept
from streams.kafka.ports import Headers, KafkaRecord, Output

LARGEST_DEAD_REQUEST_BYTES = 4_096
"""The most bytes of a refused request that its dead letter keeps."""

_HEADERS: Headers = ((COLLECTOR_HEADER, b""),)
_FIELDS = {
    Reason.INVALID_SCORE: "score",
    Reason.EMPTY_RESPONSE: "score",
    Reason.ABSURD_TIME: "time",
    Reason.TOO_EARLY: "time",
}
"""Field of a response that a reason is about; the details of other reasons begin with it."""

_NO_PARTITION = -1
_OFFSET_BITS = 62


class Unusable(ValueError):
    """A response that the worker would turn into a dead letter for what it says, or whose comment it would cut.

    The message ends in the field, as `$.score`.
    """

    def __init__(self, reject: Reject) -> None:
        field = _FIELDS.get(reject.reason) or reject.detail.partition(" ")[0]
        super().__init__(f"{reject.detail} - at `$.{field}`")
        self.reason = reject.reason


def clicked(claim: Claim, score: int, at_ms: int) -> SurveyResponse:
    """The click on the link of a score, by a person or a machine; provisional."""
    return _response(claim, "survey.clicked", at_ms, score=score, provisional=True)


def trapped(claim: Claim, at_ms: int) -> SurveyResponse:
    """The request of a machine, as no person makes it; provisional and voided."""
    return _response(claim, "survey.trapped", at_ms, voided=True, provisional=True)


def headed(claim: Claim, at_ms: int) -> SurveyResponse:
    """The HEAD request of a scanner, after which a person may come; provisional and voided."""
    return _response(claim, HEADED, at_ms, voided=True, provisional=True)


def written(claim: Claim, score: int | None, comment: str | None, at_ms: int) -> SurveyResponse:
    """The answer that a person wrote into the page's form."""
    return _response(claim, "survey.answered", at_ms, score=score, comment=comment)


def seen(claim: Claim, score: int, clicked_ms: int) -> SurveyResponse:
    """The answer of a click whose page a person looks at: the same that the click becomes by itself in the end."""
    return confirmation(claim.survey_id, claim.customer_id, Click(clicked_ms, score))


def as_record(codec: Codec, program: Program, response: SurveyResponse, now_ms: int) -> Output:
    """The record of a response that is written at `now_ms`.  Raises Unusable.

    The worker's own checks tell, those of the record and those of its step, so that it finds nothing to refuse but what
    depends on what else came and when: a survey that was never sent, an answer or a correction that comes too late.
    """
    if len((response.comment or "").encode()) > LARGEST_COMMENT_BYTES:
        raise Unusable(Reject(Reason.TOO_LONG, f"comment has more than {LARGEST_COMMENT_BYTES} bytes"))
    key, value = response.customer_id.encode(), codec.encode(response)
    event = accept(codec, SurveyResponse, KafkaRecord(0, now_ms, key, value, _HEADERS), now_ms, program.is_placeholder)
    if isinstance(event, Reject):
        raise Unusable(event)
    for effect in step(NEW, event, program, now_ms)[1]:
        if isinstance(effect, Reject) and effect.reason in FAULTS:
            raise Unusable(effect)
    return Output(RESPONSES.name, value, key, timestamp_ms=now_ms, headers=_HEADERS)


def dead_letter(refusal: Refusal, request: bytes, customer_id: str | None, now_ms: int) -> Output:
    """The dead letter of a request, or of one pushed answer, whose token was refused.

    It lies under the customer whom it is about, by whose erasure it is emptied; None where no one is named that we
    could believe.  It came from no topic; a random number stands for the offset, as the warehouse keeps one row for
    each place.
    """
    offset = secrets.randbits(_OFFSET_BITS)
    death = deadletters.Death(refusal.reason, refusal.detail, SOURCE, _NO_PARTITION, offset, now_ms)
    key = None if customer_id is None else customer_id.encode()
    return Output(DEAD_LETTERS, request[:LARGEST_DEAD_REQUEST_BYTES], key, headers=deadletters.wrap((), death))


def _response(
    claim: Claim, type_: str, at_ms: int, *, score: int | None = None, comment: str | None = None,
    voided: bool = False, provisional: bool = False,
) -> SurveyResponse:  # fmt: skip
    return SurveyResponse(
        source=SOURCE,
        id=secrets.token_hex(12),
        type=type_,
        time=at_ms,
        customer_id=claim.customer_id,
        survey_id=claim.survey_id,
        score=score,
        comment=comment,
        voided=voided,
        channel=CHANNEL,
        provisional=provisional,
    )
