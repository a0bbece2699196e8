"""`make bench ARGS="--only comments"`: how well and how fast comments are judged, on Olist's reviews.

Stars are mapped 5->10, 4->8, 3->6, 2->3, 1->0 and the band of that is taken for what was meant; a star is not a
likelihood to recommend.
"""

import time

from rich.table import Table

from streams.domain.comments.judging import CommentJudge
from streams.domain.comments.regression import Model, example, learn
from streams.domain.comments.validation import cross_validate
from tests.e2e.olist import MISSING
from tests.e2e.olist_comments import Review, labelled, micro_f1, reviews

ROUNDS = 3


def run() -> Table | str:
    """Measure the themes' F1, the sentiment's accuracy shipped and fitted, and the time for a comment."""
    if not (real := reviews()):
        return MISSING
    shipped, table = CommentJudge(), Table("figure", "measured", "bar")
    pairs = [(themes, frozenset(shipped.judge(real[name].text).themes)) for name, themes in labelled().items()]
    right = sum(shipped.judge(review.text).sentiment is review.sentiment for review in real.values())
    examples = [example(review.text, review.sentiment) for review in real.values()]
    outcome = cross_validate(examples)
    *_, model = learn(examples)
    fitted = CommentJudge(model=Model(model.bias, model.weights, "fitted"))
    table.add_row(f"themes, micro-F1 of {len(pairs)} labelled", f"{micro_f1(pairs):.3f}", ">= 0.85")
    table.add_row(f"sentiment as shipped, accuracy of {len(real)}", f"{right / len(real):.3f}", ">= 0.71")
    table.add_row("sentiment fitted, cross-validated", f"{outcome.accuracy:.3f}", ">= 0.80")
    table.add_row("always the commonest band", f"{outcome.commonest:.3f}", "")
    table.add_row("a comment as shipped, us of CPU", f"{_microseconds(shipped, real):.0f}", "< 200")
    table.add_row("a comment with a model, us of CPU", f"{_microseconds(fitted, real):.0f}", "< 200")
    return table


def _microseconds(judge: CommentJudge, real: dict[str, Review]) -> float:
    """Microseconds of processor time for a comment, the best of some rounds."""
    rounds: list[float] = []
    for _ in range(ROUNDS):
        started_s = time.process_time()
        for review in real.values():
            judge.judge(review.text)
        rounds.append(time.process_time() - started_s)
    return min(rounds) / len(real) * 1e6
