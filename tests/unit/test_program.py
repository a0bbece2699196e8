"""The program file: whatever is wrong is one line that names the line; the hash names what the rules mean."""

import re
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.domain.panes import DAY_MS, HOUR_MS
from streams.program import UNITS_MS, BadProgram, duration_ms, load, parse

TEXT = (resources.files("streams") / "nps.toml").read_text(encoding="utf-8")


def line_of(piece: str, text: str = TEXT) -> int:
    """The line of the file on which this text is."""
    assert text.count(piece) == 1, piece
    return text[: text.index(piece)].count("\n") + 1


def complaint(text: str) -> tuple[int, str]:
    """The line and message with which a file is refused."""
    with pytest.raises(BadProgram) as caught:
        parse(text, "my.toml")
    match = re.fullmatch(r"my\.toml:(\d+): ([^\n]+)", str(caught.value))
    assert match, str(caught.value)
    return int(match[1]), match[2]


def test_the_shipped_program_loads() -> None:
    """Two rules, five windows, and what the comments say."""
    program = load()
    assert [rule.name for rule in program.rules] == ["after-delivery", "after-support"]
    assert [window.length_ms for window in program.windows] == [HOUR_MS, DAY_MS, 7 * DAY_MS, 30 * DAY_MS, 90 * DAY_MS]
    assert (program.quarantine_of("support"), program.quarantine_of("delivery")) == (90 * DAY_MS, 180 * DAY_MS)
    assert program.rules[0].matches("order.delivered", {})
    assert not program.rules[1].matches("case.solved", {"priority": "low"})
    assert re.fullmatch(r"[0-9a-f]{12}", program.hash)


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('delay = "3d"', 'delya = "3d"', "delya"),
        ('delay = "1h"', 'delay = "1 hour"', "'1 hour' is no duration"),
        ('delay = "1h"', "delay = 3600", "Expected `str`"),
        ('expires = "14d"', 'expires = "0d"', "expires must be above 0"),
        ('late = "7d"', 'late = "7x"', "'7x' is no duration"),
        ('hold = "1h"', 'hold = "-1h"', "'-1h' is no duration"),
        ('any = "90d"', 'any = "90"', "'90' is no duration"),
        ('delivery = "180d"', 'delivery = "d"', "'d' is no duration"),
        ('delivery = "180d"', 'delivry = "180d"', "'delivry'"),
        ('lengths = ["1h", "24h", "7d", "30d", "90d"]', 'lengths = ["1h", "24"]', "'24' is no duration"),
        ('lengths = ["1h", "24h", "7d", "30d", "90d"]', 'lengths = ["90s"]', "whole number of minutes"),
        ('lengths = ["1h", "24h", "7d", "30d", "90d"]', 'lengths = ["1h", "1h"]', "twice"),
        ("minimum_n = 30", "minimum_n = -1", ">= 0"),
        ("minimum_n = 30", 'minimum_n = "30"', "Expected `int`"),
        ('name = "after-support"', 'name = "after-delivery"', "'after-delivery' is there twice"),
        ('dimensions = ["country", "category"]', 'dimensions = ["country", "country"]', "twice"),
        ('combinations = [["country"], ["category"]', 'combinations = [["country"], ["county"]', "county"),
        ('combinations = [["country"], ["category"]', 'combinations = [["country"], ["country"]', "twice"),
        ('combinations = [["country"], ["category"]', "combinations = [[]", "empty"),
        ('remember = "120d"', 'remember = "30d"', "at least expires + late + edit"),
        ("critical_max = 2", "critical_max = 5", "critical_max <= error_max"),
        ("critical_max = 2", "critical_max = 2.5", "Expected `int`"),
        ("[windows]", "[window]", "window"),
        ('cancel_on = ["case.reopened"]', 'cancel_on = "case.reopened"', "Expected `array`"),
        ('where = { priority = ["normal", "high"] }', 'where = { priority = "high" }', "Expected `array`"),
        ('survey = "support"', "survey = support", "Invalid value"),
        ('on = ["case.solved"]', 'on = ["case.solved"', "Unclosed array"),
        ("[alerts]", "[limits]", "Cannot declare"),
    ],
)
def test_every_mistake_names_its_line(before: str, after: str, says: str) -> None:
    """Typos, types, durations, contradictions and syntax, each in one line with the right line number."""
    line, message = complaint(TEXT.replace(before, after))
    assert says in message
    assert line in (line_of(before), line_of(before) + 1) if says == "Unclosed array" else line == line_of(before)


