"""What is installed is what is meant: three packages, their data files, the command, and locked dependencies."""

import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
CHECK = """
import sys
from importlib.metadata import distribution
from importlib.resources import files
import streams, schemas, sinks
from schemas.codec import Codec
from streams.collector import page
from streams.collector.texts import TEXTS
from streams.page.server import LivePage
from streams.program import load
target = sys.argv[1]
assert all(m.__file__.startswith(target) for m in (streams, schemas, sinks)), streams.__file__
Codec(), load()
assert sorted(TEXTS) == ['ar', 'de', 'en', 'es', 'fr', 'he', 'pt']
(command,) = [e for e in distribution("nps-pipeline").entry_points if e.group == "console_scripts"]
assert (command.name, command.value) == ("nps", "streams.cli:main"), command
assert callable(command.load())
assert sys.modules["streams.cli"].__file__.startswith(target)
"""
LOCKS = ("requirements.lock", "deploy/runtime.lock", "deploy/build.lock")
PIN = re.compile(r"([a-z0-9-]+)==([0-9.]+)( ; [^\n\\]+)?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n((?:    #.*\n)+)")
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME: list[str] = PYPROJECT["project"]["dependencies"]
EXTRAS: list[str] = [text for extra in PYPROJECT["project"]["optional-dependencies"].values() for text in extra]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], ROOT)
    (built,) = folder.glob("*.whl")
    return built


def run(command: list[str], cwd: Path) -> str:
    """What the command printed; fails with it when the command did."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_top_level_names(wheel: Path) -> None:
    """Nothing else takes a name in site-packages."""
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"streams", "schemas", "sinks"}


def test_data_files_are_inside(wheel: Path) -> None:
    """Every file of the packages that is not Python is shipped: schemas, SQL, program, pages, texts, typing markers."""
    inside = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        str(path.relative_to(ROOT))
        for package in ("streams", "schemas", "sinks")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert {Path(name).suffix for name in expected} == {
        ".avsc",
        ".css",
        ".html",
        ".js",
        ".json",
        ".sql",
        ".toml",
        ".typed",
    }
    assert {f"{package}/py.typed" for package in ("streams", "schemas", "sinks")} | {"streams/nps.toml"} <= expected
    assert {f"streams/collector/texts/{language}.toml" for language in ("en", "de", "fr", "es", "pt")} <= expected
    assert expected <= inside


def test_the_licence_is_inside(wheel: Path) -> None:
    """The text of the Apache License travels with the wheel, and the metadata name it as SPDX does."""
    inside = zipfile.ZipFile(wheel)
    [info] = {name.split("/")[0] for name in inside.namelist() if ".dist-info/" in name}
    assert "License-Expression: Apache-2.0\n" in inside.read(f"{info}/METADATA").decode()
    assert inside.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def test_installed_it_imports_and_has_its_command(wheel: Path, tmp_path: Path) -> None:
    """From another folder, with the dependencies of this environment: packages, data and `nps` come from the wheel."""
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--disable-pip-version-check", "-q"]
    run([*pip, "--target", str(target), str(wheel)], tmp_path)
    dependencies = sysconfig.get_path("purelib")
    code = f"import sys; sys.path[:0] = [{str(target)!r}, {dependencies!r}]\n{CHECK}"
    run([sys.executable, "-I", "-S", "-c", code, str(target)], tmp_path)


def pins(lock: str) -> set[tuple[str, str]]:
    """Names and versions in a lock file, of which every line was understood."""
    text = re.sub(r"\A(#.*\n)+", "", (ROOT / lock).read_text())
    assert PIN.sub("", text) == ""
    return {(pin[1], pin[2]) for pin in PIN.finditer(text)}


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_have_hashes_and_no_address(lock: str) -> None:
    """Nothing but exact versions with hashes, wherever they are fetched from; the head says how to make it anew."""
    text = (ROOT / lock).read_text()
    assert text.startswith("# This file was autogenerated by uv via the following command:\n#    make lock\n")
    assert "://" not in text
    assert pins(lock) <= pins("requirements.lock")


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("requirements.lock", RUNTIME + EXTRAS),
        ("deploy/runtime.lock", RUNTIME),
        ("deploy/build.lock", PYPROJECT["build-system"]["requires"]),
    ],
)
def test_locks_hold_what_is_declared(lock: str, wanted: list[str]) -> None:
    """A dependency that was added or raised without `make lock` is noticed."""
    locked = dict(pins(lock))
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(locked[requirement.name.lower()]), requirement


def test_the_image_has_no_tool() -> None:
    """What runs is free of tests, linters and the local servers."""
    assert not {Requirement(text).name.lower() for text in EXTRAS} & {name for name, _ in pins("deploy/runtime.lock")}
