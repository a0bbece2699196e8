"""Grafana's files are what Grafana reads: typed by its own schema, with sources, views and metrics that exist."""

import json
import re
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

import sinks.metrics
import streams.metrics
from sinks.clickhouse.migrate import READER_ROLE, views
from tests.support.compose import environment, mounts
from tests.support.grafana_files import DASHBOARDS, INSTALLED, panels, provisioned, targets, type_errors

DECLARED = (streams.metrics.LAST_PROGRESS, sinks.metrics.LAST_COMMIT)  # importing them registered all the others
SOURCES = {source["uid"]: source for source in provisioned("datasources")["datasources"]}
TEXTS = {name: json.dumps(dashboard) for name, dashboard in DASHBOARDS.items()}
typed = pytest.mark.skipif(
    not (INSTALLED / ".ready").exists(), reason="needs Grafana's types: make .cache/grafana/.ready"
)


@typed
def test_dashboards_are_as_grafana_types_them(tmp_path: Path) -> None:
    """Every field, and the options of every kind of panel, are those of @grafana/schema."""
    assert type_errors(tmp_path, TEXTS) == []


@typed
@pytest.mark.parametrize("right", ['"gridPos"', '"graphMode"', '"lineWidth"', '"timeseries"'])
def test_a_field_that_grafana_does_not_know_is_seen(right: str, tmp_path: Path) -> None:
    """The check can fail: of a field of a panel, an option, a custom field and a kind of panel."""
    wrong = TEXTS["nps"].replace(right, right[:-2] + '"')
    assert wrong != TEXTS["nps"]
    assert type_errors(tmp_path, {"nps": wrong}) != []


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_query_has_its_source(name: str) -> None:
    """Panels, queries and variables name sources that are provisioned, by id and type."""
    dashboard = DASHBOARDS[name]
    asking = [*panels(dashboard), *dashboard["templating"]["list"]]
    asking += [target for panel in panels(dashboard) for target in panel["targets"]]
    assert {(each["datasource"]["uid"], each["datasource"]["type"]) for each in asking} <= {
        (uid, source["type"]) for uid, source in SOURCES.items()
    }


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_do_not_overlap(name: str) -> None:
    """Each cell of the grid, 24 wide, belongs to one panel; ids are of one panel each."""
    placed = DASHBOARDS[name]["panels"]
    assert len({panel["id"] for panel in placed}) == len(placed)
    cells = [
        (x, y)
        for at in (panel["gridPos"] for panel in placed)
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23


def test_only_what_nps_reader_may_read_is_shown() -> None:
    """All SQL reads its views and nothing else."""
    dashboard = DASHBOARDS["nps"]
    asked = [target["rawSql"] for _, target in targets(dashboard, "rawSql")]
    asked += [variable["query"] for variable in dashboard["templating"]["list"]]
    assert len(asked) > len(panels(dashboard))
    read = {name for sql in asked for name in re.findall(r"\b(?:FROM|JOIN) (\w+)", sql)}
    assert read <= {view.name for view in views() if view.role == READER_ROLE}


def test_operations_speak_of_metrics_that_exist() -> None:
    """Every metric is declared by the pipeline, or made by Prometheus itself."""
    known = {*REGISTRY._names_to_collectors, "up", "ALERTS"}
    for title, target in targets(DASHBOARDS["operations"], "expr"):
        names = set(re.findall(r"\b(?:nps_\w+|up|ALERTS)\b", target["expr"]))
        assert names, title
        assert names <= known, title


def test_compose_mounts_what_is_provisioned() -> None:
    """Grafana finds provisioning and dashboards where it looks, and every variable of its sources is given."""
    mounted = {target: source for source, target in mounts("grafana")}
    assert mounted["/etc/grafana/provisioning"] == "./deploy/grafana/provisioning"
    [provider] = provisioned("dashboards")["providers"]
    assert mounted[provider["options"]["path"]] == "./deploy/grafana/dashboards"
    wanted = set(re.findall(r"\$(\w+)", json.dumps(list(SOURCES.values()))))
    assert wanted
    assert wanted <= set(environment("grafana"))
