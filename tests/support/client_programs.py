"""Programs that use a ClickHouse by a driver of another language, built once into `.cache/clients`.

Their sources lie in `tests/support/clients`: JDBC (Maven), clickhouse-go (Go's modules), @clickhouse/client (npm), each
pinned there.  A program prints a line of JSON for each thing it saw.
"""

import fcntl
import functools
import hashlib
import json
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from tests.support.commands import BOUND_S, ROOT

SOURCES = Path(__file__).with_name("clients")
CACHE = ROOT / ".cache" / "clients"
_VERSIONS = {"javac": (["javac", "-version"], 17), "mvn": (["mvn", "-version"], 3), "go": (["go", "version"], 1),
             "node": (["node", "--version"], 20), "npm": (["npm", "--version"], 9)}  # fmt: skip
_TOOLS = {"jdbc": ("javac", "mvn"), "go": ("go",), "node": ("node", "npm")}
_SOURCES = {"jdbc": ("Jdbc.java", "pom.xml"), "go": ("main.go", "go.mod", "go.sum"),
            "node": ("client.mjs", "package.json", "package-lock.json")}  # fmt: skip


@functools.cache
def unavailable(client: str) -> str | None:
    """Why a client cannot be built here, in one line; None when it can."""
    for tool in _TOOLS[client]:
        argv, oldest = _VERSIONS[tool]
        if shutil.which(tool) is None:
            return f"no {tool} on the PATH"
        said = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
        version = re.search(r"(\d+)\.\d+", said)
        if version is None or int(version[1]) < oldest:
            return f"{tool} is too old, {oldest} is needed"
    return None


def seen_by(client: str, *arguments: str) -> dict[str, list[object]]:
    """What a client saw, by what it calls it, in its order; it must have ended well."""
    done = subprocess.run(
        [*_program(client), *arguments], capture_output=True, text=True, timeout=BOUND_S, check=False, cwd=SOURCES
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seen = defaultdict(list)
    for line in done.stdout.splitlines():
        for what, value in json.loads(line).items():
            seen[what].append(value)
    return dict(seen)


def _program(client: str) -> Sequence[str]:
    """The command line of a client, built when it is not there yet or its sources have changed."""
    digest = hashlib.sha256(b"".join((SOURCES / name).read_bytes() for name in _SOURCES[client])).hexdigest()[:12]
    home = CACHE / f"{client}-{digest}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{client}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.is_dir():
            aside = CACHE / f"{client}-aside"
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir()
            for argv in _BUILDS[client]:
                words = [word.format(aside=aside) for word in argv]
                subprocess.run(words, check=True, capture_output=True, cwd=SOURCES if client != "node" else aside)
            aside.rename(home)
    return [word.format(home=home) for word in _RUNS[client]]


_BUILDS = {
    "jdbc": [
        ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory={aside}"],
        ["javac", "-d", "{aside}", "Jdbc.java"],
    ],
    "go": [["go", "build", "-o", "{aside}/client", "."]],
    "node": [
        ["cp", *(str(SOURCES / name) for name in _SOURCES["node"]), "{aside}"],
        ["npm", "ci", "--silent", "--no-audit", "--no-fund"],
    ],
}
_RUNS = {
    "jdbc": ["java", "-cp", "{home}/*:{home}", "Jdbc"],
    "go": ["{home}/client"],
    "node": ["node", "{home}/client.mjs"],
}
