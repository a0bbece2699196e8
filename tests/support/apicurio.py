"""A real schema registry: Apicurio, in memory, behind its interface that speaks Confluent's API.

Its 142 MB are fetched once through Maven into `.cache/apicurio`; 2.6 is the last that runs on Java 17.
"""

import fcntl
import subprocess
import tarfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from streams.local import process
from streams.local.servers import HOST, free_port
from tests.support.commands import ROOT, until

VERSION = "2.6.13.Final"
CACHE = ROOT / ".cache" / "apicurio"


@contextmanager
def apicurio(folder: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """The address of a registry that runs, empty, and what stops it; its log goes into the folder."""
    home, port = _fetched(), free_port()
    url = f"http://{HOST}:{port}/apis/ccompat/v7"
    argv = ["java", "-Xmx400m", "-cp", f"{home}/apicurio-registry-app-{VERSION}-runner.jar:{home}/lib/*"]
    environ = {"QUARKUS_HTTP_PORT": str(port), "QUARKUS_HTTP_HOST": HOST}
    with (folder / "apicurio.log").open("wb") as log:
        server = process.start([*argv, "io.quarkus.runner.GeneratedMain"], log, environ)
        try:
            until(lambda: server.poll() is not None or _answers(url), "the registry answers")
            assert server.poll() is None, (folder / "apicurio.log").read_text()[-2_000:]
            yield url, lambda: process.kill(server)
        finally:
            process.stop(server)


def _answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"{url}/subjects", timeout=5) as answer:
        return bool(answer.status == 200)
    return False


def _fetched() -> Path:
    CACHE.mkdir(parents=True, exist_ok=True)
    home = CACHE / VERSION
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.is_dir():
            artifact = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
            command = ["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={CACHE}"]
            subprocess.run(command, check=True, capture_output=True)
            archive = CACHE / f"apicurio-registry-app-{VERSION}-all.tar.gz"
            with tarfile.open(archive) as packed:
                packed.extractall(CACHE / "aside", filter="data")
            archive.unlink()
            (CACHE / "aside").rename(home)
    return home
