"""The program file: whatever is wrong is one line that names the line; the hash names what the rules mean."""

import re
from importlib import resources
from pathlib import Path

import pytest

from streams.domain.bands import Banding
from streams.domain.panes import DAY_MS, HOUR_MS, Resolution
from streams.errors import BadProgram
from streams.program import load, parse

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
        ('where = { priority = ["normal", "high"] }', "where = { priority = 5 }", "got `int`"),
        ('where = { priority = ["normal", "high"] }', "where = { priority = { } }", "exactly one of equals, in"),
        ('where = { priority = ["normal", "high"] }', "where = { priority = { at_least = '5' } }", "Expected `float"),
        ('where = { priority = ["normal", "high"] }', "where = { priority = { more = 5 } }", "more"),
        ('hours = "09:00-20:00"', 'hours = "9-20"', "'9-20' are no hours"),
        ('hours = "09:00-20:00"', 'hours = "20:00-09:00"', "open before they close"),
        ('hours = "09:00-20:00"', 'hours = "09:00-24:01"', "open before they close"),
        ('time_zone = "UTC"', 'time_zone = "Europe/Berlim"', "'Europe/Berlim' is no IANA time zone"),
        ('spread = "1h"', 'spread = "1"', "'1' is no duration"),
        ('send_within = "1d"', 'send_within = "d"', "'d' is no duration"),
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


SUPPORT = 'on = ["case.solved"]'
"""Each of these texts is there once, so further keys can be put beside it."""


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("sample = 0.0", "> 0"),
        ("sample = 1.5", "<= 1"),
        ("reminders = -1", ">= 0"),
        ("at_most_a_day = 0", ">= 1"),
        ('remind_after = "0s"\nreminders = 1', "remind_after must be above 0"),
        ('channels = ["e-mail"]', "'e-mail' is no channel"),
        ('channels = ["sms", "sms"]', "twice"),
        ('locales = ["pt", "pt"]', "twice"),
        ('consent = "maybe"', "'required' or 'assumed'"),
        ('hours = "09:00"', "'09:00' are no hours"),
        ('time_zone = "Mars/Phobos"', "'Mars/Phobos'"),
        ("question_version = -1", ">= 0"),
        ("colour = 1", "colour"),
    ],
)
def test_every_mistake_in_a_rule_names_its_line(key: str, says: str) -> None:
    """The new keys of a rule, each alone."""
    bare = TEXT.replace('reminders = 1\nremind_after = "3d"\n\n', "\n")
    line, message = complaint(bare.replace(SUPPORT, f"{SUPPORT}\n{key}"))
    assert says in message
    assert line == line_of(SUPPORT, bare) + 1


@pytest.mark.parametrize("key", ["remind_after", "expires"])
def test_a_duration_that_is_none_is_named_in_its_own_rule(key: str) -> None:
    """Both rules have the key; the one that is wrong is the second's."""
    lines = re.sub(rf"(?m)^{key} = .*$", "", TEXT).splitlines()
    heads = [at for at, line in enumerate(lines) if line.startswith("[[rules]]")]
    for head, written in ((heads[1], "soon"), (heads[0], "14d")):
        lines.insert(head + 1, f'{key} = "{written}"')
    line, says = complaint("\n".join(lines))
    assert "'soon' is no duration" in says
    assert line == lines.index(f'{key} = "soon"') + 1


