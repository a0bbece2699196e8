"""Close of pending decisions whose surveys nobody remembers any more, as after the local broker was started anew."""

from schemas.reasons import Reason
from sinks.clickhouse.client import ClickHouse

_PENDING = "FROM decisions FINAL WHERE outcome = 'pending'"


def close_forgotten(database: ClickHouse, version: int) -> int:
    """Suppress every pending decision as `forgotten`, under `version`, and return how many there were.

    The version must be above those of all decisions so far and below those to come.  Raises WarehouseError.
    """
    count = int(str(database.query(f"SELECT count() {_PENDING}")[0][0]))
    if count:
        closed = (
            "'suppressed' AS outcome, {reason:String} AS reason, now64(3) AS decided_at, {version:UInt64} AS version"
        )
        parameters = {"reason": Reason.FORGOTTEN.value, "version": version}
        database.command(f"INSERT INTO decisions SELECT * REPLACE ({closed}) FROM (SELECT * {_PENDING})", parameters)
    return count
