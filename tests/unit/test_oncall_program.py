"""The on-call tables of the program file: what would tell nobody, or never happen, is one line that names the line."""

import re
from importlib import resources

import pytest

from streams.domain.incidents.rules import DEFAULT_RULES, Subject
from streams.errors import BadProgram
from streams.program import load, parse

TEXT = (resources.files("streams") / "nps.toml").read_text(encoding="utf-8")
TABLES = """
[oncall]
wait = "10s"
repeat = "1h"
[receivers.chat]
kind = "slack"
channel = "C0123"
comments = true
[receivers.lead]
kind = "email"
[[routes]]
name = "low"
match = { kind = ["detractor"], segment = ["country=BR"], score = { at_most = 2 }, comment = "(?i)refund" }
group_by = ["country"]
steps = [{ after = "0s", to = ["chat"] }, { after = "15m", to = ["lead"] }]
mute = { hours = "20:00-08:00", time_zone = "Europe/Berlin", except = ["critical"] }
[[routes]]
name = "rest"
steps = [{ after = "0s", to = ["lead"] }]
[[silences]]
match = { kind = ["fall"] }
until = 2030-01-01T00:00:00Z
"""
START = TEXT.count("\n")


def test_nothing_said_is_the_console() -> None:
    """The shipped program routes all to one receiver, and its hash is what it was without the tables."""
    oncall = load().oncall
    assert oncall.routes == DEFAULT_RULES.routes
    assert oncall.receivers == DEFAULT_RULES.receivers
    assert (oncall.wait_ms, oncall.keep_ms) == (30_000, 8 * 86_400_000)
    assert oncall.program == load().hash


def test_what_is_said() -> None:
    """The first route that matches is taken."""
    oncall = parse(TEXT + TABLES, "my.toml").oncall
    assert (oncall.wait_ms, oncall.repeat_ms, len(oncall.silences)) == (10_000, 3_600_000, 1)
    assert (oncall.receivers["chat"].comments, oncall.receivers["chat"].options) == (True, {"channel": "C0123"})
    segments = ("all", "country=BR")
    assert oncall.route_of(Subject("detractor", "critical", segments, 1, "Refund me")).name == "low"
    for other in (
        Subject("detractor", "critical", ("all",), 1, "refund"),
        Subject("detractor", "critical", segments, 3, "refund"),
        Subject("detractor", "critical", segments, 1, None),
        Subject("fall", "error", segments),
    ):
        assert oncall.route_of(other).name == "rest"


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('repeat = "1h"', 'repeat = "1m"', "shorter than oncall.interval"),
        ('wait = "10s"', 'wait = "10"', "'10' is no duration"),
        ('kind = "slack"', "kind = 5", "needs a kind"),
        ("comments = true", "comments = 1", "must be true or false"),
        ("[receivers.lead]", "[receivers.Lead]", "'Lead' is no name for a receiver"),
        ('to = ["chat"] }', 'to = ["chap"] }', "'chap' is no receiver: write chat, lead"),
        ('{ after = "15m"', '{ after = "0s"', "it would never be taken"),
        ('to = ["chat"] }', "to = [] }", "nobody"),
        ('group_by = ["country"]', 'group_by = ["county"]', "'county' is nothing to group by"),
        ('kind = ["detractor"]', 'kind = ["detracter"]', "'detracter' is no kind of incident"),
        ('"(?i)refund"', '"(refund"', "is no regular expression"),
        ('"20:00-08:00"', '"20-8"', "are no hours"),
        ('"20:00-08:00"', '"20:00-20:00"', "must not begin where they end"),
        ("Europe/Berlin", "Europe/Berlim", "no IANA time zone"),
        ('except = ["critical"]', 'except = ["bad"]', "'bad' is no severity"),
        ('name = "rest"\n', 'name = "rest"\nmatch = { kind = ["fall"] }\n', "others would page nobody"),
        ('name = "rest"', 'name = "low"', "'low' is there twice"),
        ("match = { kind = [\"fall\"] }", "match = { comment = \"a\" }", "no one score or comment"),
        ("2030-01-01T00:00:00Z", "2030-01-01T00:00:00", "no time zone"),
    ],
)  # fmt: skip
def test_refused(before: str, after: str, says: str) -> None:
    """With the line it is on, or the one above it."""
    assert TABLES.count(before) == 1, before
    text = TEXT + TABLES.replace(before, after)
    with pytest.raises(BadProgram) as caught:
        parse(text, "my.toml")
    match = re.fullmatch(r"my\.toml:(\d+): ([^\n]+)", str(caught.value))
    assert match, str(caught.value)
    assert says in match[2]
    wanted = START + TABLES[: TABLES.index(before)].count("\n") + 1
    assert wanted - 1 <= int(match[1]) <= wanted + 1


def test_a_route_behind_one_that_takes_everything() -> None:
    """It would never be taken."""
    text = TABLES.replace('match = { kind = ["detractor"], segment', "#")
    with pytest.raises(BadProgram, match="'rest' is never taken: route 'low' takes everything first"):
        parse(TEXT + text, "my.toml")
