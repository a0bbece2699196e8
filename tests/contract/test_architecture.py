"""The import rules of the house hold."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


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