@pytest.mark.parametrize("table", ["quarantine", "segments", "windows", "limits", "alerts"])
def test_a_missing_table_is_named(table: str) -> None:
    """There is no line for what is not there; the message names it."""
    text = re.sub(rf"(?ms)^\[{table}\]\n.*?(?=^\[(?!{table})|\Z)", "", TEXT)
    assert complaint(text)[1] == f"Object missing required field `{table}`"


def test_a_missing_field_is_looked_for_in_its_table() -> None:
    """The line is the table's."""
    line, message = complaint(TEXT.replace('hold = "1h"', "#"))
    assert (line, "`hold`" in message) == (line_of("[limits]"), True)
    line, message = complaint(TEXT.replace('survey = "support"', "#"))
    assert (TEXT.splitlines()[line - 1], "`survey`" in message) == ("[[rules]]", True)
    assert line == line_of('name = "after-support"') - 1


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """Missing, a folder, or not UTF-8: one line that says what to do."""
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    for path in (tmp_path / "none.toml", tmp_path, tmp_path / "latin.toml"):
        with pytest.raises(BadProgram, match=f"^{re.escape(str(path))}: [^\n]+$"):
            load(path)
    (tmp_path / "good.toml").write_text(TEXT, encoding="utf-8")
    assert load(tmp_path / "good.toml") == load()


@given(st.integers(0, 10**6), st.sampled_from(sorted(UNITS_MS)))
def test_durations(number: int, unit: str) -> None:
    """A whole number and a unit, in milliseconds."""
    assert duration_ms(f"{number}{unit}") == number * UNITS_MS[unit]


@given(st.text(max_size=6).filter(lambda text: not re.fullmatch(r"\d+(ms|s|m|h|d)", text)))
def test_no_other_durations(text: str) -> None:
    """Everything else is refused, with an example of how to write it."""
    with pytest.raises(ValueError, match="'90d'"):
        duration_ms(text)


def test_hash_names_the_meaning() -> None:
    """The same under comments, white space and order of keys and tables; another for any rule that differs."""
    bare = "\n".join(line.split(" #")[0].rstrip() for line in TEXT.splitlines() if not line.startswith("#"))
    swapped = bare.replace('late = "7d"\nearly = "5m"', 'early = "5m"\n\n\nlate = "7d"')
    assert swapped != bare
    tables = swapped.split("[alerts]")
    moved = f"[alerts]{tables[1]}\n{tables[0]}"
    assert parse(TEXT, "a").hash == parse(bare, "b").hash == parse(swapped, "c").hash == parse(moved, "d").hash
    changes = [('"3d"', '"4d"'), ("critical_max = 2", "critical_max = 1"), ('"high"', '"low"'), ('"5m"', '"6m"')]
    hashes = {parse(TEXT.replace(before, after, 1), "e").hash for before, after in changes}
    assert len(hashes | {parse(TEXT, "a").hash}) == 1 + len(changes)


def test_order_of_rules_is_meaning() -> None:
    """The first rule that matches asks, so their order is part of the hash."""
    head, first, second = re.split(r"(?m)^\[\[rules\]\]", TEXT.partition("# Two independent")[0])
    rest = "# Two independent" + TEXT.partition("# Two independent")[2]
    swapped = f"{head}[[rules]]{second}\n[[rules]]{first}\n{rest}"
    assert parse(swapped, "a").hash != parse(TEXT, "b").hash
