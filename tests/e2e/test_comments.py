"""Comments judged as well as promised, on real reviews: themes by 110 labelled ones, sentiment by the stars of all."""

import pytest

from streams.domain.comments.judging import CommentJudge
from streams.domain.comments.regression import example
from streams.domain.comments.validation import cross_validate
from tests.e2e.olist import MISSING
from tests.e2e.olist_comments import Review, labelled, micro_f1, reviews

LEAST_F1, LEAST_SHIPPED, LEAST_FITTED = 0.85, 0.71, 0.80


@pytest.fixture(scope="module")
def real() -> dict[str, Review]:
    if not (found := reviews()):
        pytest.skip(MISSING)
    return found


def test_themes_are_found_as_a_reader_finds_them(real: dict[str, Review]) -> None:
    """Micro-F1 of the shipped themes on the reviews that were labelled before any stem was written."""
    judge = CommentJudge()
    pairs = [(themes, frozenset(judge.judge(real[name].text).themes)) for name, themes in labelled().items()]
    assert len(pairs) == 110
    assert micro_f1(pairs) >= LEAST_F1


def test_the_shipped_sentiment_agrees_with_the_stars(real: dict[str, Review]) -> None:
    """Accuracy of the words that ship, with the band of the mapped stars as what was meant."""
    judge = CommentJudge()
    right = sum(judge.judge(review.text).sentiment is review.sentiment for review in real.values())
    assert right / len(real) >= LEAST_SHIPPED


def test_a_fitted_sentiment_agrees_more(real: dict[str, Review]) -> None:
    """Cross-validated accuracy of what is learnt from the same reviews."""
    outcome = cross_validate([example(review.text, review.sentiment) for review in real.values()])
    assert outcome.total == len(real)
    assert outcome.accuracy >= LEAST_FITTED
