"""Superset's export fits the views: their columns, roles and names; without a Superset, in seconds."""

from collections.abc import Mapping
from typing import Any

from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.migrate import READER_ROLE, views
from tests.support.superset import EXPORT, exported

DATASETS, CHARTS = exported("datasets"), exported("charts")
[DATABASE] = exported("databases").values()
[DASHBOARD] = exported("dashboards").values()


def test_datasets_have_the_columns_of_their_views(database: ClickHouse) -> None:
    """Those of a program without dimensions: `make superset` adds a program's own, and nothing here needs them."""
    stored = {name: {row[0] for row in database.query(f"DESCRIBE {name}")} for name in DATASETS}
    assert {name: columns(dataset, calculated=False) for name, dataset in DATASETS.items()} == {
        name: dict.fromkeys(names) for name, names in stored.items()
    }


def test_what_datasets_calculate_is_sql_of_their_views(database: ClickHouse) -> None:
    """Every metric and every calculated column is an expression that ClickHouse takes."""
    for name, dataset in DATASETS.items():
        metrics = [metric["expression"] for metric in dataset["metrics"]]
        for asked in (metrics, list(columns(dataset, calculated=True).values()) or ["*"]):
            database.query(f"SELECT {', '.join(asked)} FROM {name}")


def test_only_what_nps_reader_may_read_is_shown() -> None:
    """Every dataset is one of its views, none has SQL of its own."""
    assert set(DATASETS) <= {view.name for view in views() if view.role == READER_ROLE}
    assert {name for name, dataset in DATASETS.items() if dataset["sql"]} == set()


def test_every_file_is_used_and_every_reference_leads_somewhere() -> None:
    """Each chart stands once on the dashboard and reads a dataset, each dataset is read and lies in the database."""
    datasets = {dataset["uuid"]: name for name, dataset in DATASETS.items()}
    parts = [part for part in DASHBOARD["position"].values() if isinstance(part, dict) and part["type"] == "CHART"]
    placed = [part["meta"]["uuid"] for part in parts]
    assert sorted(placed) == sorted(chart["uuid"] for chart in CHARTS.values())
    assert {datasets[chart["dataset_uuid"]] for chart in CHARTS.values()} == set(DATASETS)
    assert {dataset["database_uuid"] for dataset in DATASETS.values()} == {DATABASE["uuid"]}


def test_no_password_is_in_it() -> None:
    """An import asks for it: the address has the mask that Superset exports."""
    assert DATABASE["sqlalchemy_uri"] == "clickhousedb://nps_bi:XXXXXXXXXX@clickhouse:8123/nps"
    assert {path.suffix for path in EXPORT.rglob("*") if path.is_file()} == {".yaml"}


def columns(dataset: Mapping[str, Any], calculated: bool) -> dict[str, Any]:
    """A dataset's columns with their SQL: those that are calculated, or those of the view, which have none."""
    found = {column["column_name"]: column.get("expression") for column in dataset["columns"]}
    return {name: sql for name, sql in found.items() if (sql is not None) == calculated}
