"""Queries that run, by the ids that clients gave them.

chDB makes an id of its own for each query and takes none, so ours stands in the query's `log_comment`.  A statement
that reads system.processes or kills queries is changed to find it there.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from sinks.chdb.request import ADMINISTRATOR, EngineError
from sinks.chdb.sqltext import first_words, replaced_table, replaced_words
from sinks.quoting import quoted_text

_OWN_ID = "if(Settings['log_comment'] = '', query_id, Settings['log_comment'])"
_PROCESSES = f"(SELECT * REPLACE ({_OWN_ID} AS query_id, {_OWN_ID} AS initial_query_id) FROM system.processes)"
_KILL = re.compile(
    r"KILL QUERY WHERE (?P<condition>.*) (?P<rest>(?:SYNC|ASYNC|TEST)(?: FORMAT \w+)?(?: SETTINGS .*)?)\Z", re.DOTALL
)


class RunningQueries:
    """Ids of the queries that run, each with its user.  Threads may register at the same time."""

    def __init__(self) -> None:
        self._users: dict[str, str] = {}
        self._lock = Lock()

    @contextmanager
    def registered(self, query_id: str, user: str) -> Iterator[None]:
        """Keep an id while its query runs.  Raises EngineError for one that runs already."""
        with self._lock:
            if query_id in self._users:
                raise EngineError.of(
                    216, "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING", f"Query with id = {query_id} is already running"
                )
            self._users[query_id] = user
        try:
            yield
        finally:
            with self._lock:
                del self._users[query_id]

    def kill_statement(self, formatted: str, user: str) -> str:
        """Write KILL QUERY, formatted in one line, for the engine: by our ids, and of a user's own queries alone."""
        found = _KILL.match(formatted)
        if not found:
            return formatted
        condition = replaced_words(found["condition"], "query_id", _OWN_ID)
        if user != ADMINISTRATOR:
            condition = f"({condition}) AND Settings['log_comment'] IN ({self._of(user)})"
        return f"KILL QUERY WHERE {condition} {found['rest']}"

    def _of(self, user: str) -> str:
        with self._lock:
            return ", ".join(quoted_text(query_id) for query_id, owner in self._users.items() if owner == user) or "''"


def kills_queries(sql: bytes) -> bool:
    """True for KILL QUERY."""
    return first_words(sql) == (b"KILL", b"QUERY")


def with_own_ids(sql: str) -> str:
    """Change a query of system.processes, so that `query_id` is what the client gave."""
    return replaced_table(sql, "system", "processes", _PROCESSES) if "processes" in sql else sql


def kill(handle: Any, query_id: str) -> None:
    """End the query that has this id, if it runs; it sees that some milliseconds later."""
    handle.query(f"KILL QUERY WHERE Settings['log_comment'] = {quoted_text(query_id)} ASYNC")
