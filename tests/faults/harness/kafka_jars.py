"""Kafka's jars, fetched once through Maven into `.cache/kafka`; the version is the one in `kafka-pom.xml`."""

import fcntl
import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

POM = Path(__file__).with_name("kafka-pom.xml")
CACHE = Path(__file__).parents[3] / ".cache" / "kafka"


class KafkaFailed(RuntimeError):
    """A broker or the download of its jars failed; the message says why."""


@functools.cache
def unavailable() -> str | None:
    """Why there can be no real Kafka here, in one line; None when there can."""
    if shutil.which("java") is None:
        return "no java on the PATH: install a Java 17 runtime"
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < 17:
        return f"java is too old, 17 is needed: {said.splitlines()[0] if said else 'it says no version'}"
    if _jars_folder().is_dir() or shutil.which("mvn") is not None:
        return None
    return "no mvn on the PATH: install Maven, which fetches Kafka's jars"


def jars() -> Path:
    """The folder of Kafka's jars, fetched when they are not there yet.  Raises KafkaFailed."""
    folder = _jars_folder()
    if folder.is_dir():
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:  # Maven's own store is not made for two at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    """Fetched aside and then renamed: half of the jars are none."""
    with tempfile.TemporaryDirectory(dir=CACHE) as aside:
        argv = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", "-DincludeScope=runtime"]
        done = subprocess.run([*argv, f"-DoutputDirectory={aside}/jars"], capture_output=True, text=True, check=False)
        if done.returncode:
            raise KafkaFailed(f"Maven could not fetch Kafka's jars: {(done.stdout + done.stderr).strip()[-500:]}")
        os.rename(f"{aside}/jars", folder)


def _jars_folder() -> Path:
    """Named after what the pom asks for, so that a changed pom means a new folder."""
    return CACHE / hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
