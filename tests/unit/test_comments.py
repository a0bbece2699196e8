"""Examples of comments in five languages: their themes and sentiment, and what a model learns."""

from pathlib import Path

import pytest

from streams.comments import model_file
from streams.domain.comments.judging import CommentJudge, shipped
from streams.domain.comments.regression import Model, example, features_of, learn
from streams.domain.comments.sentiment import Sentiment
from streams.domain.comments.stems import Stems
from streams.domain.comments.validation import STEPS, cross_validate
from streams.domain.comments.words import BREAK, MOST_CHARACTERS, words_of
from streams.errors import BadSettings

JUDGE = CommentJudge()

COMMENTS = [
    ("The parcel arrived two days early, thank you!", "delivery", "positive"),
    ("Still waiting, my order never arrived.", "delivery", "negative"),
    ("The zip was broken and the fabric is torn", "quality", "negative"),
    ("Customer service never answered my e-mail", "support", "negative"),
    ("Good price, and the website is easy to use", "ease price", "positive"),
    ("No problems at all", "", "positive"),
    ("Das Paket kam pünktlich an, sehr zufrieden", "delivery", "positive"),
    ("Die Ware ist kaputt und der Kundenservice antwortet nicht", "quality support", "negative"),
    ("Viel zu teuer, und die Webseite ist unübersichtlich", "ease price", "negative"),
    ("Livraison rapide, je recommande", "delivery", "positive"),
    ("Le colis n'est jamais arrivé et le service client ne répond pas", "delivery support", "negative"),
    ("C'est trop cher pour cette qualité", "price quality", "negative"),
    ("El paquete llegó a tiempo, muy contento", "delivery", "positive"),
    ("No he recibido el pedido y nadie contesta al teléfono", "delivery support", "negative"),
    ("La página es fácil y los precios son buenos", "ease price", "positive"),
    ("Entrega no prazo, recomendo", "delivery", "positive"),
    ("Ainda não recebi e ninguém responde meus e-mails", "delivery support", "negative"),
    ("Produto com defeito, quero meu dinheiro de volta", "quality support", "negative"),
    ("O preço é ótimo e o aplicativo é fácil de usar", "ease price", "positive"),
    ("", "", "neutral"),
    ("?!", "", "neutral"),
]


@pytest.mark.parametrize(("comment", "themes", "sentiment"), COMMENTS)
def test_a_comment_has_its_themes_and_sentiment(comment: str, themes: str, sentiment: str) -> None:
    """Whatever the language, several themes may apply, or none."""
    judged = JUDGE.judge(comment)
    assert (" ".join(judged.themes), judged.sentiment) == (themes, sentiment)
    assert 0 <= judged.confidence <= 1


def test_the_same_word_means_what_it_means_in_the_comments_language() -> None:
    """Portuguese 'no' is no negation, as Spanish and English 'no' is."""
    assert JUDGE.judge("Chegou no prazo").sentiment is Sentiment.POSITIVE
    assert JUDGE.judge("No good").sentiment is Sentiment.NEGATIVE
    assert JUDGE.judge("No funciona bien").sentiment is Sentiment.NEGATIVE


def test_words_are_folded_and_punctuation_breaks_them() -> None:
    """Case and accents make no difference; what is beyond the bound is not read."""
    assert words_of("NÃO, n'est… Größe 😡") == ["nao", BREAK, "n", "est", BREAK, "grosse", "😡"]
    assert len(words_of("a " * 100_000)) == MOST_CHARACTERS // 2
    assert JUDGE.judge("x" * MOST_CHARACTERS + " delivery").themes == ()


def test_punctuation_ends_a_negation() -> None:
    """'Not so: good' praises, 'not so good' does not."""
    assert JUDGE.judge("Not sure. It is good").sentiment is Sentiment.POSITIVE
    assert JUDGE.judge("It is not so good").sentiment is Sentiment.NEGATIVE


