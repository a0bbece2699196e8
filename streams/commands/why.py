"""`nps why`: prints one customer's story as ClickHouse has it, with the reason why the customer was asked or not."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import NamedTuple

from schemas.reasons import Reason
from sinks.clickhouse.story import Fields, StoryEntry, story
from streams.commands.session import cell, moment, out, read_settings, show, table_of
from streams.commands.warehouse import warehouse_of
from streams.errors import ExitCode

MEANINGS = {reason.value: reason.meaning for reason in Reason}


class Line(NamedTuple):
    """Line of the story: its instant in milliseconds, the kind of event, the particulars."""

    at_ms: int
    kind: str
    detail: str


def run(parsed: argparse.Namespace) -> int:
    """Print a customer's story, oldest first; returns 0 also when there is none."""
    settings = read_settings()
    with closing(warehouse_of(settings)) as warehouse:
        lines = _lines(story(warehouse, parsed.customer))
    if not lines:
        out.print(f"nothing is known of customer {cell(parsed.customer)}")
        return ExitCode.OK
    table = table_of("time (UTC)", "what", "detail")
    for line in lines:
        table.add_row(moment(line.at_ms), line.kind, cell(line.detail))
    show(table)
    return ExitCode.OK


def _lines(entries: list[StoryEntry]) -> list[Line]:
    """Word the story: a decision makes two lines, its trigger's and its own; a cause precedes its effects."""
    lines = [line for entry in entries for line in _WORDINGS[entry.kind](entry)]
    return sorted(lines, key=lambda line: (line.at_ms, _ORDER.index(line.kind.partition(" ")[0])))


def _decision(entry: StoryEntry) -> Iterator[Line]:
    row = entry.fields
    cause = f"{row['trigger_type']} {row['trigger_source']}/{row['trigger_id']} about {row['correlation_id']}"
    yield Line(_int(row["triggered_at"]), "trigger", cause)
    survey = f"{row['survey']} by rule {row['rule']}" if row["rule"] else "no survey"
    if row["outcome"] == "suppressed":
        cause_id = f", because of {row['cause_id']}" if row["cause_id"] else ""
        yield Line(entry.at_ms, "suppressed", f"{survey}: {_reason(row['reason'])}{cause_id}")
    elif row["outcome"] == "pending":
        yield Line(_int(row["triggered_at"]), "pending", f"{survey}, due {moment(entry.at_ms)}")
    else:
        channel = f" on {row['channel']}" if row["channel"] else ""
        delay = f", {_int(row['lag_ms']) / 1_000:g} s after the trigger" if row["lag_ms"] is not None else ""
        yield Line(entry.at_ms, "sent", f"{survey}{channel}{delay}{_sampled(row)}")


def _dispatch(entry: StoryEntry) -> Iterator[Line]:
    row = entry.fields
    label = f"reminder {row['reminder']}" if row["reminder"] else "message"
    delivery = ", ".join(str(row[name]) for name in ("channel", "locale") if row[name])
    question = f"question {row['question']} version {row['question_version']}"
    until = f"open until {moment(_int(row['expires_at']))}"
    parts = (f"{row['survey']}, {question}", delivery, until, f"survey {row['survey_id']}")
    yield Line(entry.at_ms, label, ", ".join(part for part in parts if part))


def _answer(entry: StoryEntry) -> Iterator[Line]:
    row = entry.fields
    band = f" ({row['band']})" if row["band"] else ""
    score = "no score" if row["score"] is None else f"{row['score']}{band}"
    comment = f", “{row['comment']}”" if row["comment"] else ""
    counts = "counts" if row["counted"] else f"does not count: {_reason(row['flag'])}"
    detail = f"{score}{comment}, revision {row['revision']}, {counts}, survey {row['survey_id']}"
    yield Line(entry.at_ms, "answer", detail)


def _alert(entry: StoryEntry) -> Iterator[Line]:
    row = entry.fields
    score = "no score" if row["score"] is None else f"score {row['score']}"
    detail = f"{row['status']}, {row['severity']}, {score}, revision {row['revision']}, {row['survey']}"
    yield Line(entry.at_ms, "alert", detail)


def _dead_letter(entry: StoryEntry) -> Iterator[Line]:
    row = entry.fields
    place = f"{row['origin_topic']} partition {row['origin_partition']} offset {row['origin_offset']}"
    yield Line(entry.at_ms, "dead letter", f"{_reason(row['reason'])} ({row['detail']}), {place}")


def _erasure(entry: StoryEntry) -> Iterator[Line]:
    row = entry.fields
    state = (
        f"done {moment(_int(row['done_at']))}, {row['emptied_rows']} rows emptied" if row["done_at"] else "under way"
    )
    yield Line(entry.at_ms, "erased", f"what came before is gone: {state}")


_WORDINGS: dict[str, Callable[[StoryEntry], Iterator[Line]]] = {
    "decisions": _decision,
    "dispatches": _dispatch,
    "answers": _answer,
    "alerts": _alert,
    "dead_letters": _dead_letter,
    "erasures": _erasure,
}
_ORDER = ("trigger", "pending", "suppressed", "sent", "message", "reminder", "answer", "alert", "dead", "erased")
"""Order of lines of the same instant, by the first word of their kind."""


def _sampled(row: Fields) -> str:
    share = row["probability"]
    return f", one of {share:.0%} asked" if isinstance(share, float) and share < 1 else ""


def _reason(word: object) -> str:
    return f"{word} - {MEANINGS[str(word)]}" if str(word) in MEANINGS else str(word)


def _int(value: object) -> int:
    return int(str(value))
