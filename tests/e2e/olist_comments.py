"""Real comments with their stars, of Olist's reviews, and the themes of 110 of them, labelled by hand.

Title and message are one text; of a review that is there twice the first counts.  `tests/data/README.md` says how the
labelled ones were drawn.
"""

import csv
from pathlib import Path
from typing import NamedTuple

from streams.domain.comments.sentiment import SENTIMENT_OF_BAND, Sentiment
from streams.domain.nps import band
from tests.e2e.olist_events import SCORE, folder, rows

LABELLED = Path(__file__).parents[1] / "data" / "comment_themes.csv"


class Review(NamedTuple):
    """A review's text, and what its score's band says it was meant as."""

    text: str
    sentiment: Sentiment


def reviews() -> dict[str, Review]:
    """Every review with a text, by its id; none where the files are not there."""
    found: dict[str, Review] = {}
    data = folder()
    for row in rows(data, "reviews") if data else ():
        texts = (row["review_comment_title"].strip(), row["review_comment_message"].strip())
        if text := " ".join(filter(None, texts)):
            found.setdefault(row["review_id"], Review(text, SENTIMENT_OF_BAND[band(SCORE[row["review_score"]])]))
    return found


def labelled() -> dict[str, frozenset[str]]:
    """Themes of the labelled reviews, by id."""
    with LABELLED.open(encoding="utf-8", newline="") as file:
        return {row["review_id"]: frozenset(row["themes"].split()) for row in csv.DictReader(file)}


def micro_f1(pairs: list[tuple[frozenset[str], frozenset[str]]]) -> float:
    """Micro-averaged F1 of pairs of themes, those that are right and those that were found."""
    both = sum(len(right & found) for right, found in pairs)
    return 2 * both / sum(len(right) + len(found) for right, found in pairs)
