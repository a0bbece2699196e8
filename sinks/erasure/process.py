"""Erasure of customers from the warehouse: it ends with no row that names the customer, and none comes back.

    recorded     the erasure's row is written before any other of its batch; from then on this loader empties rows of
                 that customer before it writes them, also when they are read again from the first offset
    emptied      the warehouse empties the rows that are there, in the background: within seconds
    done         SETTLE_MS later nothing names the customer, or it is emptied once more; the row says when

So a customer is gone within 60 s of the erasure's being read, unless emptying itself takes longer.  Another loader
looks for new erasures before it writes, LOOK_MS apart; what it writes in between is why emptying is checked after
SETTLE_MS.  A loader that dies leaves its erasures to the one that takes over its partitions.

Erased customers are remembered in 16 bytes each.  Of the erasures under way at most MOST_AT_ONCE are held; the others
are found undone in the warehouse once there is room.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from schemas.topics import ERASURES
from sinks import metrics
from sinks.erasure.customers import ErasedCustomers
from sinks.erasure.redaction import redacted
from sinks.rows import TABLES
from sinks.warehouse import Row, Warehouse

LOOK_MS = 5_000
SETTLE_MS = 30_000
STEP_MS = 1_000
CUSTOMERS_AT_ONCE = 1_000
MOST_AT_ONCE = 20_000
PAGE_CUSTOMERS = 100_000
OVERLAP_MS = 600_000
"""Overlap of a look with the one before it, since clocks differ."""

_TABLE = TABLES[ERASURES.name]
_ID, _CUSTOMER, _ERASED, _RECEIVED, _DONE, _EMPTIED_ROWS, _LOADED = map(
    _TABLE.columns.index,
    ("erasure_id", "customer_sha256", "erased_at", "received_at", "done_at", "emptied_rows", "loaded_at"),
)

log = logging.getLogger("nps.erasing")


class Erasures(Protocol):
    """Port to the rows of erased customers; `until_ms` is the instant until which each is erased, keyed by digest."""

    def recorded(self, since_ms: int) -> list[Row]:
        """Return the rows of `erasures` written since `since_ms`, instants in milliseconds.  Raises WarehouseError."""

    def undone(self, at_most: int) -> list[Row]:
        """Return rows of `erasures` that are not done, oldest first.  Raises WarehouseError."""

    def done(self, ids: Sequence[str]) -> set[str]:
        """Return which of these erasures are done.  Raises WarehouseError."""

    def erased(self, after: str, at_most: int) -> list[tuple[str, int]]:
        """Return erased customers by digest, in order, beyond `after`, and until when.  Raises WarehouseError."""

    def count_rows(self, until_ms: Mapping[str, int]) -> Counter[str]:
        """Count the rows that name each of these customers.  Raises WarehouseError."""

    def empty(self, until_ms: Mapping[str, int]) -> None:
        """Begin to empty those rows; doing it again does no harm.  Raises WarehouseError."""

    def is_emptying(self) -> bool:
        """Return True while an emptying that was begun is not finished.  Raises WarehouseError."""


@dataclass(slots=True)
class Removal:
    """Erasures under way: their rows, the time of the next check, and the count of rows that named each customer."""

    rows: list[Row]
    check_ms: int
    named: Counter[str] = field(default_factory=Counter)


class ErasureProcess:
    """Erasures that one loader knows of, and those that it brings to their end.  `now_ms` is the wall clock."""

    def __init__(
        self,
        erasures: Erasures,
        warehouse: Warehouse,
        now_ms: Callable[[], int],
        settle_ms: int = SETTLE_MS,
        most_at_once: int = MOST_AT_ONCE,
    ) -> None:
        self._most_at_once = most_at_once
        self._erasures, self._warehouse, self._now_ms, self._settle_ms = erasures, warehouse, now_ms, settle_ms
        self._erased = ErasedCustomers()
        self._under_way: set[str] = set()
        self._is_behind = False
        self._unstarted: list[Row] = []
        self._removals: list[Removal] = []
        self._looked_ms = -1
        self._next_step_ms = 0

    def take_over(self) -> None:
        """Look for undone erasures of other loaders at the next `look`, since partitions came."""
        self._looked_ms = -1

    def look(self) -> None:
        """Read the erasures that other loaders recorded, at most once in LOOK_MS.  Raises WarehouseError."""
        now_ms, taking_over = self._now_ms(), self._looked_ms < 0
        if not taking_over and now_ms - self._looked_ms < LOOK_MS:
            return
        if taking_over:
            self._erased = self._all_erased()
            self._begin_undone()
        else:
            self.learn(self._erasures.recorded(self._looked_ms - OVERLAP_MS))
        self._looked_ms = now_ms

    def take(self, rows: Sequence[Row]) -> None:
        """Begin the erasures of these rows, which were just written.  Raises WarehouseError."""
        self.learn(rows)
        ids = [str(row[_ID]) for row in rows]
        done = {found for at in range(0, len(ids), CUSTOMERS_AT_ONCE) for found in self._done(ids, at)}
        self._begin(row for row in rows if row[_ID] not in done)

    def emptied(self, table: str, rows: Sequence[Row]) -> Sequence[Row]:
        """Return the rows as they may be written: emptied where their customer is erased."""
        return redacted(table, rows, self._erased)

    def advance(self) -> None:
        """Bring erasures further, at most once in STEP_MS, longer after an error.  Raises WarehouseError."""
        now_ms = self._now_ms()
        if now_ms < self._next_step_ms:
            return
        self._next_step_ms = now_ms + LOOK_MS
        self.look()
        if self._is_behind and len(self._under_way) < self._most_at_once // 2:
            self._begin_undone()
        while self._unstarted:
            self._start(self._unstarted[:CUSTOMERS_AT_ONCE], now_ms)
            del self._unstarted[:CUSTOMERS_AT_ONCE]
        for removal in [removal for removal in self._removals if removal.check_ms <= now_ms]:
            self._check(removal, now_ms)
        metrics.ERASURES_WAITING.set(sum(len(removal.rows) for removal in self._removals))
        self._next_step_ms = now_ms + STEP_MS

    def learn(self, rows: Iterable[Row]) -> None:
        """Empty the rows of these customers from now on, without beginning their erasures."""
        for customer, until_ms in _erased_until_ms(rows).items():
            self._erased.learn(customer, until_ms)

    def _all_erased(self) -> ErasedCustomers:
        erased, after = ErasedCustomers(), ""
        while page := self._erasures.erased(after, PAGE_CUSTOMERS):
            for after, until_ms in page:
                erased.learn(after, until_ms)
        return erased

    def _done(self, ids: Sequence[str], at: int) -> set[str]:
        return self._erasures.done(ids[at : at + CUSTOMERS_AT_ONCE])

    def _begin_undone(self) -> None:
        rows = self._erasures.undone(self._most_at_once)
        self._is_behind = len(rows) == self._most_at_once
        self._begin(rows)

    def _begin(self, rows: Iterable[Row]) -> None:
        for row in rows:
            if row[_ID] in self._under_way:
                continue
            if len(self._under_way) >= self._most_at_once:
                self._is_behind = True
                return
            self._under_way.add(str(row[_ID]))
            self._unstarted.append(row)

    def _start(self, rows: list[Row], now_ms: int) -> None:
        removal = Removal(rows, now_ms + self._settle_ms)
        self._empty(removal, self._erasures.count_rows(_erased_until_ms(rows)))
        self._removals.append(removal)

    def _check(self, removal: Removal, now_ms: int) -> None:
        if self._erasures.is_emptying():
            return
        if remaining := self._erasures.count_rows(_erased_until_ms(removal.rows)):
            self._empty(removal, remaining)
            removal.check_ms = now_ms + self._settle_ms
            return
        rows = [_finished(row, removal.named[str(row[_CUSTOMER])], now_ms) for row in removal.rows]
        self._warehouse.insert(_TABLE.name, _TABLE.columns, rows)
        self._removals.remove(removal)
        self._under_way.difference_update(str(row[_ID]) for row in removal.rows)
        for row in removal.rows:
            metrics.ERASURE_SECONDS.observe(max(0, now_ms - _int(row[_LOADED])) / 1_000)
        log.info("erased customers=%d rows=%d", len(rows), removal.named.total())

    def _empty(self, removal: Removal, named: Counter[str]) -> None:
        if named:
            self._erasures.empty(_erased_until_ms(removal.rows))
            removal.named += named


def _erased_until_ms(rows: Iterable[Row]) -> dict[str, int]:
    """Instant until which each customer is erased, by digest: of the event or of its arrival, whichever is later."""
    until_ms: dict[str, int] = {}
    for row in rows:
        customer, row_until_ms = str(row[_CUSTOMER]), max(_int(row[_ERASED]), _int(row[_RECEIVED]))
        until_ms[customer] = max(row_until_ms, until_ms.get(customer, row_until_ms))
    return until_ms


def _finished(row: Row, emptied_rows: int, now_ms: int) -> Row:
    changed = {_DONE: now_ms, _EMPTIED_ROWS: emptied_rows, _LOADED: now_ms}
    return tuple(changed.get(at, value) for at, value in enumerate(row))


def _int(value: object) -> int:
    return int(str(value))
