"""Sentiment of a comment by its words of praise and blame."""

from enum import StrEnum

from streams.domain.comments.reading import Findings
from streams.domain.nps import Band


class Sentiment(StrEnum):
    """Class of a comment by its meaning: praise, neither, or blame."""

    POSITIVE = "positive"
    NEUTRAL = "neutral"
    NEGATIVE = "negative"


SENTIMENT_OF_BAND = {
    Band.PROMOTER: Sentiment.POSITIVE, Band.PASSIVE: Sentiment.NEUTRAL, Band.DETRACTOR: Sentiment.NEGATIVE,
}  # fmt: skip
"""Sentiment that is learnt from the answers of a band."""


def weighed(reading: Findings) -> tuple[Sentiment, float]:
    """Weigh praise against blame: the more there is of one, and the less of the other, the surer."""
    balance, total = reading.good - reading.bad, reading.good + reading.bad
    if balance == 0:
        return Sentiment.NEUTRAL, 0.5 if total else 0.0
    return Sentiment.POSITIVE if balance > 0 else Sentiment.NEGATIVE, abs(balance) / (total + 1)
