"""The local ClickHouse in a process of its own, asked over plain HTTP."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import urllib3
from urllib3.util import make_headers

from tests.support.commands import BOUND_S

HTTP = urllib3.PoolManager(retries=False, timeout=BOUND_S, maxsize=8)
FOR_EVER = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1"
"""A query that only ends when it is ended."""


@contextmanager
def serving(path: Path, *arguments: str, **environment: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Serve a data folder; gives the server's address and process."""
    command = [sys.executable, "-m", "sinks.chdb.server", "--path", str(path), "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | environment) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().split()[-1], server
        finally:
            server.terminate()


def fetched(
    url: str, sql: str = "", body: bytes | None = None, /, method: str = "POST", user: str = "", **fields: str
) -> tuple[int, bytes]:
    """Status and bytes of an answer; `user` is name:password."""
    query = urlencode(fields | ({"query": sql} if sql else {}))
    headers = make_headers(basic_auth=user) if user else {}
    reply = HTTP.request(method, f"{url}/?{query}", body=body, headers=headers)
    return reply.status, reply.data


def ask(url: str, sql: str = "", body: bytes | None = None, /, method: str = "POST", **fields: str) -> tuple[int, str]:
    """Status and text of an answer."""
    status, answer = fetched(url, sql, body, method, **fields)
    return status, answer.decode()


def running(url: str) -> set[str]:
    """Ids of the queries that run, but for this one."""
    return set(ask(url, "SELECT query_id FROM system.processes", query_id="observer")[1].split()) - {"observer"}
