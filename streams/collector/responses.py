"""Records that a visit to a link becomes: clicks, traps, written answers, and dead letters of refused links."""

import secrets

from schemas import deadletters
from schemas.codec import Codec
from schemas.events import SurveyResponse
from schemas.topics import DEAD_LETTERS, RESPONSES
from streams.domain.clicks import CHANNEL, HEADED, SOURCE, confirmation
from streams.domain.links import Claim, Refusal
from streams.domain.state import Click
from streams.kafka.ports import Output

LARGEST_DEAD_REQUEST_BYTES = 4_096
"""The most bytes of a refused request that its dead letter keeps."""

_NO_PARTITION = -1
_OFFSET_BITS = 62


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


def as_record(codec: Codec, response: SurveyResponse) -> Output:
    """The record of a response.  Raises ValueError for one that breaks its contract."""
    return Output(RESPONSES.name, codec.encode(response), response.customer_id.encode())


def dead_letter(refusal: Refusal, request: bytes, now_ms: int) -> Output:
    """The dead letter of a request whose link was refused.

    It came from no topic; a random number stands for the offset, as the warehouse keeps one row for each place.
    """
    offset = secrets.randbits(_OFFSET_BITS)
    death = deadletters.Death(refusal.reason, refusal.detail, SOURCE, _NO_PARTITION, offset, now_ms)
    key = refusal.claim.customer_id.encode() if refusal.claim else None
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