@pytest.mark.parametrize(
    ("before", "after", "here", "there", "says"),
    [
        ('name = "after-support"', 'name = "after-delivery"', -1, -1, "there twice"),
        (SUPPORT, 'on = ["order.delivered"]', 'on = ["order.delivered"]', 'on = ["order.delivered"]', "takes it first"),
        ('cancel_on = ["case.reopened"]', 'cancel_on = ["case.solved"]', "cancel_on", SUPPORT, "asks and cancels"),
        (SUPPORT, f'{SUPPORT}\nconsent = "required"', 'consent = "required"', 'name = "after-support"', "no channels"),
        ('expires = "14d"', 'expires = "3d"', "reminders", 'expires = "3d"', "after the survey has expired"),
        (SUPPORT, f'{SUPPORT}\ntime_zone = "UTC"\nhours = "always"', "time_zone", 'hours = "always"', "always"),
        ("[events]", '[events]\ntypes = ["case.solved"]', -1, 'types = ["case.solved"]', "events.types"),
    ],
)  # fmt: skip
def test_a_contradiction_names_both_lines(
    before: str, after: str, here: str | int, there: str | int, says: str
) -> None:
    """Whoever wrote one of the two meant something by it."""
    text = TEXT.replace(before, after)
    line, message = complaint(text)
    other = int(message.rpartition(", line ")[2])
    lines = text.splitlines()
    assert says in message
    assert line != other
    assert isinstance(here, int) or lines[line - 1].startswith(here)
    assert isinstance(there, int) or lines[other - 1].startswith(there)
    assert isinstance(here, str) or line in range(1, len(lines) + 1)


def test_a_file_without_the_newer_keys_is_as_before() -> None:
    """Always open, never too late, everybody, no channel, no reminder: as it was before there were such keys."""
    text = re.sub(r"(?ms)^\[sending\]\n.*?(?=^# How often)", "", TEXT)
    text = re.sub(r"(?m)^(reminders|remind_after) = .*$", "", text)
    for rule in parse(text, "old.toml").rules:
        assert (rule.hours, rule.send_within_ms, rule.sample, rule.channels, rule.reminders) == (None, None, 1, (), 0)


def test_what_the_shipped_program_says_about_sending() -> None:
    """Nine to eight, within a day, one reminder after three days; a rule may say otherwise."""
    for rule in load().rules:
        assert rule.hours is not None
        assert (rule.hours.opens_ms, rule.hours.closes_ms, rule.hours.jitter_ms) == (9 * HOUR_MS, 20 * HOUR_MS, HOUR_MS)
        assert (rule.send_within_ms, rule.reminders, rule.remind_after_ms) == (DAY_MS, 1, 3 * DAY_MS)
    _, own = parse(TEXT.replace(SUPPORT, f'{SUPPORT}\nhours = "10:00-10:30"\ntime_zone = "Asia/Kolkata"'), "own").rules
    assert own.hours is not None
    assert (own.hours.opens_ms, own.hours.time_zone, own.hours.jitter_ms) == (
        10 * HOUR_MS,
        "Asia/Kolkata",
        HOUR_MS // 2,
    )
    assert parse(TEXT.replace(SUPPORT, f'{SUPPORT}\nhours = "always"'), "own").rules[1].hours is None


@pytest.mark.parametrize(
    ("written", "good", "bad"),
    [
        ('"high"', ["high"], ["low", None]),
        ('["high", "low"]', ["high", "low"], ["High", None]),
        ('{ equals = "high" }', ["high"], ["low", None]),
        ('{ in = ["high", "low"] }', ["low"], ["", None]),
        ("{ at_least = 100 }", ["100", "100.5", "1e3"], ["99.9", "many", "", "nan", "inf", None]),
        ("{ exists = true }", ["", "x"], [None]),
        ("{ exists = false }", [None], ["", "x"]),
    ],
)
def test_conditions(written: str, good: list[str | None], bad: list[str | None]) -> None:
    """Each form takes what it says and nothing else."""
    rule = parse(TEXT.replace('{ priority = ["normal", "high"] }', f"{{ priority = {written} }}"), "own").rules[1]
    for value, holds in [*((value, True) for value in good), *((value, False) for value in bad)]:
        attributes = {} if value is None else {"priority": value}
        assert rule.matches("case.solved", attributes) == holds, value


def test_new_keys_change_the_hash_only_where_they_are_used() -> None:
    """What is left out has no part in it, so that a program does not change by what it could have said."""
    plain = parse(TEXT, "a").hash
    assert parse(TEXT.replace(SUPPORT, f"{SUPPORT}\npriority = 0"), "b").hash == plain
    assert parse(TEXT.replace(SUPPORT, f"{SUPPORT}\nsample = 0.5"), "c").hash != plain


