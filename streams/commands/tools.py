"""Commands that only read: `nps query`, `nps deadletters`, `nps config`."""

import argparse
from collections import deque
from collections.abc import Iterable
from contextlib import closing

from schemas.deadletters import Death, NotADeadLetter, unwrap
from schemas.reasons import Reason
from schemas.topics import DEAD_LETTERS
from sinks.clickhouse.client import connect
from streams import program
from streams import settings as all_settings
from streams.commands.session import cell, moment, out, read_settings, require_topics, table_of
from streams.errors import BadSettings, ExitCode
from streams.kafka.ports import KafkaRecord
from streams.kafka.reader import KafkaReader


def query(parsed: argparse.Namespace) -> int:
    """Ask ClickHouse and print a table."""
    settings = read_settings()
    with closing(
        connect(settings.clickhouse_url, ca=settings.clickhouse_ca, within_s=settings.server_wait_s)
    ) as warehouse:
        names, rows = warehouse.table(parsed.sql)
    table = table_of(*names)
    for row in rows:
        table.add_row(*map(cell, row))
    out.print(table)
    return ExitCode.OK


def deadletters(parsed: argparse.Namespace) -> int:
    """List the newest dead letters."""
    if parsed.last < 1:
        raise BadSettings("--last must be 1 or more")
    settings = read_settings()
    table = table_of("time (UTC)", "reason", "topic", "partition", "offset", "bytes", "detail")
    require_topics(settings, {DEAD_LETTERS})
    with closing(KafkaReader(settings.brokers, settings.security)) as reader:
        count, newest = _newest((record for _, record in reader.read([(DEAD_LETTERS, 0)])), parsed.last)
    for record in newest:
        death = _death(record)
        place = (death.topic, death.partition, death.offset)
        told = (moment(record.timestamp), death.reason, *place, len(record.value or b""), death.detail)
        table.add_row(*map(cell, told))
    out.print(table)
    out.print(f"{count} dead letters")
    return ExitCode.OK


def _newest(records: Iterable[KafkaRecord], at_most: int) -> tuple[int, Iterable[KafkaRecord]]:
    """Count the records, and keep the last `at_most` of them: a topic may hold more than memory does."""
    newest: deque[KafkaRecord] = deque(maxlen=at_most)
    count = 0
    for record in records:
        newest.append(record)
        count += 1
    return count, newest


def _death(record: KafkaRecord) -> Death:
    """Unwrap the death of a dead letter; a record of another program's is listed too, as unlabelled."""
    try:
        return unwrap(record.headers)[1]
    except NotADeadLetter as error:
        return Death(Reason.UNLABELLED, str(error), DEAD_LETTERS, 0, record.offset, record.timestamp)


def config(_: argparse.Namespace) -> int:
    """Show every setting and the program."""
    settings = read_settings()
    rules = program.load(settings.program_path)
    meanings = {name: meaning for name, _, meaning in all_settings.rows()}
    table = table_of("setting", "value", "meaning")
    for name, value in all_settings.shown(settings):
        table.add_row(name, value, meanings[name])
    out.print(table)
    out.print(f"program {settings.program or 'nps.toml (as shipped)'}, hash {rules.hash}, {len(rules.rules)} rules")
    return ExitCode.OK
