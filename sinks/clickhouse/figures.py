"""The figures that a proof compares: totals, the ledger, segments and windows, as ClickHouse has them."""

from collections.abc import Mapping
from typing import TypeAlias

from sinks.clickhouse.client import ClickHouse
from sinks.warehouse import Row

_ALWAYS = "(since = '1970-01-01', until = '2100-01-01')"

FigureRow: TypeAlias = tuple[object, ...]
"""Promoters, passives, detractors and NPS; of a window with its end in milliseconds before them."""


class ClickHouseFigures:
    """Figures of one database.  Each method asks once; raises WarehouseError."""

    def __init__(self, database: ClickHouse) -> None:
        self._database = database

    def counted_answers(self) -> object:
        """Number of answers that count."""
        return self._figure("SELECT count() FROM answers FINAL WHERE counted")

    def audit_findings(self) -> object:
        """Number of panes that differ from a recount of the answers."""
        return self._figure(f"SELECT count() FROM audit_between{_ALWAYS}")

    def ledger_findings(self) -> object:
        """Number of records that contradict each other."""
        return self._figure(f"SELECT count() FROM ledger_audit_between{_ALWAYS}")

    def ledger(self) -> Row:
        """Triggers, sent, suppressed, pending and answered."""
        sums = "sum(triggers), sum(sent), sum(suppressed), sum(pending)"
        (row,) = self._database.query(f"SELECT {sums}, (SELECT sum(answered) FROM response_rate) FROM ledger")
        return row

    def invitations(self) -> object:
        """Number of surveys sent, without reminders."""
        return self._figure("SELECT count() FROM dispatches FINAL WHERE reminder = 0")

    def suppressed(self) -> Mapping[str, object]:
        """Suppressed triggers by reason."""
        return self._by_word("SELECT reason, sum(triggers) FROM suppressed_by_reason GROUP BY reason")

    def dead_letters(self) -> Mapping[str, object]:
        """Dead letters by reason."""
        return self._by_word("SELECT reason, count() FROM dead_letters FINAL GROUP BY reason ORDER BY reason")

    def open_alerts(self) -> object:
        """Number of detractors whose newest alert is open."""
        newest = "SELECT argMax(status, version) AS status FROM alerts FINAL GROUP BY dedup_key"
        return self._figure(f"SELECT countIf(status = 'open') FROM ({newest})")

    def segments(self) -> Mapping[str, FigureRow]:
        """Counts and NPS of each segment, of all answers ever."""
        rows = self._database.query("SELECT segment, promoters, passives, detractors, nps FROM nps_by_segment")
        return {str(row[0]): row[1:] for row in rows}

    def windows(self) -> Mapping[tuple[str, str], FigureRow]:
        """End in milliseconds, counts and NPS of each segment and window, as last published."""
        columns = "segment, window, toUnixTimestamp64Milli(window_end), promoters, passives, detractors, nps"
        rows = self._database.query(f"SELECT {columns} FROM nps_current")
        return {(str(row[0]), str(row[1])): row[2:] for row in rows}

    def _figure(self, sql: str) -> object:
        return self._database.query(sql)[0][0]

    def _by_word(self, sql: str) -> dict[str, object]:
        return {str(row[0]): row[1] for row in self._database.query(sql)}
