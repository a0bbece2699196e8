"""`nps rehearse`: replays the history in Kafka through another program file and prints what would have differed."""

import argparse
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from rich.progress import Progress

from streams import program
from streams.clock import wall_ms
from streams.commands.session import codec_of, out, read_settings, require_topics, table_of
from streams.errors import BadSettings, ExitCode
from streams.kafka.reader import KafkaReader
from streams.proof.rehearse import TOPICS, Comparison, rehearse


def run(parsed: argparse.Namespace) -> int:
    """Replay the history through the program in force and another one, and print the difference.  Sends nothing."""
    settings = read_settings()
    programs = program.load(settings.program_path), program.load(Path(parsed.program))
    from_ms = _instant_ms(parsed.since) if parsed.since else 0
    require_topics(settings, set(TOPICS))
    progress_bar = Progress(console=out, disable=not out.is_terminal, transient=True)
    codec, now_ms = codec_of(settings, encodes=False), wall_ms()
    with closing(KafkaReader(settings.brokers, settings.security)) as reader, progress_bar as progress:
        task = progress.add_task("replaying partitions", total=settings.partitions)
        comparison = rehearse(
            reader, settings.partitions, codec, programs, from_ms, now_ms, lambda: progress.advance(task)
        )
    _print(comparison, *(rules.hash for rules in programs))
    return ExitCode.OK


def _print(comparison: Comparison, before: str, after: str) -> None:
    table = table_of("", f"in force ({before})", f"rehearsed ({after})", "change")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, was, becomes in comparison.rows():
        table.add_row(name, str(was), str(becomes), f"{becomes - was:+d}" if becomes != was else "")
    out.print(table)
    out.print(
        f"{comparison.events} events replayed, nothing sent: {comparison.changed} decisions would differ, "
        f"of {comparison.affected} customers"
    )


def _instant_ms(text: str) -> int:
    """Parse a date or time into milliseconds; UTC where it names no zone.  Raises BadSettings."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadSettings(f"--from {text!r} is no time: write 2026-01-31 or 2026-01-31T09:00+01:00") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