def test_the_most_segments_with_rolling_rows() -> None:
    """10,000 when left out; none at all is refused with its line."""
    assert load().segments_at_most == 10_000
    said = TEXT.replace("# at_most = 10000 ", "at_most = 10000")
    assert parse(said.replace("at_most = 10000", "at_most = 7"), "my.toml").segments_at_most == 7
    wrong = said.replace("at_most = 10000", "at_most = 0")
    assert complaint(wrong)[0] == line_of("at_most = 0", wrong)


BANDS = TEXT.replace(
    '["country", "category"]\ncombinations', '["country", "category", "amount"]\ncombinations'
).replace('["country", "category"]]', '["country", "category"], ["amount"]]')
BANDS = re.sub(r"(?m)^# (\[segments\.bands.*|of = .*|names = .*|begin.*)$", r"\1", BANDS)


def test_bands_of_an_amount_are_a_dimension() -> None:
    """As the shipped file shows them; without them the program is the same as ever."""
    bands = parse(BANDS, "my.toml").bands
    assert bands == {"amount": Banding("amount_minor", ("small", "middle", "large"), {"EUR": (5_000.0, 20_000.0)})}


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("[5000, 20000]", "[20000, 5000]", "must rise"),
        ("[5000, 20000]", "[5000]", "must rise, and say where each of ['middle', 'large'] begins"),
        ("begin.EUR = [5000, 20000]", "begin = [5000, 20000]", "a list for each currency, as in begin.EUR"),
        ("begin.EUR", "begin.eur", "'eur' is no currency of ISO 4217"),
        ('of = "amount_minor"', 'of = "minutes"', "begin must be one list"),
        ('"small", "middle", "large"', '"small", "small", "large"', "all different"),
        ("[segments.bands.amount]", "[segments.bands.price]", "not in segments.dimensions"),
    ],
)
def test_bands_that_cannot_be(before: str, after: str, says: str) -> None:
    """One line in the table of the bands, or at the key that is wrong."""
    wrong = BANDS.replace(before, after)
    line, message = complaint(wrong)
    assert wrong != BANDS
    assert says in message
    assert "bands" in wrong.splitlines()[line - 1] or line == line_of(after, wrong)


CUSTOMER = TEXT + "\n[customer]\n"


@pytest.mark.parametrize(
    ("key", "most", "default"),
    [("scheduled", 200, 50), ("invitations", 400, 200), ("triggers", 2_000, 2_000), ("held", 64, 64)],
)
def test_what_is_known_of_a_customer_is_bounded(key: str, most: int, default: int) -> None:
    """Left out it is the default; the most is taken; below 1 or above the most is refused with its line."""
    assert getattr(load().customer, key) == getattr(parse(CUSTOMER, "my.toml").customer, key) == default
    known = "invitations = 400\n" if key == "scheduled" else ""
    assert getattr(parse(f"{CUSTOMER}{key} = {most}\n{known}", "my.toml").customer, key) == most
    for wrong in (0, -1, most + 1):
        line, message = complaint(f"{CUSTOMER}{key} = {wrong}\n")
        assert line == line_of("\n[customer]\n", CUSTOMER) + 2
        assert str(most if wrong > most else 1) in message


def test_more_scheduled_than_known_is_a_contradiction() -> None:
    """Both lines are named."""
    line, message = complaint(f"{CUSTOMER}scheduled = 20\ninvitations = 10\n")
    assert (line, "customer.invitations" in message) == (line_of("\n[customer]\n", CUSTOMER) + 2, True)
    assert message.endswith(f"line {line + 1}")


def test_a_condition_on_more_than_is_kept_is_refused() -> None:
    """Attributes are cut at 64 characters, so a longer value would never hold."""
    where = 'where = { priority = ["normal", "high"] }'
    line, message = complaint(TEXT.replace(where, 'where = { priority = "' + "x" * 65 + '" }'))
    assert (line, "cut at 64 characters" in message) == (line_of(where), True)


KEYS = [
    (number, match[1])
    for number, line in enumerate(TEXT.splitlines(), 1)
    if (match := re.match(r"([a-z_]{4,}) = ", line))
    and match[1][2] != match[1][3]
    and match[1] not in ("delivery", "support")
]


