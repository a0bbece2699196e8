"""Sentiment learnt from a team's own answers: multinomial logistic regression over hashed words and pairs of words.

Trained by stochastic gradient descent with a step of its own for each weight (AdaGrad; Duchi, Hazan, Singer 2011), in
one fixed order, so that the same answers make the same model.  Only features of several comments are kept: a model
holds nothing that one customer alone wrote.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, TypeAlias
from zlib import crc32

from streams.domain.comments.sentiment import Sentiment
from streams.domain.comments.words import BREAK, words_of

CLASSES = tuple(Sentiment)
BUCKETS = 1 << 18
EPOCHS = 4
RATE = 0.1
SHRINKAGE = 0.01
"""Share of a weight that each step takes from it (L2), so that rare words are not believed too much."""

FEWEST_COMMENTS = 3
"""Different comments in which a feature must be to have a weight."""

Features: TypeAlias = Sequence[int]
Weights: TypeAlias = Mapping[int, Sequence[float]]


class Example(NamedTuple):
    """A comment's features and how it was meant; `group` is the same for the same words."""

    features: Features
    sentiment: Sentiment
    group: int


@dataclass(frozen=True, slots=True)
class Model:
    """Learnt weights of features, one for each of CLASSES, with the bias of each; `hash` tells models apart."""

    bias: Sequence[float]
    weights: Weights
    hash: str = ""

    def sentiment(self, words: Sequence[str]) -> tuple[Sentiment, float]:
        """Judge the words of a comment; the confidence is the sentiment's probability."""
        return self.best(features_of(words))

    def best(self, features: Features) -> tuple[Sentiment, float]:
        """Choose the likeliest sentiment of these features, with its probability."""
        probabilities = _softmax(_sums(self.bias, self.weights, features))
        most = max(range(len(CLASSES)), key=probabilities.__getitem__)
        return CLASSES[most], probabilities[most]


def features_of(words: Sequence[str]) -> Features:
    """Hash the words of a comment and its pairs of neighbours into BUCKETS, each once; punctuation is passed over."""
    told = [word.encode() for word in words if word != BREAK]
    pairs = [first + b" " + second for first, second in pairwise(told)]
    return list({crc32(gram) % BUCKETS for gram in (*told, *pairs)})


def example(comment: str, sentiment: Sentiment) -> Example:
    """Make an example of a comment."""
    words = words_of(comment)
    return Example(features_of(words), sentiment, crc32(" ".join(words).encode()))


def learn(examples: Sequence[Example]) -> Iterator[Model]:
    """Learn from examples, and give the model after each of EPOCHS passes; the last is the one to use."""
    kept = _shared(examples)
    bias, weights = [0.0] * len(CLASSES), {feature: [0.0] * len(CLASSES) for feature in kept}
    squares = {feature: [1e-6] * len(CLASSES) for feature in kept}
    bias_squares = [1e-6] * len(CLASSES)
    ordered = [
        ([feature for feature in one.features if feature in kept], CLASSES.index(one.sentiment))
        for one in sorted(examples, key=lambda one: (crc32(str(one.group).encode()), one.sentiment))
    ]
    for _ in range(EPOCHS):
        for features, right in ordered:
            errors = _softmax(_sums(bias, weights, features))
            errors[right] -= 1.0
            _step(bias, bias_squares, errors, 0.0)
            for feature in features:
                _step(weights[feature], squares[feature], errors, SHRINKAGE)
        yield Model(list(bias), {feature: list(row) for feature, row in weights.items()})


def _shared(examples: Sequence[Example]) -> set[int]:
    texts = {one.group: one.features for one in examples}
    counts = Counter(feature for features in texts.values() for feature in features)
    return {feature for feature, comments in counts.items() if comments >= FEWEST_COMMENTS}


def _step(row: list[float], squares: list[float], errors: Sequence[float], shrinkage: float) -> None:
    for at, error in enumerate(errors):
        gradient = error + shrinkage * row[at]
        squares[at] += gradient * gradient
        row[at] -= RATE * gradient / math.sqrt(squares[at])


def _sums(bias: Sequence[float], weights: Weights, features: Features) -> list[float]:
    first, second, third = bias
    for feature in features:
        if (row := weights.get(feature)) is not None:
            first += row[0]
            second += row[1]
            third += row[2]
    return [first, second, third]


def _softmax(sums: Sequence[float]) -> list[float]:
    most = max(sums)
    powers = [math.exp(one - most) for one in sums]
    total = math.fsum(powers)
    return [power / total for power in powers]
