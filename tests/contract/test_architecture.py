"""The import rules of the house hold, in its tests too."""

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from graphlib import TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAWS = ROOT / "tests" / "support" / "laws.py"
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
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


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


def test_at_most_twenty_two_rooms() -> None:
    """A newcomer sees the architecture from `ls`: packages in the two top levels."""
    rooms = [path.parent for package in PACKAGES for path in (ROOT / package).glob("**/__init__.py")]
    assert len([room for room in rooms if len(room.relative_to(ROOT).parts) <= 2]) <= 22


def imports_of(module: ast.Module) -> Iterator[str]:
    """Every module that this one imports or may import a name from, wherever in it that stands."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_tests(module: ast.Module) -> set[str]:
    """The test files among what it imports."""
    return {name for name in imports_of(module) for part in name.split(".") if part.startswith("test_")}


def test_no_test_imports_another() -> None:
    """What tests share lies in tests/support or in rooms of its own, so that a test can be moved or read alone."""
    modules = {path: ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "tests").rglob("*.py")}
    assert len(modules) > 100, "the search itself works"
    assert {path.name: found for path, module in modules.items() if (found := imported_tests(module))} == {}
    assert not list((ROOT / "tests").rglob("__init__.py")), "folders of tests are no packages"


@pytest.mark.parametrize(
    "line",
    ["import tests.unit.test_nps", "from tests.unit import test_nps", "from tests.unit.test_nps import tallied",
     "def late():\n    from tests.unit.test_nps import tallied", "from .test_nps import tallied"],
)  # fmt: skip
def test_an_import_of_a_test_would_be_seen(line: str) -> None:
    """However it is written."""
    assert imported_tests(ast.parse(line))


def test_what_is_shared_needs_no_test() -> None:
    """tests/support stands below the rooms of tests: it imports the product and itself."""
    for path in (ROOT / "tests" / "support").rglob("*.py"):
        ours = {name for name in imports_of(ast.parse(path.read_text(encoding="utf-8"))) if name.startswith("tests")}
        assert {name for name in ours if not name.startswith("tests.support")} == set(), path.name


def test_no_law_pins_its_examples() -> None:
    """How many examples a law is checked on is its own number scaled by the profile: see tests/support/laws.py."""
    pinned = []
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.keyword) or node.arg not in ("max_examples", "derandomize", "deadline"):
                continue
            if path != LAWS and ast.unparse(node.value).partition("(")[0] != "examples":
                pinned.append(f"{path.name}:{node.value.lineno}")
    assert pinned == []


def test_no_record_is_rebuilt_from_slices() -> None:
    """`(*record[:4], value, *record[5:])` cuts off a field that is appended later: copy by `_replace` or `replacer`."""
    rebuilt = [
        f"{path}:{node.lineno}"
        for path, module in sources()
        for node in ast.walk(module)
        if isinstance(node, ast.Starred)
        and isinstance(node.value, ast.Subscript)
        and isinstance(node.value.slice, ast.Slice)
        and isinstance(node.value.value, ast.Name | ast.Attribute)
    ]
    assert rebuilt == []


def test_the_map_names_every_room() -> None:
    """`streams/__init__.py` has a line for each package of the house."""
    the_map = (ROOT / "streams" / "__init__.py").read_text(encoding="utf-8")
    rooms = [path.parent for package in PACKAGES for path in (ROOT / package).glob("*/__init__.py")]
    assert [str(room) for room in rooms if ".".join(room.relative_to(ROOT).parts) not in the_map] == []


def test_streams_hold_no_sql_and_start_no_sink_by_name() -> None:
    """What the import contracts cannot see: only the command line and the local stack know both sides."""
    both = ("streams/cli.py", "streams/commands/", "streams/local/")
    hidden = [
        f"{path}:{node.lineno}"
        for path, module in sources()
        if path.startswith("streams/") and not path.startswith(both)
        for node in ast.walk(module)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and (node.value.startswith("sinks.") or "SELECT " in node.value)
    ]
    assert hidden == []


def docstrings(module: ast.Module) -> Iterator[str]:
    """The docstrings of a module, its classes and functions, and the strings under its constants and fields."""
    for node in ast.walk(module):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if documented := ast.get_docstring(node):
                yield documented
            for before, after in pairwise(node.body):
                text = (
                    after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else None
                )
                if isinstance(before, ast.Assign | ast.AnnAssign) and isinstance(text, str):
                    yield text


def test_docstrings_begin_with_the_thing() -> None:
    """A verb or a noun that a stranger would search for, not a question word."""
    riddles = {"what", "who", "whom", "how", "why", "whether", "which", "where", "when"}
    texts = [(path, text) for path, module in sources() for text in docstrings(module)]
    assert len(texts) > 1_000, "the search itself works"
    assert [
        (path, text.splitlines()[0]) for path, text in texts if text.split()[0].lower().strip(",.:") in riddles
    ] == []


def imported(path: str, module: ast.Module) -> set[str]:
    """The paths of our own modules that a module imports, wherever in it."""
    wanted = set()
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] in PACKAGES:
            for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                wanted.add(name.replace(".", "/") + ".py")
    return {name for name in wanted if (ROOT / name).is_file()} - {path}


def test_no_module_imports_itself_through_others() -> None:
    """Layers hold rooms apart; inside a room too imports run one way."""
    graph = {path: imported(path, module) for path, module in sources()}
    assert sum(map(len, graph.values())) > 500, "the search itself works"
    assert len(list(TopologicalSorter(graph).static_order())) == len(graph)
