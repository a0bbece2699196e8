"""The newcomer's path, run as the README writes it: from an own event to an own alert, by copy and paste."""

import os
import re
import subprocess
import time
from pathlib import Path
from urllib.request import HTTPCookieProcessor, build_opener

from streams.local.servers import free_port
from tests.support.commands import BOUND_S, ROOT, Service, clean
from tests.support.console import pasted

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_from_an_own_event_to_an_own_alert(tmp_path: Path) -> None:
    """Every line is pasted into one shell, beside a running `nps up`; how long it took is printed."""
    found = re.search(r"<!-- try -->\n```console\n(.*?)```\n<!-- end of try -->", README, re.DOTALL)
    assert found is not None
    commands = pasted(found[1])
    assert commands.startswith("make shell\n")
    kafka, clickhouse = str(free_port()), str(free_port())
    words = ["up", "--data", str(tmp_path / "data"), "--kafka-port", kafka, "--clickhouse-port", clickhouse]
    # The ports alone are other than in the README, for the tests of others run beside this one.
    here = {"NPS_BROKERS": f"127.0.0.1:{kafka}", "NPS_CLICKHOUSE_URL": f"http://127.0.0.1:{clickhouse}/nps"}
    started_s = time.monotonic()
    with Service(words, {}, tmp_path / "up.log") as up:
        up.until(lambda: "restored partitions" in up.said(), "what the README says to wait for")
        ended = subprocess.run(
            ["bash", "-s"],
            cwd=ROOT, env={**clean(here), "SHELL": "/bin/bash", "HOME": str(tmp_path)}, input=commands,
            capture_output=True, text=True, check=False, timeout=BOUND_S,
        )  # fmt: skip
        print(f"own event to own alert, servers and all: {time.monotonic() - started_s:.0f} s")
        assert (ended.returncode, ended.stderr) == (0, ""), ended
        assert re.search(r"│ open +│ critical │ 2 +│ box was damaged │", ended.stdout), ended.stdout
        assert ended.stdout.count("1 events produced\n") == 2
        assert "│ country=BR " in ended.stdout
        up.until(lambda: "| alert open severity=critical score=2" in up.said(), "the alert is a line there, too")
        (link,) = re.findall(r"link for one use: (\S+)", up.said())
        with build_opener(HTTPCookieProcessor()).open(link) as page:
            assert 'data-role="responder"' in page.read().decode()
        words_said = re.split(r"[^\w.-]+", up.said())  # whole words: a link's token may hold any two letters
        assert "C1" not in words_said, "no customer in what is no terminal"


def test_make_shell_finds_nps() -> None:
    """`make shell` puts `nps` on the path of an ordinary shell."""
    env = {**clean({}), "SHELL": "/bin/sh", "PATH": os.environ.get("PATH", "/usr/bin:/bin")}
    said = subprocess.run(
        ["make", "--no-print-directory", "shell"],
        cwd=ROOT,
        env=env,
        input="command -v nps\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip().endswith("/.venv/bin/nps")
