"""What the README says is what the code does."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from streams.commands.reference import written

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(
    set(re.findall(r"(?<![/\w])nps ([a-z]+)", "\n".join(re.findall(r"(?:^\$ .*|`nps [^`]*`)", README, re.MULTILINE))))
)


def test_reference_tables_are_written_from_the_code() -> None:
    """Settings, topics, metrics, reasons and exit codes: `make readme` would change nothing."""
    assert written(README) == README


def test_a_changed_table_is_noticed() -> None:
    """The comparison can fail: a table altered by hand is written anew."""
    altered = README.replace("`NPS_BROKERS`", "`NPS_KAFKA`")
    assert altered != README
    assert written(altered) == README


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_in_the_readme_exists(command: str) -> None:
    """Each `nps` command that the README names is taken by the parser and has an example."""
    shown = subprocess.run(
        [sys.executable, "-m", "streams.cli", command, "--help"], capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stderr
    assert "example:" in shown.stdout


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:\$ |`)make (\w+)", README))))
def test_every_make_target_in_the_readme_exists(target: str) -> None:
    """Each `make` target that the README names is in the Makefile."""
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#h][^)#]*)\)", README))))
def test_every_file_the_readme_links_to_exists(link: str) -> None:
    """No link of the README leads nowhere."""
    assert (ROOT / link).exists()
