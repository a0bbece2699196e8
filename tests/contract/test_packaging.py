"""What is installed is what is meant: three packages, their data files, and the command."""

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHECK = """
import sys
from importlib.metadata import distribution
from importlib.resources import files
import streams, schemas, sinks
from schemas.codec import Codec
from streams.program import load
target = sys.argv[1]
assert all(m.__file__.startswith(target) for m in (streams, schemas, sinks)), streams.__file__
Codec(), load()
(command,) = [e for e in distribution("nps-pipeline").entry_points if e.group == "console_scripts"]
assert (command.name, command.value) == ("nps", "streams.cli:main"), command
assert callable(command.load())
assert sys.modules["streams.cli"].__file__.startswith(target)
"""


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
    """Every file of the packages that is not Python is shipped: schemas, SQL, the program, the typing markers."""
    inside = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        str(path.relative_to(ROOT))
        for package in ("streams", "schemas", "sinks")
        for path in (ROOT / package).rglob("*")
        if path.suffix in (".avsc", ".sql", ".toml", ".typed")
    }
    assert {Path(name).suffix for name in expected} == {".avsc", ".sql", ".toml", ".typed"}
    assert {f"{package}/py.typed" for package in ("streams", "schemas", "sinks")} | {"streams/nps.toml"} <= expected
    assert expected <= inside


def test_installed_it_imports_and_has_its_command(wheel: Path, tmp_path: Path) -> None:
    """From another folder, with the dependencies of this environment: packages, data and `nps` come from the wheel."""
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--disable-pip-version-check", "-q"]
    run([*pip, "--target", str(target), str(wheel)], tmp_path)
    dependencies = sysconfig.get_path("purelib")
    code = f"import sys; sys.path[:0] = [{str(target)!r}, {dependencies!r}]\n{CHECK}"
    run([sys.executable, "-I", "-S", "-c", code, str(target)], tmp_path)
