"""`nps why`: one customer's story as ClickHouse has it, and why the customer was asked, or was not."""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import NamedTuple

from schemas.reasons import Reason
from sinks.clickhouse.client import connect
from sinks.clickhouse.story import Fields, StoryEntry, story
from streams.commands.session import in_force, out, table_of
from streams.errors import ExitCode

MEANINGS = {reason.value: reason.meaning for reason in Reason}


class Line(NamedTuple):
    """One line of the story: when, in milliseconds, what, and the particulars."""

    at_ms: int
    what: str
    detail: str


def why(parsed: argparse.Namespace) -> int:
    """Tell a customer's story, oldest first; 0 also when there is none."""
    settings = in_force()
    with closing(connect(settings.clickhouse_url, within_s=settings.server_wait_s)) as warehouse:
        lines = told(story(warehouse, parsed.customer))
    if not lines:
        out.print(f"nothing is known of customer {parsed.customer}")
        return ExitCode.OK
    table = table_of("time (UTC)", "what", "detail")
    for line in lines:
        table.add_row(_moment(line.at_ms), line.what, line.detail)
    out.print(table)
    return ExitCode.OK


def told(entries: list[StoryEntry]) -> list[Line]:
    """The story in words: a decision is two lines, its trigger's and its own; a cause comes before what it led to."""
    lines = [line for entry in entries for line in _TELLERS[entry.kind](entry)]
    return sorted(lines, key=lambda line: (line.at_ms, _ORDER.index(line.what.partition(" ")[0])))


def _decision(entry: StoryEntry) -> Iterator[Line]:
    f = entry.fields
    cause = f"{f['trigger_type']} {f['trigger_source']}/{f['trigger_id']} about {f['correlation_id']}"
    yield Line(_int(f["trigger_ms"]), "trigger", cause)
    asked = f"{f['survey']} by rule {f['rule']}" if f["rule"] else "no survey"
    if f["outcome"] == "suppressed":
        by = f", because of {f['cause_id']}" if f["cause_id"] else ""
        yield Line(entry.at_ms, "suppressed", f"{asked}: {_reason(f['reason'])}{by}")
    elif f["outcome"] == "pending":
        yield Line(_int(f["trigger_ms"]), "pending", f"{asked}, due {_moment(entry.at_ms)}")
    else:
        on = f" on {f['channel']}" if f["channel"] else ""
        late = f", {_int(f['lag_ms']) / 1_000:g} s after the trigger" if f["lag_ms"] is not None else ""
        yield Line(entry.at_ms, "sent", f"{asked}{on}{late}{_sampled(f)}")


def _dispatch(entry: StoryEntry) -> Iterator[Line]:
    f = entry.fields
    what = f"reminder {f['reminder']}" if f["reminder"] else "message"
    how = ", ".join(str(f[name]) for name in ("channel", "locale") if f[name])
    question = f"question {f['question']} version {f['question_version']}"
    until = f"open until {_moment(_int(f['expires_ms']))}"
    parts = (f"{f['survey']}, {question}", how, until, f"survey {f['survey_id']}")
    yield Line(entry.at_ms, what, ", ".join(part for part in parts if part))


def _answer(entry: StoryEntry) -> Iterator[Line]:
    f = entry.fields
    said = "no score" if f["score"] is None else f"{f['score']} ({f['band']})" if f["band"] else str(f["score"])
    comment = f", “{f['comment']}”" if f["comment"] else ""
    counts = "counts" if f["counted"] else f"does not count: {_reason(f['flag'])}"
    yield Line(entry.at_ms, "answer", f"{said}{comment}, revision {f['revision']}, {counts}, survey {f['survey_id']}")


def _alert(entry: StoryEntry) -> Iterator[Line]:
    f = entry.fields
    score = "no score" if f["score"] is None else f"score {f['score']}"
    said = f"{f['status']}, {f['severity']}, {score}, revision {f['revision']}, {f['survey']}"
    yield Line(entry.at_ms, "alert", said)


def _dead_letter(entry: StoryEntry) -> Iterator[Line]:
    f = entry.fields
    where = f"{f['origin_topic']} partition {f['origin_partition']} offset {f['origin_offset']}"
    yield Line(entry.at_ms, "dead letter", f"{_reason(f['reason'])} ({f['detail']}), {where}")


def _erasure(entry: StoryEntry) -> Iterator[Line]:
    f = entry.fields
    state = f"done {_moment(_int(f['done_ms']))}, {f['emptied_rows']} rows emptied" if f["done_ms"] else "under way"
    yield Line(entry.at_ms, "erased", f"what came before is gone: {state}")


_TELLERS: dict[str, Callable[[StoryEntry], Iterator[Line]]] = {
    "decisions": _decision,
    "dispatches": _dispatch,
    "answers": _answer,
    "alerts": _alert,
    "dead_letters": _dead_letter,
    "erasures": _erasure,
}
_ORDER = ("trigger", "pending", "suppressed", "sent", "message", "reminder", "answer", "alert", "dead", "erased")
"""What comes first of two lines of the same moment."""


def _sampled(fields: Fields) -> str:
    share = fields["probability"]
    return f", one of {share:.0%} asked" if isinstance(share, float) and share < 1 else ""


def _reason(word: object) -> str:
    return f"{word} - {MEANINGS[str(word)]}" if str(word) in MEANINGS else str(word)


def _moment(at_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at_ms / 1_000))


def _int(value: object) -> int:
    return int(str(value))
