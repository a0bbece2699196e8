"""The invariants of a pipeline at rest: what lies in Kafka and ClickHouse against the oracle, each with its figures.

    findings = judge(look(bootstrap, clickhouse_url), read_terms(program))

    I1  each accepted answer is there, revision by revision, and its row in ClickHouse is the highest; what waited for
        its survey or for a sign of a machine was put back once
    I2  every pane of every source partition is the oracle's tally, in the topic, the table and the audit
    I3  every window's last row is the sum of the oracle's panes over its range, and no window lags behind the clock
    I4  one alert for each revision that must alert or resolve, none else; repeats are equal
    I5  the right decision for each trigger, a dispatch for each that was sent and each reminder, none before it was
        due, and nothing that is due left undone
    I6  what could not be used, and nothing else, is a dead letter, bytes, headers and timestamp unchanged
    I7, I8  see `sampling`
    I9  versions: see `check_versions`

Wait until the pipeline is at rest before: what is on its way is taken for missing.
"""

from collections.abc import Collection, Sequence

from schemas.events import SegmentNps
from tests.faults.harness.reading import World, read_world
from tests.faults.harness.report import Finding
from tests.faults.harness.sampling import Sample
from tests.faults.oracle import ledger
from tests.faults.oracle.comparison import compare
from tests.faults.oracle.effects import effects_of
from tests.faults.oracle.expected import Expected, expect
from tests.faults.oracle.inputs import RECORDS
from tests.faults.oracle.numbers import Panes, added, figures
from tests.faults.oracle.outputs import ROLLING, TOPICS, Outputs, decode
from tests.faults.oracle.samples import check_commits, check_lag, check_memory
from tests.faults.oracle.terms import Terms
from tests.faults.oracle.versions import check_repeats, check_versions
from tests.faults.oracle.warehouse_rows import TABLES, check_tables, pane_tallies

SETTLE_MS = 15_000
"""What became due so shortly before the check may still be on its way."""

SINK_REASONS = frozenset({"refused_by_warehouse", "undelivered"})
"""Dead letters that tell of a target, not of a record."""


def look(bootstrap: str, clickhouse_url: str, now_ms: int | None = None) -> World:
    """Everything that there is to be judged.  Raises Unreadable when Kafka or ClickHouse cannot be read."""
    return read_world(bootstrap, clickhouse_url, [*RECORDS, *TOPICS], TABLES, now_ms)


def judge(
    world: World,
    terms: Terms,
    *,
    settle_ms: int = SETTLE_MS,
    slack_ms: int = 0,
    tolerated: Collection[str] = (),
    samples: Sequence[Sample] = (),
    most_bytes: int | None = None,
) -> list[Finding]:
    """I1 to I6 and I9 of what lay there, with `samples` I7 and I8 of what was there meanwhile.

    Without tables in it ClickHouse is left out.  `most_bytes` bounds the memory of each sampled process.  `settle_ms`
    is how long what became due may take, `slack_ms` how far behind the others one topic may have been read while
    producers wrote (see `expected`).  `tolerated` are reasons of dead letters that the scenario makes on purpose
    besides those of its input, see `SINK_REASONS`.
    """
    outputs = decode(world)
    settled_ms = world.now_ms - settle_ms
    expected = expect(world, outputs, terms, settled_ms, slack_ms)
    findings = [
        compare("I1", "answers, revision by revision", expected.outcome.answers, expected.found.answers),
        *ledger.check_put_back(expected),
        check_panes(expected, outputs),
        check_windows(expected, outputs, terms, world.now_ms, settle_ms),
        compare("I4", "alerts, by id", expected.outcome.alerts, expected.found.alerts),
        *ledger.check_asking(expected, settled_ms),
        ledger.check_due(outputs),
        check_dead(expected, outputs, tolerated),
        *check_repeats(outputs),
        *check_versions(outputs),
    ]
    if samples:
        findings += [check_commits(samples, effects_of(expected, outputs)), check_lag(samples)]
    if most_bytes:
        findings.append(check_memory(samples, most_bytes))
    return [*findings, *check_tables(world, outputs)] if world.tables is not None else findings


def check_panes(expected: Expected, outputs: Outputs) -> Finding:
    """I2: the last tally of each pane and source partition; an empty one is as good as none."""
    return compare("I2", "panes, by source partition", expected.panes, pane_tallies(outputs))


def check_windows(expected: Expected, outputs: Outputs, terms: Terms, now_ms: int, settle_ms: int) -> Finding:
    """I3: the last row of each segment and window, its sums, its figures and its age."""
    last: dict[tuple[str, str], SegmentNps] = {}
    for row in outputs.values(ROLLING, SegmentNps):
        last[row.segment, row.window] = row
    panes = Panes(added(expected.panes), terms)
    wanted: dict[tuple[str, str], object] = {}
    found: dict[tuple[str, str], object] = {}
    for key in {(segment, name) for segment in panes.segments for name in terms.windows_ms} | last.keys():
        due_ms, row_or_none = panes.end_ms(key[1], now_ms - settle_ms), last.get(key)
        is_needed = any(panes.window(*key, due_ms))
        if row_or_none is None:
            if is_needed:
                wanted[key] = panes.window(*key, due_ms)
            continue
        row = row_or_none
        tally = panes.window(*key, row.as_of_ms)
        told = (row.promoters, row.passives, row.detractors)
        wanted[key] = (tally, sum(tally), figures(tally), sum(tally) >= terms.minimum_n,
                       row.as_of_ms - terms.windows_ms[key[1]], is_needed)  # fmt: skip
        found[key] = (told, row.n, (row.nps, row.low, row.high, row.margin), row.enough,
                      row.start_ms, is_needed and row.as_of_ms >= due_ms)  # fmt: skip
    return compare("I3", "windows, last row of each", wanted, found)


def check_dead(expected: Expected, outputs: Outputs, tolerated: Collection[str]) -> Finding:
    """I6: the dead letters with all that they were, by where they lay."""
    found: dict[object, object] = {}
    for place, deaths in outputs.deaths.items():
        kept = {reason: copies for reason, copies in deaths.items() if reason not in tolerated}
        if kept:
            reason, copies = next(iter(kept.items()))
            buried = copies[0]
            found[place] = (reason, buried.row.key, buried.row.value, buried.headers, buried.timestamp_ms)
    wanted: dict[object, object] = {}
    for place, reason in expected.outcome.dead.items():
        row = expected.read[place].row
        wanted[place] = (reason, row.key, row.value, row.headers, row.timestamp_ms)
    found |= {("unlabelled", row.offset): row for row in outputs.unlabelled}
    return compare("I6", "dead letters, byte by byte", wanted, found)


def differing(findings: Sequence[Finding]) -> list[Finding]:
    """Those that do not hold."""
    return [found for found in findings if not found.holds]
