"""`nps deadletters`: lists, shows, puts back or drops what could not be used, within a budget and bounded in memory."""

import argparse
import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from itertools import islice
from pathlib import Path

from rich.table import Table

from schemas.codec import Codec, Undecodable
from schemas.event_json import BadEvent
from schemas.events import Erasure
from schemas.ours import decode_ours
from schemas.topics import BY_NAME, DEAD_LETTERS, ERASURES, INBOUND_RECORDS, LETTER_ACTIONS, LINKS
from sinks.erasure.customers import ErasedCustomers
from sinks.rows import digest
from streams import program
from streams.clock import wall_ms
from streams.commands import corrections
from streams.commands.corrections import CorrectedLine
from streams.commands.fates import Fates
from streams.commands.letters import Letter, Selection, event_of, selected
from streams.commands.redrive import (
    ABOUT_ERASED,
    BACK_TO,
    MOST_AT_ONCE,
    ActedOn,
    Actor,
    Drop,
    Judge,
    Keep,
    PutBack,
    Verdict,
)  # fmt: skip
from streams.commands.remapping import Remapping
from streams.commands.selection import required_selection, selection_of
from streams.commands.session import (
    cell,
    codec_of,
    out,
    read_settings,
    require_topics,
    show,
    table_of,
)
from streams.commands.showing import Cells, listed, print_event, story, whole
from streams.commands.sources import mapper_of, read_links
from streams.errors import BadSettings, ExitCode
from streams.kafka.foreign import pass_over
from streams.kafka.ports import Log
from streams.kafka.producer import Producer
from streams.kafka.reader import KafkaReader
from streams.settings import Settings
from streams.sources.links import Links

MOST_LISTED = 10_000
"""The most dead letters that one list holds in memory and shows."""

SHOWN = 20
"""Letters that are shown whole unless told otherwise."""

MOST_SHOWN = 100
"""The most dead letters that are shown whole at once; as JSON lines, as many as a file of corrections may have."""


def list_letters(parsed: argparse.Namespace) -> int:
    """List the newest letters that are chosen, with what was done with each."""
    _require_count("--last", parsed.last, MOST_LISTED)
    settings, chosen = read_settings(), selection_of(parsed)
    require_topics(settings, {DEAD_LETTERS, LETTER_ACTIONS.name})
    codec = codec_of(settings, encodes=False)
    with closing(KafkaReader(settings.brokers, settings.security)) as reader:
        fates = Fates.read(reader, codec)
        letters = selected(reader, codec, chosen)
        wanted = (one for one in letters if parsed.state in (None, fates.of(one.identity)))
        count, newest = newest_of(wanted, parsed.last, fates)
    table = table_of("letter", "time (UTC)", "reason", "topic", "partition", "offset", "bytes", "state", "detail")
    for cells in newest:
        table.add_row(*map(cell, cells))
    show(table)
    out.print(f"{count} dead letters")
    return ExitCode.OK


def newest_of(letters: Iterable[Letter], at_most: int, fates: Fates) -> tuple[int, Iterable[Cells]]:
    """Count letters, and keep what a list says of the last `at_most`: the letters may be more than memory holds."""
    newest: deque[Cells] = deque(maxlen=at_most)
    count = 0
    for letter in letters:
        newest.append(listed(letter, fates))
        count += 1
    return count, newest


