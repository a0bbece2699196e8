"""`nps comments` judges answers as they come, also after a crash; `nps comments fit` learns from those there are."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from schemas.codec import Codec
from schemas.events import Answer, JudgedComment
from schemas.topics import ANSWERS, COMMENTS, key_of
from sinks.clickhouse.client import connect
from streams.comments import model_file
from streams.domain.comments.judging import CommentJudge
from streams.kafka.ports import KafkaRecord
from streams.kafka.reader import KafkaReader
from streams.local.servers import local_broker, local_clickhouse
from streams.program import load
from tests.support.commands import Service, done, run
from tests.support.foreign_topics import PARTITIONS, write
from tests.support.ledger_rows import ANSWERED, put

CODEC = Codec()
SECRET = "my neighbour Rumpelstiltskin"


@pytest.fixture(scope="module")
def environ() -> Iterator[dict[str, str]]:
    """A broker with our topics."""
    with local_broker() as broker:
        settings = {
            "NPS_BROKERS": broker.address, "NPS_PARTITIONS": str(PARTITIONS), "NPS_SERVER_WAIT_S": "20",
            "NPS_SESSION_TIMEOUT_MS": "6000",
        }  # fmt: skip
        done("topics", environ=settings)
        yield settings


def answer(number: int, comment: str | None, revision: int = 1) -> Answer:
    """An answer of a customer of its own."""
    return ANSWERED._replace(
        survey_id=f"s{number}", customer_id=f"Ada-{number}", comment=comment, revision=revision,
        version=1_000 * revision + number,
    )  # fmt: skip


def send(environ: Mapping[str, str], *answers: Answer) -> None:
    """Write answers as the worker does."""
    records = [KafkaRecord(0, 1_769_860_800_000, key_of(one), CODEC.encode(one)) for one in answers]
    write(environ["NPS_BROKERS"], ANSWERS.name, records)


def written(environ: Mapping[str, str]) -> list[JudgedComment]:
    """Every record of nps.comments, each under its customer's key."""
    places = [(COMMENTS.name, number) for number in range(PARTITIONS)]
    with closing(KafkaReader(environ["NPS_BROKERS"], {})) as reader:
        records = [record for _, record in reader.read(places)]
    found = [CODEC.decode(JudgedComment, record.value or b"") for record in records]
    assert [record.key for record in records] == [key_of(one) for one in found]
    return found


def newest(environ: Mapping[str, str]) -> dict[str, JudgedComment]:
    """The record that holds for each survey."""
    return {one.survey_id: one for one in sorted(written(environ), key=lambda one: one.version)}


def test_comments_are_judged_as_they_come(environ: dict[str, str], tmp_path: Path) -> None:
    """Each with a comment once, also after `kill -9`; a withdrawn one loses its themes; the log names nobody."""
    send(environ, answer(1, f"The parcel never arrived, says {SECRET}"), answer(2, None), answer(3, "Great price!"))
    write(environ["NPS_BROKERS"], ANSWERS.name, [KafkaRecord(0, 1, b"stranger", b"no answer")])
    with Service("comments", environ, tmp_path / "first.log") as first:
        first.until(lambda: {"s1", "s3"} <= set(newest(environ)), "two were judged")
        first.kill()
    send(environ, answer(1, None, revision=2), answer(4, "Prima, danke"))
    with Service("comments", environ, tmp_path / "second.log") as second:
        second.until(lambda: "s4" in (held := newest(environ)) and held["s1"].revision == 2, "the others were judged")
        assert second.stop() == 0
        told = first.said() + second.said()
    held = newest(environ)
    assert set(held) == {"s1", "s3", "s4"}
    assert (held["s1"].themes, held["s1"].sentiment, held["s1"].confidence) == ([], None, 0.0)
    assert (held["s3"].themes, held["s3"].sentiment) == (["price"], "positive")
    assert (held["s4"].themes, held["s4"].sentiment) == ([], "positive")
    assert {one.model for one in written(environ)} == {CommentJudge().hash}
    lost = [one for one in written(environ) if one.survey_id == "s1" and one.revision == 1]
    assert {(tuple(one.themes), one.sentiment) for one in lost} == {(("delivery",), "negative")}
    assert not [word for word in ("Ada", "Rumpel", "parcel") if word in told]


def test_another_model_than_the_program_names_is_refused(environ: dict[str, str], tmp_path: Path) -> None:
    """Exit code 2 and one line, before a comment is read."""
    (tmp_path / "other.model").write_text("{}")
    text = 'model = "other.model"\nmodel_hash = "0123456789ab"\n'
    shipped = (Path(model_file.__file__).parents[1] / "nps.toml").read_text()
    (tmp_path / "nps.toml").write_text(f"{shipped}\n[comments]\n{text}")
    ended = run("comments", environ={**environ, "NPS_PROGRAM": str(tmp_path / "nps.toml")})
    assert ended.returncode == 2
    assert "its hash is 44136fa355b3, the program names 0123456789ab" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_team_fits_the_sentiment_to_its_own_answers(tmp_path: Path) -> None:
    """Bands are the labels; the accuracy is printed, and the program takes the model by its hash."""
    with local_clickhouse(tmp_path / "clickhouse") as clickhouse:
        environ = {"NPS_CLICKHOUSE_URL": f"{clickhouse.address}/nps"}
        done("migrate", environ=environ)
        words = {"promoter": "zorp", "passive": "meh", "detractor": "blick"}
        with closing(connect(environ["NPS_CLICKHOUSE_URL"])) as database:
            put(database, *[
                ANSWERED._replace(survey_id=f"{band}{n}", customer_id=f"c{n}", band=band, comment=f"{word} {n}")
                for band, word in words.items() for n in range(100)
            ])  # fmt: skip
        said = done("comments", "fit", "--out", str(tmp_path / "our.model"), environ=environ)
        refused = run("comments", "fit", "--out", str(tmp_path / "nowhere" / "our.model"), environ=environ)
    assert "1.000" in said
    assert refused.returncode == 2
    table = said[said.index("[comments]") :]
    shipped = (Path(model_file.__file__).parents[1] / "nps.toml").read_text()
    (tmp_path / "nps.toml").write_text(f"{shipped}\n{table}")
    policy = load(tmp_path / "nps.toml").comments
    judge = CommentJudge(policy.themes, model_file.read(Path(policy.model), policy.model_hash))
    assert [judge.judge(word).sentiment for word in words.values()] == ["positive", "neutral", "negative"]
