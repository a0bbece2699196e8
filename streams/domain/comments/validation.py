"""Cross-validation: how often a model is right about comments that it did not learn from."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from streams.domain.comments.regression import EPOCHS, Example, learn
from streams.domain.comments.sentiment import Sentiment

FOLDS = 5
STEPS = FOLDS * EPOCHS
"""Calls of `advance` in one cross-validation."""


@dataclass(slots=True)
class Validation:
    """Outcome of a cross-validation: how many comments meant as the first were judged to be the second."""

    judged: Counter[tuple[Sentiment, Sentiment]] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """Comments that were judged."""
        return self.judged.total()

    @property
    def accuracy(self) -> float:
        """Share of comments that were judged right, 0 to 1; 0 without any."""
        right = sum(count for (meant, judged), count in self.judged.items() if meant == judged)
        return right / self.total if self.total else 0.0

    @property
    def commonest(self) -> float:
        """Share of comments of the commonest sentiment: what guessing it each time would have right."""
        return max((self.meant(sentiment) for sentiment in Sentiment), default=0) / self.total if self.total else 0.0

    def meant(self, sentiment: Sentiment) -> int:
        """Comments that were meant so."""
        return sum(count for (meant, _), count in self.judged.items() if meant == sentiment)

    def add(self, meant: Sentiment, judged: Sentiment) -> None:
        """Count one comment."""
        self.judged[meant, judged] += 1


def cross_validate(examples: Sequence[Example], advance: Callable[[], None] = lambda: None) -> Validation:
    """Judge each of FOLDS parts by a model of the others; comments of the same words are always in one part."""
    outcome = Validation()
    for fold in range(FOLDS):
        models = []
        for model in learn([one for one in examples if one.group % FOLDS != fold]):
            models = [model]
            advance()
        for one in examples:
            if one.group % FOLDS == fold:
                outcome.add(one.sentiment, models[0].best(one.features)[0])
    return outcome
