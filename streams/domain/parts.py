"""Parts of an answer: all that was said to one survey, and what holds of it, the same in whatever order it came.

What holds is what would hold had all come in order of time.  The first score opens the answer and can be corrected
until `edit` after it; a withdrawal until then takes back all scores and comments up to it, so that the next score opens
the answer anew.  What was said later than the last correction is closed: it holds nothing, unless an earlier part still
comes that withdraws the score that closed it.  So it is kept as well.

One (source, id) is one part however often it is told: the copy with the earliest time is the part.

Exact for the newest `MOST_PARTS` parts and `MOST_COMMENTS` comments of an answer; older ones are forgotten, except the
first score that holds and the comment that does.
"""

from bisect import bisect_left

from schemas.records import replacer
from streams.domain.state import AnswerPart, Given

VOID, WORDS = -1, -2
"""Stand for a score in a withdrawal, and in a part that is only a comment."""

MOST_PARTS = 64
"""The most parts of an answer that are remembered."""

MOST_COMMENTS = 8
"""The most comments of an answer that are remembered besides the one that holds."""

NO_ANSWER = Given()

_with_parts = replacer(Given, "parts", "others")
_evaluated = replacer(Given, "scores", "comment", "comment_stamp", "voided_ms", "parts", "others")


def parts_of(given: Given) -> tuple[AnswerPart, ...]:
    """All parts that are remembered, in order of time; of an answer from an older state those that it kept."""
    if given.parts or not given.revision:
        return given.parts
    known = {mark for _, mark, _ in given.scores}
    voids: list[AnswerPart] = [(given.voided_ms, 0, VOID)] if given.voided_ms >= 0 else []
    at_ms, mark = given.comment_stamp
    words: list[AnswerPart] = [(at_ms, mark, WORDS)] if given.comment is not None and mark not in known else []
    return tuple(sorted([*given.scores, *voids, *words]))


def with_part(given: Given, part: AnswerPart, comment: str | None) -> Given:
    """The answer so far and one part more, not evaluated yet; `given` itself when the part is known."""
    at_ms, mark, _ = part
    parts = parts_of(given)
    if any(known == mark and known_ms <= at_ms for known_ms, known, _ in parts):
        return given
    others = given.others if comment is None else (*given.others, (at_ms, mark, comment))
    return _with_parts(given, tuple(sorted([*(each for each in parts if each[1] != mark), part])), others)


def closing_ms(parts: tuple[AnswerPart, ...], edit_ms: int) -> int | None:
    """The last instant at which a part can hold; None while there is no score, or each is withdrawn in time.

    It is `edit_ms` after the earliest score that has no withdrawal from it until then.
    """
    voids_ms = [at_ms for at_ms, _, score in parts if score == VOID]
    for at_ms, _, score in parts:
        if score >= 0:
            following = bisect_left(voids_ms, at_ms)
            if following == len(voids_ms) or voids_ms[following] > at_ms + edit_ms:
                return at_ms + edit_ms
    return None


def evaluate(given: Given, machines: frozenset[int], edit_ms: int, most_parts: int = MOST_PARTS) -> Given:
    """Work out what holds of the parts that are no machine's; `machines` are the marks of those that are.

    Of more than `most_parts` the oldest are forgotten, but never the first score that holds or the comment that does.
    """
    parts = tuple([part for part in parts_of(given) if part[1] not in machines]) if machines else parts_of(given)
    closes_ms = closing_ms(parts, edit_ms)
    taken = parts if closes_ms is None else tuple([part for part in parts if part[0] <= closes_ms])
    voided_ms = max([at_ms for at_ms, _, score in taken if score == VOID], default=-1)
    scores = tuple([part for part in taken if part[2] >= 0 and part[0] > voided_ms])
    if len(scores) > 2:
        scores = (scores[0], scores[-1])
    comment, stamp, others = given.comment, given.comment_stamp, given.others
    if comment is not None or others:
        comment, stamp, others = _comments(given, parts, voided_ms, closes_ms)
    if len(parts) > most_parts:
        held = {part for part in parts if part in scores[:1] or part[:2] == stamp}
        newest = [part for part in parts if part not in held][len(parts) - most_parts :]
        parts = tuple(sorted([*held, *newest]))
    return _evaluated(given, scores, comment, stamp, voided_ms, parts, others)


def _comments(
    given: Given, parts: tuple[AnswerPart, ...], voided_ms: int, closes_ms: int | None
) -> tuple[str | None, tuple[int, int], tuple[tuple[int, int, str], ...]]:
    """The newest comment that is neither withdrawn nor closed, its stamp, and the comments that do not hold now."""
    told = [(at_ms, mark, text) for at_ms, mark, text in given.others]
    if given.comment is not None:
        told.append((*given.comment_stamp, given.comment))
    known = {part[:2] for part in parts}
    told = sorted(comment for comment in told if comment[:2] in known)
    held = [said for said in told if said[0] > voided_ms and (closes_ms is None or said[0] <= closes_ms)][-1:]
    others = tuple([comment for comment in told if comment not in held][-MOST_COMMENTS:])
    return (held[0][2], held[0][:2], others) if held else (None, (-1, 0), others)