def show_letters(parsed: argparse.Namespace) -> int:
    """Show the chosen letters whole, with all that was done with them; or as the JSON lines that `--edited` takes."""
    is_json = parsed.format == "json"
    limit = (corrections.MOST_LINES if is_json else SHOWN) if parsed.limit is None else parsed.limit
    _require_count("--limit", limit, corrections.MOST_LINES if is_json else MOST_SHOWN)
    settings, chosen = read_settings(), required_selection(parsed)
    require_topics(settings, {DEAD_LETTERS, LETTER_ACTIONS.name})
    codec = codec_of(settings, encodes=False)
    with closing(KafkaReader(settings.brokers, settings.security)) as reader:
        fates = Fates.read(reader, codec)
        wanted = (one for one in selected(reader, codec, chosen) if parsed.state in (None, fates.of(one.identity)))
        if is_json:
            for letter in islice(wanted, limit):
                out.print(corrections.as_line(letter, codec), soft_wrap=True, highlight=False)
        else:
            shown = [(letter.identity.letter_id, whole(letter, codec)) for letter in islice(wanted, limit)]
            _print_whole(shown, story(reader, codec, {letter_id for letter_id, _ in shown}) if shown else {})
    return ExitCode.OK


def _print_whole(shown: Iterable[tuple[str, Table]], stories: Mapping[str, Iterable[str]]) -> None:
    for letter_id, table in shown:
        for line in stories[letter_id]:
            table.add_row("", cell(line))
        out.print(table)
        out.print()


def producer_of(settings: Settings) -> Log:
    """Make the producer of what is put back and of fates."""
    return Producer(settings.brokers, client_id="nps-deadletters", security=settings.security)


def redrive(parsed: argparse.Namespace, log_of: Callable[[Settings], Log] = producer_of) -> int:
    """Put the chosen letters back where they lay, and print what became of each kind."""
    _require_count("--limit", parsed.limit, MOST_AT_ONCE)
    settings, lines = read_settings(), _lines(parsed)
    chosen = Selection(first=min(lines), last=max(lines)) if lines else required_selection(parsed)
    require_topics(settings, {DEAD_LETTERS, LETTER_ACTIONS.name, ERASURES.name, *BACK_TO})
    codec, rules = codec_of(settings), program.load(settings.program_path)
    links = Links(codec, ErasedCustomers(), digest)
    mappers = [mapper_of(settings, rules, Path(file), links.customer_of) for file in parsed.mapping]
    remap = Remapping(mappers, codec, wall_ms, links)
    with closing(KafkaReader(settings.brokers, settings.security)) as reader:
        if any(mapper.mapping.has_links for mapper in mappers):
            require_topics(settings, {LINKS.name})
            read_links(reader, links)
        judge = Judge(rules, codec, erased_customers(reader, codec), digest, wall_ms(), parsed.as_history, remap)
        fates, log = Fates.read(reader, codec), None if parsed.dry_run else log_of(settings)
        if lines:
            corrected, verdicts = _corrected(selected(reader, codec, chosen), lines, codec, judge)
            figures = _act(log, parsed, codec, corrected, fates, lambda letter: verdicts[letter.offset])
        else:
            told = _telling(judge, codec) if parsed.dry_run else judge
            figures = _act(log, parsed, codec, selected(reader, codec, chosen), fates, told)
    _print_figures(figures, "put back", parsed.dry_run)
    if figures.missed:
        out.print(
            f"{figures.missed} of them ask for a survey that is too late by its rule's send_within, and are missed; "
            "--as-history asks all the same",
            soft_wrap=True,
        )
    return ExitCode.OK


def drop(parsed: argparse.Namespace) -> int:
    """Give the chosen letters up: they stay where they lie, and are put back no more."""
    _require_count("--limit", parsed.limit, MOST_AT_ONCE)
    settings, chosen = read_settings(), required_selection(parsed)
    require_topics(settings, {DEAD_LETTERS, LETTER_ACTIONS.name})
    codec = codec_of(settings)
    with closing(KafkaReader(settings.brokers, settings.security)) as reader:
        fates, log = Fates.read(reader, codec), None if parsed.dry_run else producer_of(settings)
        figures = _act(log, parsed, codec, selected(reader, codec, chosen), fates, lambda _: Drop())
    _print_figures(figures, "dropped", parsed.dry_run)
    return ExitCode.OK