@pytest.mark.parametrize(("number", "key"), KEYS, ids=[f"{number}-{key}" for number, key in KEYS])
def test_a_typo_in_any_key_is_named_with_its_line_and_the_key_that_was_meant(number: int, key: str) -> None:
    """Two letters that changed places, in each key of the shipped program; no key of another table is suggested."""
    typo = key[:2] + key[3] + key[2] + key[4:]
    lines = TEXT.splitlines()
    lines[number - 1] = lines[number - 1].replace(key, typo, 1)
    assert complaint("\n".join(lines)) == (number, f"there is no key {typo!r} here, did you mean {key!r}?")


DROPS = TEXT + "\n[drops]\n"


def test_falls_are_judged_only_where_the_file_says_so() -> None:
    """Without the table nobody judges; an empty one has the defaults, and changes the program's hash."""
    assert load().falls is None
    program = parse(DROPS, "my.toml")
    assert program.falls is not None
    assert [window.name for window in program.falls.windows] == ["6h", "1d", "3d", "7d", "14d"]
    assert (program.falls.false_alerts_a_year, program.falls.segments, program.falls.ignore) == (52, 100, 2)
    assert program.hash != load().hash


def test_panes_live_as_long_as_falls_look_back() -> None:
    """A window of 28 days and the 28 whole days before it; without long rolling windows that is what decides."""
    short = DROPS.replace('lengths = ["1h", "24h", "7d", "30d", "90d"]', 'lengths = ["1h"]') + 'windows = ["6h", "28d"]'
    without, judged = parse(short.split("\n[drops]\n")[0], "my.toml"), parse(short, "my.toml")
    assert judged.pane_life_ms[Resolution.DAY] - without.pane_life_ms[Resolution.DAY] >= (57 - 16) * DAY_MS
    assert judged.pane_life_ms[Resolution.HOUR] >= 28 * DAY_MS + HOUR_MS
    assert judged.pane_life_ms[Resolution.MINUTE] == without.pane_life_ms[Resolution.MINUTE]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('windows = ["6"]', "'6' is no duration"),
        ('windows = ["90m"]', "'90m' must be whole hours, at most 28d"),
        ('windows = ["29d"]', "'29d' must be whole hours, at most 28d"),
        ('windows = ["1d", "6h"]', "each longer than the one before"),
        ('windows = ["1d", "24h"]', "each longer than the one before"),
        ("windows = []", "must be 1 to 8"),
        ("false_alerts_a_year = 0", "> 0"),
        ("segments = 0", ">= 1"),
        ("ignore = 101", "<= 100"),
        ("ignored = 1", "there is no key 'ignored' here, did you mean 'ignore'?"),
    ],
)
def test_every_mistake_about_falls_names_its_line(line: str, says: str) -> None:
    """Lengths, order, numbers and keys."""
    number, message = complaint(DROPS + line)
    assert says in message
    assert number == line_of("\n[drops]\n", DROPS) + 2


def test_themes_of_comments_are_put_over_those_that_ship() -> None:
    """A language that is left out keeps its stems, a new name is a new theme, and no decision's hash changes."""
    added = '[themes.support]\npt = ["Reembôlso"]\n[themes.returns]\nen = ["send back"]\n'
    program = parse(f"{TEXT}\n{added}", "my.toml")
    shipped = load().comments.themes
    assert program.comments.themes["support"] == {**shipped["support"], "pt": ["reembolso"]}
    assert program.comments.themes["returns"] == {"en": ["send back"]}
    assert program.hash == load().hash


@pytest.mark.parametrize(
    ("added", "says"),
    [
        ('[themes.support]\npt = ["a,b"]', "a stem is letters"),
        ('[themes."Our support"]\npt = ["a"]', "is no name of a theme"),
        ('[themes.support]\nit = ["a"]', "'it'"),
        ('[comments]\nmodel = "a.model"\nmodel_hash = "abc"', "model_hash is the 12 letters"),
        ('[comments]\nmodel = "a.model"', "model_hash"),
    ],
)
def test_themes_and_models_that_are_none_are_refused(added: str, says: str) -> None:
    """One line names the place."""
    line, message = complaint(f"{TEXT}\n{added}\n")
    assert says in message
    assert line > len(TEXT.splitlines())
