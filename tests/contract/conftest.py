"""One ClickHouse for all contract tests, an empty database for each."""

from collections.abc import Iterator

import pytest

from sinks.clickhouse.client import ClickHouse, connect
from sinks.clickhouse.migrate import migrate
from streams.local.servers import LocalServer, local_clickhouse


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    with local_clickhouse(tmp_path_factory.mktemp("chdb")) as running:
        yield running


@pytest.fixture
def database(server: LocalServer, request: pytest.FixtureRequest) -> Iterator[ClickHouse]:
    """An empty database of this test's own."""
    name = "".join(letter if letter.isalnum() else "_" for letter in request.node.name)
    made = connect(f"{server.address}/{name}")
    migrate(made)
    yield made
    made.close()
