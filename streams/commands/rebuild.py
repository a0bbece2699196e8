"""`nps rebuild`: everything decided anew from Kafka into tables beside those in force, compared, adopted, dropped."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from rich.progress import Progress

from schemas.events import PaneTally, Record
from schemas.topics import ALERTS, ANSWERS, DECISIONS, DISPATCHES, ERASURES, PANES, pane_key
from sinks.clickhouse.client import ClickHouse, connect
from sinks.clickhouse.erasures import ClickHouseErasures
from sinks.clickhouse.layout import Layout
from sinks.clickhouse.rebuilt import ADOPTED, ADOPTING, ALL, COMPLETE, SUFFIX, RebuiltTables, Span, TableCount
from sinks.erasure.process import ErasureProcess
from sinks.rows import TABLES, row_of
from sinks.warehouse import Row
from sinks.writing import RefusalFuse, write
from streams import program
from streams.clock import wall_ms
from streams.commands.rehearse import in_force_program, partitions_of
from streams.commands.session import codec_of, moment, out, read_settings, show, table_of
from streams.errors import BadSettings, ExitCode
from streams.kafka.reader import KafkaReader, side_by_side
from streams.processing.outputs import PUBLISHED_ON
from streams.processing.partition import EPOCH_SHIFT
from streams.processing.replay import TOPICS, ReplayTerms, inputs_of, replay
from streams.proof.rebuild import applied, deleted, erasures, exact_from_ms
from streams.proof.rehearse import newest_program
from streams.settings import Settings

ROWS_AT_ONCE = 20_000
"""Rows that are held before they are written."""

STATEMENT_S = 6 * 3_600
"""Longest time in seconds of one statement: whole tables are compared and copied."""

MOST_SHOWN = 20
"""Differences that are printed of each table."""

MOST_REFUSED = 1_000
ORIGIN = "rebuild"
"""Name that stands for a topic in the rows of a rebuild, which lie in none; their offset is that of their cause."""


def run(parsed: argparse.Namespace) -> int:
    """Rebuild and compare, or adopt or drop what was rebuilt; returns 1 when something differs.  Sends nothing."""
    settings = read_settings()
    with closing(_connected(settings)) as in_force, closing(_connected(settings, SUFFIX)) as beside:
        if parsed.drop:
            return _drop(RebuiltTables(in_force, beside, Layout(cluster=settings.clickhouse_cluster)))
        if parsed.adopt:
            return adopt(RebuiltTables(in_force, beside, Layout(cluster=settings.clickhouse_cluster)), beside.database)
        return _rebuild(settings, in_force, beside, Path(parsed.program) if parsed.program else None)


def _connected(settings: Settings, suffix: str = "") -> ClickHouse:
    ca, wait_s = settings.clickhouse_ca, settings.server_wait_s
    return connect(settings.clickhouse_url, ca=ca, within_s=wait_s, timeout_s=STATEMENT_S, suffix=suffix)


def _drop(tables: RebuiltTables) -> int:
    state, _ = tables.state()
    if state == ADOPTING:
        raise BadSettings("an adoption was stopped on its way: finish it with `nps rebuild --adopt` first")
    tables.drop()
    what = {"": "there is no rebuild", ADOPTED: "dropped the tables that were in force before the adoption"}
    out.print(what.get(state, "dropped the rebuild"))
    return ExitCode.OK


def adopt(tables: RebuiltTables, database: str) -> int:
    """Put a complete rebuild in force.  Raises BadSettings for another, or one by a program that decides no more."""
    state, span = tables.state()
    if state == ADOPTED:
        out.print("adopted already")
        return ExitCode.OK
    if span is None or state not in (COMPLETE, ADOPTING):
        raise BadSettings("there is no finished rebuild to adopt: run `nps rebuild` first")
    if not span.adoptable:
        raise BadSettings(
            f"it was rebuilt by program {span.program}, but others decide now: their next rows would mix with it; "
            "run the workers with that program, then `nps rebuild` again"
        )
    tables.adopt(span)
    out.print(
        f"adopted: {', '.join(ALL)}; those that were in force lie in {database} until `nps rebuild --drop`",
        soft_wrap=True,
    )
    return ExitCode.OK


class _Extent(NamedTuple):
    """Extent of a rebuild: its terms, where each partition's inputs end, and who has been erased."""

    terms: ReplayTerms
    span: Span
    inbound: list[Sequence[int]]
    erased: list[Row]


