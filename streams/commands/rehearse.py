"""`nps rehearse`: replays the history in Kafka through another program file and prints what would have differed."""

import argparse
import asyncio
from contextlib import closing
from pathlib import Path

from rich.progress import Progress

from schemas.topics import DECISIONS
from streams import program
from streams.clock import wall_ms
from streams.commands.session import codec_of, instant_ms, out, read_settings, show, table_of
from streams.domain.policy import Program
from streams.errors import BadSettings, ExitCode
from streams.kafka.admin import check_topics, wait_for_broker
from streams.kafka.reader import KafkaReader, side_by_side
from streams.local.stack import TRY_PROGRAM
from streams.processing.replay import TOPICS
from streams.proof.rehearse import Comparison, newest_program, rehearse
from streams.settings import Settings


def run(parsed: argparse.Namespace) -> int:
    """Replay the history through the program in force and another one, and print the difference.  Sends nothing."""
    settings = read_settings()
    rehearsed = program.load(Path(parsed.program))
    from_ms = instant_ms("--from", parsed.since) if parsed.since else 0
    partitions = partitions_of(settings)
    progress_bar = Progress(console=out, disable=not out.is_terminal, transient=True)
    codec, now_ms = codec_of(settings, encodes=False), wall_ms()
    with closing(KafkaReader(settings.brokers, settings.security)) as reader:
        programs = in_force_program(settings, newest_program(reader, partitions, codec)), rehearsed
    with side_by_side(settings.brokers, settings.security, TOPICS) as readers, progress_bar as progress:
        task = progress.add_task("replaying partitions", total=partitions)
        comparison = rehearse(readers, partitions, codec, programs, from_ms, now_ms, lambda: progress.advance(task))
    _print(comparison, *(rules.hash for rules in programs))
    return ExitCode.OK


def partitions_of(settings: Settings) -> int:
    """Ask Kafka how many partitions the topics have.  Raises BrokerAway, BadTopics."""
    counts = asyncio.run(wait_for_broker(settings.brokers, settings.security, settings.server_wait_s * 1000))
    check_topics([*TOPICS, DECISIONS.name], counts)
    return counts[DECISIONS.name]


def in_force_program(settings: Settings, newest: str | None) -> Program:
    """Load the program that made the newest decisions; where there are none, the one of the settings.

    It is the one of the settings or one of those that ship.  Raises BadSettings where it is neither, BadProgram.
    """
    chosen = program.load(settings.program_path)
    known = [chosen, program.load(), program.load(TRY_PROGRAM)]
    found = next((rules for rules in known if newest in (None, rules.hash)), None)
    if found is None:
        raise BadSettings(
            f"the newest decisions were made by program {newest}, but NPS_PROGRAM is {chosen.hash}: "
            "set NPS_PROGRAM to the file that the workers run with"
        )
    return found


def _print(comparison: Comparison, before: str, after: str) -> None:
    table = table_of("", f"in force ({before})", f"rehearsed ({after})", "change")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, was, becomes in comparison.rows():
        table.add_row(name, str(was), str(becomes), f"{becomes - was:+d}" if becomes != was else "")
    show(table)
    out.print(
        f"{comparison.events} events replayed, nothing sent: {comparison.changed} decisions would differ, "
        f"of {comparison.affected} customers"
    )