def test_stems_match_beginnings_whole_words_and_phrases() -> None:
    """`app$` is the word alone, a phrase is words one after another, and several may match at once."""
    stems = Stems([("refund", "a"), ("app$", "b"), ("money back", "c"), ("money", "d"), ("refund", "e")])
    assert {found.meaning for found in stems.at(["refunded"], 0)} == {"a", "e"}
    assert [found.meaning for found in stems.at(["app"], 0)] == ["b"]
    assert not stems.at(["apple"], 0)
    assert {found.meaning for found in stems.at(["money", "backs"], 0)} == {"c", "d"}
    assert [found.meaning for found in stems.at(["money"], 0)] == ["d"]


@pytest.mark.parametrize("stem", ["", " ", "$", "a,b", "it's", "a b c d e", "x" * 65, ".*"])
def test_what_is_no_stem_is_refused(stem: str) -> None:
    """A stem that would match nothing, or anything, is a mistake of the program file."""
    with pytest.raises(ValueError, match="a stem "):
        Stems([(stem, "a")])


def test_themes_of_a_program_take_the_place_of_those_that_ship() -> None:
    """A theme may be added or changed, and the hash tells."""
    judge = CommentJudge({**shipped(), "returns": {"en": ["send back", "return"]}, "delivery": {"en": []}})
    assert judge.judge("The delivery was late, I want to return it").themes == ("returns", "support")
    assert judge.hash != JUDGE.hash == CommentJudge().hash


def test_a_model_learns_what_the_words_of_a_team_mean() -> None:
    """Words that no lexicon has are learnt from bands; the same examples make the same model."""
    told = {"zorp": Sentiment.POSITIVE, "blick": Sentiment.NEGATIVE, "meh": Sentiment.NEUTRAL}
    examples = [example(f"{word} {n} {n * n}", sentiment) for n in range(40) for word, sentiment in told.items()]
    steps: list[None] = []
    outcome = cross_validate(examples, lambda: steps.append(None))
    assert outcome.accuracy == 1.0
    assert (outcome.total, outcome.commonest, len(steps)) == (120, 1 / 3, STEPS)
    *_, model = learn(examples)
    *_, again = learn(list(reversed(examples)))
    assert model == again
    judge = CommentJudge(model=Model(model.bias, model.weights, "m"))
    assert judge.judge("zorp delivery").sentiment is Sentiment.POSITIVE
    assert judge.judge("zorp delivery").themes == ("delivery",)
    assert judge.hash != JUDGE.hash


def test_a_model_comes_back_from_its_file(tmp_path: Path) -> None:
    """Under the hash that writing it gave; another hash, another version and what is no model are refused."""
    file, model = tmp_path / "a.model", Model([0.5, 0.0, -0.5], {7: [1.0, 0.0, -1.0]})
    found = model_file.write(file, model)
    assert model_file.read(file, found) == Model(model.bias, model.weights, found)
    with pytest.raises(BadSettings, match=f"its hash is {found}, the program names 0123456789ab"):
        model_file.read(file, "0123456789ab")
    for text, says in ((b"{}", "no model"), (file.read_bytes().replace(b'"format":1', b'"format":2'), "version")):
        file.write_bytes(text)
        with pytest.raises(BadSettings, match=says):
            model_file.read(file, model_file.digest(text))
    with pytest.raises(BadSettings, match="cannot be read"):
        model_file.read(tmp_path / "none", found)


def test_a_model_holds_nothing_that_one_comment_alone_has() -> None:
    """A name that one customer wrote has no weight, however often the same comment came."""
    examples = [example("all is well", Sentiment.POSITIVE), example("all is bad", Sentiment.NEGATIVE)] * 3
    examples += [example("all Rumpelstiltskin", Sentiment.NEGATIVE)] * 5
    *_, model = learn(examples)
    assert set(model.weights) == set(features_of(["all"]))
