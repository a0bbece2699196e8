"""The import rules of the house hold."""

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "sinks", "streams")


def sources() -> Iterator[tuple[str, ast.Module]]:
    """Every module of the product, by its path, as its syntax tree."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


def names_of_types(module: ast.Module) -> Iterator[str]:
    """The classes of a module, however deep, and its aliases of types, which are written like classes."""
    for node in ast.walk(module):
        if isinstance(node, ast.ClassDef):
            yield node.name
    for node in module.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id.lstrip("_")[:1].isupper() and not target.id.isupper():
            yield target.id


def lint(config: Path) -> subprocess.CompletedProcess[str]:
    """import-linter over this repository with these contracts."""
    linter = Path(sys.executable).with_name("lint-imports")
    command = [str(linter), "--config", str(config), "--no-cache", "--no-logo"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_imports_run_one_way() -> None:
    """Every contract in pyproject.toml is kept."""
    done = lint(ROOT / "pyproject.toml")
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


def test_a_broken_contract_would_be_seen(tmp_path: Path) -> None:
    """The check itself works: a contract that the code does break fails."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    wrong = '\n[[tool.importlinter.contracts]]\nname = "wrong"\ntype = "forbidden"\n'
    wrong += 'source_modules = ["streams"]\nforbidden_modules = ["schemas"]\n'
    config = tmp_path / "pyproject.toml"
    config.write_text(text + wrong, encoding="utf-8")
    done = lint(config)
    assert done.returncode != 0
    assert "wrong BROKEN" in done.stdout


def test_no_class_name_stands_twice() -> None:
    """Who greps for a name finds one thing."""
    places: dict[str, list[str]] = defaultdict(list)
    for path, module in sources():
        for name in names_of_types(module):
            places[name].append(path)
    assert len(places) > 200, "the search itself works"
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_at_most_twenty_rooms() -> None:
    """A newcomer sees the architecture from `ls`: packages in the two top levels."""
    rooms = [path.parent for package in PACKAGES for path in (ROOT / package).glob("**/__init__.py")]
    assert len([room for room in rooms if len(room.relative_to(ROOT).parts) <= 2]) <= 20
