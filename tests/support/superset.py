"""Superset as `deploy/superset/open.sh` starts it, with the dashboards of the export, for tests that look at them."""

import re
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from streams.local.servers import HOST, free_port
from tests.support.chromium import Tab
from tests.support.commands import ROOT, Child

FOLDER = ROOT / "deploy/superset"
EXPORT = FOLDER / "export"
INSTALLED = ROOT / ".cache/superset"
"""Where `make .cache/superset/.ready` installs it."""

FAULTS = """
Object.fromEntries([...document.querySelectorAll('[data-test-chart-name]')].map(chart => {
    const error = chart.querySelector('[role=alert]'), canvas = chart.querySelector('canvas')
    const text = chart.querySelector('[data-test=slice-container]')?.innerText ?? ''
    const pixels = canvas && new Set(new Uint32Array(
        canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer))
    const fault = error ? error.innerText : chart.querySelector('.ant-empty') ? 'empty'
        : pixels ? (pixels.size > 9 ? '' : 'waits')
        : chart.querySelector('table') ? (chart.querySelector('tbody td') ? '' : 'empty')
        : /[0-9]/.test(text) ? '' : 'waits'
    return [chart.dataset.testChartName, fault]
}))
"""
"""Fault of each chart of the page by name: empty text for none, its error, `empty`, or `waits` until it is drawn."""


def exported(kind: str) -> dict[str, dict[str, Any]]:
    """Files of one kind of the export, as `charts` or `datasets`, by name."""
    return {path.stem: yaml.safe_load(path.read_text()) for path in sorted((EXPORT / kind).rglob("*.yaml"))}


@dataclass(frozen=True, slots=True)
class RunningSuperset:
    """Superset that answers at `url`, with the password that it printed."""

    process: Child
    url: str
    password: str
    home: Path

    async def log_in(self, page: Tab) -> None:
        """Log in as a person does."""
        await page.open(f"{self.url}/login/")
        await page.until("document.querySelector('[data-test=username-input]') !== null")
        for field, text in (("username", "admin"), ("password", self.password)):
            await page.click(f"#{field}")
            await page.type(text)
        await page.click("button[type=submit]", leads_on=True)

    async def faults(self, page: Tab) -> dict[str, str]:
        """Open the dashboard; what is wrong with its charts, by name, once each is drawn, empty or in error."""
        await page.open(f"{self.url}/superset/dashboard/nps/")
        charts = len(exported("charts"))
        await page.until(f"(found => found.length == {charts} && !found.includes('waits'))(Object.values({FAULTS}))")
        faults: dict[str, str] = await page.value(FAULTS)
        return faults


@contextmanager
def running_superset(clickhouse_url: str, folder: Path) -> Iterator[RunningSuperset]:
    """Start it on a free port with files of its own in `folder`; it must have been installed."""
    url, home, log = f"http://{HOST}:{(port := free_port())}", folder / "superset", folder / "superset.log"
    settings = (f"NPS_CLICKHOUSE_URL={clickhouse_url}", f"SUPERSET_HOME={home}", f"SUPERSET_PORT={port}")
    with Child(["env", *settings, str(FOLDER / "open.sh"), str(INSTALLED)], log) as process:
        process.until(lambda: _answers(url), "Superset answers")
        [password] = re.findall(r"with the password (\S+)", process.said())
        yield RunningSuperset(process, url, password, home)


def _answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"{url}/health") as answer:
        return bool(answer.status == 200)
    return False
