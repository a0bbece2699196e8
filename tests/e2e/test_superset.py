"""Superset's dashboards open without edits: `make superset` on the demo's data, looked at in a real Chromium."""

import asyncio
import os
import signal
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.chromium import tab
from tests.support.commands import Child
from tests.support.demo import running_demo
from tests.support.superset import FOLDER, INSTALLED, RunningSuperset, exported, running_superset

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(not (INSTALLED / ".ready").exists(), reason="needs a Superset: make .cache/superset/.ready"),
]
WALL = (1440, 4800, False)
"""A screen so high that no chart waits to be scrolled to."""


def test_every_chart_is_drawn_and_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    """No chart is empty or in error, the ZIP tells nothing of our ClickHouse, and no process is left."""
    with running_demo(tmp_path) as demo, running_superset(demo.clickhouse_url, tmp_path) as superset:
        faults = asyncio.run(_look(superset, tmp_path))
        assert faults == dict.fromkeys((chart["slice_name"] for chart in exported("charts").values()), "")
        with zipfile.ZipFile(superset.home / "nps-dashboards.zip") as bundle:
            told = b"".join(bundle.read(name) for name in bundle.namelist()).decode()
        assert urlsplit(demo.clickhouse_url).netloc not in told
        group = os.getpgid(superset.process.process.pid)
        assert superset.process.stop(signal.SIGINT) == 0, superset.process.said()
        with pytest.raises(ProcessLookupError):
            os.killpg(group, 0)


def test_without_clickhouse_it_says_so_in_one_line(tmp_path: Path) -> None:
    """It ends by itself, and names the setting that is wrong."""
    settings = ("NPS_CLICKHOUSE_URL=http://127.0.0.1:9/nps", f"SUPERSET_HOME={tmp_path / 'superset'}")
    with Child(["env", *settings, str(FOLDER / "open.sh"), str(INSTALLED)], tmp_path / "log") as process:
        assert process.ended() != 0
        [complaint] = [line for line in process.said().splitlines() if "NPS_CLICKHOUSE_URL" in line]
        assert "Traceback" not in process.said()
        assert "nps migrate" in complaint


async def _look(superset: RunningSuperset, folder: Path) -> dict[str, str]:
    """Faults of the charts by name; what one sees is left in the folder."""
    async with tab(folder, WALL) as page:
        await superset.log_in(page)
        faults = await superset.faults(page)
        await page.screenshot(folder / "dashboard.png")
        return faults
