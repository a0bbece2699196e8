"""Laws of judging comments: any text is judged, at once, the same each time, and by its words alone."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from streams.domain.comments.judging import CommentJudge, shipped
from streams.domain.comments.languages import LANGUAGES
from streams.domain.comments.sentiment import Sentiment
from streams.domain.comments.words import LONGEST_WORD, MOST_CHARACTERS, words_of

JUDGE = CommentJudge()
THEMES = set(shipped())

_stems = sorted({stem.replace("$", "") for one in LANGUAGES.values() for stem in (*one.good, *one.bad, *one.common)})
comments = st.one_of(
    st.text(max_size=3 * MOST_CHARACTERS),
    st.lists(st.one_of(st.sampled_from(_stems), st.text(max_size=12)), max_size=40).map(" ".join),
)


@given(comments)
def test_any_text_is_judged(comment: str) -> None:
    """Whatever a customer writes has known themes, each once, a sentiment and a confidence, and the same ones again."""
    judged = JUDGE.judge(comment)
    assert set(judged.themes) <= THEMES
    assert list(judged.themes) == sorted(set(judged.themes))
    assert judged.sentiment in Sentiment
    assert 0 <= judged.confidence <= 1
    assert JUDGE.judge(comment) == judged


@given(comments)
def test_words_are_bounded(comment: str) -> None:
    """Neither words nor their number outgrow what is read, folding included."""
    words = words_of(comment)
    assert all(1 <= len(word) <= LONGEST_WORD for word in words)
    assert len(words) <= 18 * MOST_CHARACTERS  # NFKD makes at most 18 characters of one


@given(st.lists(st.sampled_from(_stems), max_size=30).map(" ".join))
def test_how_a_comment_is_typed_makes_no_difference(comment: str) -> None:
    """Capitals, decomposed accents and more space are the same words."""
    judged = JUDGE.judge(comment)
    assert JUDGE.judge(comment.upper()) == judged
    assert JUDGE.judge(unicodedata.normalize("NFD", comment)) == judged
    assert JUDGE.judge("  " + comment.replace(" ", "   ")) == judged