def erased_customers(reader: KafkaReader, codec: Codec) -> ErasedCustomers:
    """Read until when which customers are erased, as far back as nps.erasures reaches.  Raises BrokerAway."""
    erased, topic = ErasedCustomers(), ERASURES.name
    for (_, partition), record in reader.read(reader.partitions_of(topic)):
        try:
            erasure = decode_ours(codec, Erasure, record.key, record.value)
        except Undecodable as error:
            pass_over(topic, partition, record.offset, error)
            continue
        erased.learn(digest(erasure.customer_id), max(erasure.erased_ms, erasure.received_ms))
    return erased


def _act(
    log: Log | None, parsed: argparse.Namespace, codec: Codec, letters: Iterable[Letter], fates: Fates,
    judge: Callable[[Letter], Verdict],
) -> ActedOn:  # fmt: skip
    """Act on the letters, without a log only count.  Raises Undelivered, BrokerAway, RegistryAway."""
    return asyncio.run(Actor(log, codec, wall_ms, parsed.limit).act(letters, fates, judge))


def _telling(judge: Judge, codec: Codec) -> Callable[[Letter], Verdict]:
    """Judge, and print the events that a foreign letter becomes, field by field."""

    def told(letter: Letter) -> Verdict:
        verdict = judge(letter)
        if isinstance(verdict, PutBack) and letter.death.topic not in BY_NAME:
            out.print(f"letter {letter.offset}:")
            for output in verdict.outputs:
                if output.topic == LINKS.name:
                    continue
                print_event(output.topic, codec.decode(INBOUND_RECORDS[output.topic], output.value))
        return verdict

    return told


def _print_figures(figures: ActedOn, done: str, is_dry_run: bool) -> None:
    table = table_of("topic", "reason", "what", "letters")
    for (topic, reason, what), count in sorted(figures.letters.items()):
        table.add_row(*map(cell, (topic, reason, what, count)))
    show(table)
    told = f"{figures.acted} letters {'would be ' if is_dry_run else ''}{done}"
    out.print(
        f"{told}{'; nothing was written' if is_dry_run else ''}{'; more wait: --limit' if figures.is_cut else ''}"
    )


def _lines(parsed: argparse.Namespace) -> Mapping[int, CorrectedLine]:
    """Read the file of corrections, if one is named.  Raises BadEvent, BadSettings."""
    if not parsed.edited:
        return {}
    if not selection_of(parsed).is_everything:
        raise BadSettings("--edited names its letters itself: leave the other options out")
    try:
        with open(parsed.edited, encoding="utf-8-sig", errors="surrogateescape") as file:
            lines = corrections.read(file, parsed.edited)
    except OSError as error:
        raise BadEvent(f"{parsed.edited}: cannot be read ({error.strerror})") from None
    if not lines:
        raise BadEvent(f"{parsed.edited}: has no line")
    return lines


def _corrected(
    letters: Iterator[Letter], lines: Mapping[int, CorrectedLine], codec: Codec, judge: Judge
) -> tuple[list[Letter], Mapping[int, Verdict]]:
    """Correct the letters that the lines name, all before any is sent, and judge them.  Raises BadEvent."""
    corrected: list[Letter] = []
    verdicts: dict[int, Verdict] = {}
    for letter in letters:
        if (line := lines.get(letter.offset)) is None:
            continue
        corrected.append(corrections.corrected(letter, line, codec))
        was_erased = judge.is_erased(letter, event_of(letter, codec))
        verdicts[letter.offset] = Keep(ABOUT_ERASED) if was_erased else judge(corrected[-1])
    if missing := sorted(lines.keys() - verdicts.keys()):
        raise BadEvent(f"{lines[missing[0]].place}: there is no letter {missing[0]} any more, or none yet")
    return corrected, verdicts


def _require_count(option: str, count: int, at_most: int) -> None:
    if not 1 <= count <= at_most:
        raise BadSettings(f"{option} must be 1 to {at_most}")