def _rebuild(settings: Settings, in_force: ClickHouse, beside: ClickHouse, file: Path | None) -> int:
    extent = _extent(settings, file)
    rules = extent.terms.program
    layout = Layout(rules.dimensions, rules.combinations, settings.clickhouse_cluster)
    tables = RebuiltTables(in_force, beside, layout)
    erasure = ErasureProcess(ClickHouseErasures(in_force), in_force, wall_ms)
    erasure.learn(extent.erased)
    if tables.state()[0] in (ADOPTING, ADOPTED):
        raise BadSettings(f"{beside.database} holds what an adoption left there: `nps rebuild --drop` removes it")
    with made(tables, extent.span):
        writer = _RowWriter(tables, erasure, extent.span)
        with side_by_side(settings.brokers, settings.security, TOPICS) as readers:
            _fill(extent, readers, writer)
        counted = tables.compare(extent.span)
    return _tell(tables, extent.span, counted, writer, beside.database)


def _extent(settings: Settings, file: Path | None) -> _Extent:
    """Find out what is to be rebuilt.  Raises BrokerAway, BadTopics, BadProgram, BadSettings."""
    partitions, codec, now_ms = partitions_of(settings), codec_of(settings, encodes=False), wall_ms()
    epoch = settings.topic_epoch
    with closing(KafkaReader(settings.brokers, settings.security)) as reader:
        newest = newest_program(reader, partitions, codec)
        rules = program.load(file) if file else in_force_program(settings, newest)
        recorded = newest in (None, rules.hash)
        ends = _output_ends(reader)  # before the inputs' ends: what lies there came of these
        inbound = [applied(reader, number, epoch) for number in range(partitions)]
        deletions = deleted(reader, partitions)
        for topic, first_ms in deletions:
            out.print(f"{topic} begins at {moment(first_ms)}: Kafka has deleted what was before", soft_wrap=True)
        span = Span(exact_from_ms(deletions, rules), ends, epoch, rules.hash, recorded)
        found = erasures(reader, partitions, codec, rules, now_ms)
        erased = [row_of(TABLES[ERASURES.name], one, ("", 0, 0, 0)) for one in found]
    return _Extent(ReplayTerms(rules, codec, partitions, now_ms, recorded, epoch), span, inbound, erased)


def _fill(extent: _Extent, readers: Mapping[str, KafkaReader], writer: "_RowWriter") -> None:
    """Decide every partition anew, and write what comes of it."""
    total = sum(map(sum, extent.inbound))
    with Progress(console=out, disable=not out.is_terminal, transient=True) as bar:
        task = bar.add_task("deciding anew", total=total if total > 0 else None)
        for number, ends in enumerate(extent.inbound):
            for batch in replay(extent.terms, number, inputs_of(readers, number, ends)):
                for published in batch.publications:
                    writer.take(PUBLISHED_ON[type(published)], published, number)
                for pane in batch.panes:
                    writer.take_pane(pane, number)
                writer.events += batch.events
                bar.advance(task, batch.records)
    writer.flush()


def _output_ends(reader: KafkaReader) -> dict[str, list[int]]:
    """The offset behind the last record of each partition of the output topics that are rebuilt."""
    ends: dict[str, list[int]] = {}
    for topic in (DECISIONS, DISPATCHES, ANSWERS, ALERTS, ERASURES, PANES):
        places = reader.partitions_of(topic.name)
        ends[topic.name] = [0] * len(places)
        for (_, number), record in reader.tail(places, 1):
            ends[topic.name][number] = max(ends[topic.name][number], record.offset + 1)
    return ends


