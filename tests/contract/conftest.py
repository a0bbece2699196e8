"""One ClickHouse for all contract tests, an empty database for each."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from sinks.clickhouse.client import ClickHouse, connect
from sinks.clickhouse.migrate import migrate
from sinks.rows import TABLES
from streams.local.servers import LocalServer, local_clickhouse


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    with local_clickhouse(tmp_path_factory.mktemp("chdb")) as running:
        yield running


@pytest.fixture
def database(server: LocalServer) -> Iterator[ClickHouse]:
    """An empty database, which is emptied again: making one takes long."""
    with closing(connect(f"{server.address}/shared")) as made:
        migrate(made)
        yield made
        for table in TABLES.values():
            made.command(f"TRUNCATE TABLE IF EXISTS {table.name}")


@pytest.fixture
def fresh(server: LocalServer, request: pytest.FixtureRequest) -> Iterator[ClickHouse]:
    """A database of this test's own, for those that look at how it was made or changed."""
    name = "".join(letter if letter.isalnum() else "_" for letter in request.node.name)
    with closing(connect(f"{server.address}/{name}")) as made:
        migrate(made)
        yield made


@pytest.fixture(scope="module")
def module_database(server: LocalServer, request: pytest.FixtureRequest) -> Iterator[ClickHouse]:
    """A database of this module's tests, which only read it."""
    with closing(connect(f"{server.address}/{request.module.__name__.rpartition('.')[2]}")) as made:
        yield made
