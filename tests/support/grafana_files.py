"""Grafana's files in `deploy/grafana`: dashboards, their queries as they are sent, and their types."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.support.commands import ROOT

FOLDER = ROOT / "deploy/grafana"
DASHBOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted((FOLDER / "dashboards").glob("*.json"))
}
TYPES = Path(__file__).with_name("grafana")
"""Packages and types in TypeScript, against which a dashboard is checked."""

INSTALLED = ROOT / ".cache/grafana"
"""Where `make .cache/grafana/.ready` installs the packages."""


def provisioned(kind: str) -> dict[str, Any]:
    """The file of one kind of provisioning, `datasources` or `dashboards`."""
    found: dict[str, Any] = yaml.safe_load((FOLDER / "provisioning" / kind / "nps.yml").read_text())
    return found


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Panels that show something: all but the rows, which are headings."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def targets(dashboard: dict[str, Any], language: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Queries in one language, `rawSql` or `expr`, with the title of their panel."""
    for panel in panels(dashboard):
        for target in panel["targets"]:
            if language in target:
                yield panel["title"], target


def filled_in(dashboard: dict[str, Any], sql: str, from_ms: int, to_ms: int) -> str:
    """The SQL that ClickHouse is asked: variables at their defaults, macros as version 4 of the plugin expands them."""
    for variable in dashboard["templating"]["list"]:
        sql = sql.replace(f"${variable['name']}", variable["current"]["value"])
    bounds = [f"toDate(fromUnixTimestamp64Milli({ms}, 'UTC'))" for ms in (from_ms, to_ms)]
    sql = re.sub(r"\$__dateFilter\((\w+)\)", rf"\1 >= {bounds[0]} AND \1 <= {bounds[1]}", sql)
    assert "$" not in sql, f"neither a variable nor a known macro: {sql}"
    return sql


def type_errors(folder: Path, texts: dict[str, str]) -> list[str]:
    """What TypeScript says of dashboards' JSON by name; `folder` is for its files."""
    for path in TYPES.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "node_modules").symlink_to(INSTALLED / "node_modules")
    for name, text in texts.items():
        typed = f"import type {{ Shown }} from './shown'\nexport const shown: Shown = {text}"
        (folder / f"{name}.ts").write_text(typed)
    compiler = [str(INSTALLED / "node_modules/.bin/tsc"), "-p", str(folder)]
    ended = subprocess.run(compiler, capture_output=True, text=True, check=False)
    errors = ended.stdout.splitlines()
    assert bool(errors) == bool(ended.returncode), ended
    return errors
