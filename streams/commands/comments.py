"""Commands of comments: `nps comments` judges them as answers come, `nps comments fit` learns from those there are."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from rich.progress import Progress

from schemas.topics import ANSWERS, COMMENTS
from sinks.kafka_health import KafkaHealth
from streams import program
from streams.commands.member import member_of
from streams.commands.session import (
    cell,
    codec_of,
    out,
    read_settings,
    require_topics,
    serve_metrics,
    show,
    stop_on_signal,
    table_of,
)
from streams.commands.warehouse import warehouse_of
from streams.comments import model_file
from streams.comments.process import CommentProcess, log
from streams.domain.comments.judging import CommentJudge
from streams.domain.comments.regression import EPOCHS, Example, Model, example, learn
from streams.domain.comments.sentiment import SENTIMENT_OF_BAND, Sentiment
from streams.domain.comments.validation import STEPS, Validation, cross_validate
from streams.domain.comments.words import MOST_CHARACTERS
from streams.domain.nps import Band
from streams.domain.policy import CommentPolicy
from streams.errors import BadSettings, ExitCode
from streams.kafka.producer import Producer
from streams.settings import Settings

FEWEST_ANSWERS = 200
"""Answers with a comment from which anything can be learnt."""

MOST_ANSWERS = 1_000_000

_ANSWERS = (
    f"SELECT substringUTF8(comment, 1, {MOST_CHARACTERS}), toString(assumeNotNull(band)) FROM answers FINAL "
    "WHERE counted AND isNotNull(band) AND ifNull(comment, '') != '' AND customer_id != '' "
    "ORDER BY sent_at DESC, survey_id LIMIT {limit:UInt32}"
)


def run(_: argparse.Namespace) -> int:
    """Judge comments until asked to stop."""
    settings = read_settings()
    judge = _judge_of(program.load(settings.program_path).comments)
    require_topics(settings, {ANSWERS.name, COMMENTS.name})
    health = serve_metrics(settings)
    kafka_health = KafkaHealth(settings.server_wait_s)
    process = _process_of(settings, judge, kafka_health)
    health.unready = kafka_health.unready
    log.info("judging model=%s", judge.hash)
    process.run(stop_on_signal())
    return ExitCode.OK


def fit(parsed: argparse.Namespace) -> int:
    """Learn from the newest counted answers with comments, print the cross-validated accuracy and write the model."""
    settings = read_settings()
    if not FEWEST_ANSWERS <= parsed.limit <= MOST_ANSWERS:
        raise BadSettings(f"--limit must be {FEWEST_ANSWERS} to {MOST_ANSWERS}, not {parsed.limit}")
    path, shipped = Path(parsed.out), Validation()
    judge, examples = CommentJudge(), list[Example]()
    for comment, sentiment in _answers(settings, parsed.limit):
        examples.append(example(comment, sentiment))
        shipped.add(sentiment, judge.judge(comment).sentiment)
    if len(examples) < FEWEST_ANSWERS:
        raise BadSettings(
            f"{len(examples)} answers have a comment, {FEWEST_ANSWERS} are needed: the words that ship do"
        )
    with Progress(console=out, disable=not out.is_terminal) as progress:
        task = progress.add_task("learning", total=STEPS + EPOCHS)
        outcome = cross_validate(examples, partial(progress.advance, task))
        model = _learnt(examples, partial(progress.advance, task))
    found = model_file.write(path, model)
    _report(outcome, shipped)
    out.print(f'written to {cell(path)}; in the program file:\n\n[comments]\nmodel = "{cell(path)}"\n', soft_wrap=True)
    out.print(f'model_hash = "{found}"', soft_wrap=True)
    return ExitCode.OK


def _judge_of(policy: CommentPolicy) -> CommentJudge:
    """Make the judge of a program.  Raises BadSettings for a model that is not the one it names."""
    model = model_file.read(Path(policy.model), policy.model_hash) if policy.model else None
    return CommentJudge(policy.themes, model)


def _process_of(settings: Settings, judge: CommentJudge, health: KafkaHealth) -> CommentProcess:
    member = member_of(settings, "comments", health, log)
    producer = Producer(settings.brokers, client_id="nps-comments", security=settings.security)
    return CommentProcess(judge, codec_of(settings), member, producer, patience_s=settings.server_wait_s)


def _answers(settings: Settings, limit: int) -> Iterator[tuple[str, Sentiment]]:
    """Comments of counted answers, newest first, each with what its band says it was meant as."""
    with closing(warehouse_of(settings)) as warehouse:
        for comment, band in warehouse.query(_ANSWERS, {"limit": limit}):
            yield str(comment), SENTIMENT_OF_BAND[Band(str(band))]


def _learnt(examples: Sequence[Example], advance: partial[None]) -> Model:
    models = list[Model]()
    for model in learn(examples):
        models = [model]
        advance()
    return models[0]


def _report(outcome: Validation, shipped: Validation) -> None:
    """Print how often each is right, and what is taken for what."""
    table = table_of("judged by", "accuracy")
    table.add_row("what was learnt, cross-validated", f"{outcome.accuracy:.3f}")
    table.add_row("the words that ship", f"{shipped.accuracy:.3f}")
    table.add_row("always the commonest", f"{outcome.commonest:.3f}")
    show(table)
    table = table_of("meant as", "answers", *(f"judged {sentiment}" for sentiment in Sentiment))
    for meant in Sentiment:
        judged = [str(outcome.judged[meant, sentiment]) for sentiment in Sentiment]
        table.add_row(str(meant), str(outcome.meant(meant)), *judged)
    show(table)