@contextmanager
def made(tables: RebuiltTables, span: Span) -> Iterator[None]:
    """Make the tables, and drop them again should anything end the rebuild before it is complete, Ctrl-C too."""
    try:
        tables.create(span)
        yield
    except BaseException:
        tables.drop()
        raise


class _RowWriter:
    """Rows of a rebuild, written many at once, without those from before it is exact and without erased customers."""

    def __init__(self, tables: RebuiltTables, erasure: ErasureProcess, span: Span) -> None:
        self.events = self.refused = 0
        self._tables, self._erasure, self._span = tables, erasure, span
        self._rows: dict[str, list[Row]] = {topic: [] for topic in PUBLISHED_ON.values()}
        self._panes: dict[bytes, Row] = {}
        self._held, self._fuse, self._loaded_ms = 0, RefusalFuse(MOST_REFUSED), wall_ms()

    def take(self, topic: str, record: Record, partition: int) -> None:
        """Take a publication."""
        self._rows[topic].append(self._row(topic, record, partition))
        self._held += 1
        if self._held >= ROWS_AT_ONCE:
            self.flush()

    def take_pane(self, pane: PaneTally, partition: int) -> None:
        """Take a pane, in place of an earlier tally of it."""
        self._panes[pane_key(pane)] = self._row(PANES.name, pane, partition)
        self._held += 1
        if self._held >= ROWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        self._erasure.look()
        for topic, rows in {**self._rows, PANES.name: list(self._panes.values())}.items():
            table = TABLES[topic]
            instant = table.columns.index(ALL[table.name])
            exact_ms = self._span.exact_ms if topic != ERASURES.name else 0
            exact = [row for row in rows if int(str(row[instant])) >= exact_ms]
            if exact:
                emptied = self._erasure.emptied(table.name, exact)
                self.refused += len(write(self._tables, table.name, table.columns, emptied, self._fuse))
        for rows in self._rows.values():
            rows.clear()
        self._panes.clear()
        self._held = 0

    def _row(self, topic: str, record: Record, partition: int) -> Row:
        offset = int(getattr(record, "version", 0)) & ((1 << EPOCH_SHIFT) - 1)
        return row_of(TABLES[topic], record, (ORIGIN, partition, offset, self._loaded_ms))


def _tell(tables: RebuiltTables, span: Span, counted: list[TableCount], writer: _RowWriter, database: str) -> int:
    """Print what was compared and what differs; returns the exit code."""
    summary = table_of("table", "in force", "rebuilt", "not compared", "differing")
    for column in summary.columns[1:]:
        column.justify = "right"
    for one in counted:
        summary.add_row(*map(str, one))
    show(summary)
    _tell_differences(tables, counted)
    if span.exact_ms:
        out.print(f"exact from {moment(span.exact_ms)} UTC on; what is older was neither rebuilt nor compared")
    if writer.refused:
        out.print(f"{writer.refused} rows were refused by ClickHouse and left out")
    differing = sum(one.differing for one in counted)
    verdict = f"{differing} differences" if differing else "they agree"
    out.print(f"{writer.events} events decided anew by program {span.program}, nothing sent: {verdict}")
    if differing:
        out.print(f'all of them: nps query "SELECT * FROM {database}.differences"')
    return ExitCode.UNEXPECTED if differing else ExitCode.OK


def _tell_differences(tables: RebuiltTables, counted: list[TableCount]) -> None:
    days = tables.differing_days(MOST_SHOWN)
    if days:
        shown = table_of("segment", "day", "in force (promoters/passives/detractors)", "rebuilt")
        for row in days:
            shown.add_row(*map(str, row))
        show(shown)
    for one in counted:
        if one.differing and one.table != "panes":
            shown = table_of("day", one.table, "in force", "rebuilt")
            for row in tables.differing_rows(one.table, MOST_SHOWN):
                shown.add_row(*map(str, row))
            show(shown)
