"""Reconciliation of stream and ClickHouse with a recount of the input, figure by figure.

Used at the end of `nps demo` and by end-to-end tests.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple, Protocol

from rich.table import Table

from schemas.codec import Codec, Undecodable
from schemas.events import Alert, Answer, Decision, PaneTally, Purchase, SegmentNps, SupportCase, SurveyDispatch
from schemas.ours import decode_ours
from schemas.topics import ALERTS, ANSWERS, DECISIONS, DISPATCHES, PANES, PURCHASES, ROLLING, SUPPORT
from streams.domain.ids import decision_id
from streams.kafka.ports import KafkaRecord, Reader
from streams.program import load
from streams.proof import recount
from streams.proof.decision_counts import PENDING, DecisionCounts
from streams.settings import Settings


class WarehouseFigures(Protocol):
    """The same figures as the warehouse has them; `sinks.clickhouse.figures` asks ClickHouse."""

    def counted_answers(self) -> object: ...  # noqa: D102
    def audit_findings(self) -> object: ...  # noqa: D102
    def ledger_findings(self) -> object: ...  # noqa: D102
    def ledger(self) -> tuple[object, ...]: ...  # noqa: D102
    def invitations(self) -> object: ...  # noqa: D102
    def suppressed(self) -> Mapping[str, object]: ...  # noqa: D102
    def dead_letters(self) -> Mapping[str, object]: ...  # noqa: D102
    def open_alerts(self) -> object: ...  # noqa: D102
    def segments(self) -> Mapping[str, tuple[object, ...]]: ...  # noqa: D102
    def windows(self) -> Mapping[tuple[str, str], tuple[object, ...]]: ...  # noqa: D102


Answers = list[recount.Counted]
"""The answers that count, by the recount."""

NOT_RECOUNTED = "-"
"""Stands for a recount that the input alone cannot give: a decision may depend on the order of reading topics."""


class Figure(NamedTuple):
    """A figure by the recount, by the stream and by ClickHouse; `recount` may be NOT_RECOUNTED."""

    name: str
    recount: object
    stream: object
    clickhouse: object

    @property
    def agrees(self) -> bool:
        """True when all that were counted are the same."""
        return self.stream == self.clickhouse and self.recount in (self.stream, NOT_RECOUNTED)


class Reconciliation(NamedTuple):
    """All figures; `ledger` counts the triggers' outcomes in a line, `dead` the dead letters by reason."""

    figures: list[Figure]
    ledger: str
    dead: Mapping[str, object]

    @property
    def agrees(self) -> bool:
        """True when every figure agrees and there are any."""
        return bool(self.figures) and all(figure.agrees for figure in self.figures)

    def table(self, at_most: int = 20) -> Table:
        """Render the figures, those that differ first."""
        table = Table(title="The same figure three times", title_justify="left")
        table.add_column("figure (promoters, passives, detractors: NPS)")
        for column in ("recount of the input", "stream", "ClickHouse", ""):
            table.add_column(column, justify="right")
        for figure in sorted(self.figures, key=lambda figure: figure.agrees)[:at_most]:
            table.add_row(*map(_text, figure), "same" if figure.agrees else "DIFFERENT")
        return table


def reconcile(reader: Reader, settings: Settings, codec: Codec, warehouse: WarehouseFigures) -> Reconciliation:
    """Compare every figure of the topics, of ClickHouse and of a recount."""
    limits = load(settings.program_path).limits
    rules = recount.Rules(limits.late_ms, limits.early_ms, limits.edit_ms)
    counted = recount.answers(reader, settings.partitions, codec, rules)
    stream = _StreamState(reader, settings.partitions, codec)
    parts = (_totals, _decision_counts, _alerts, _lifetimes, _windows)
    figures = [figure for part in parts for figure in part(counted, stream, warehouse)]
    return Reconciliation(figures, stream.ledger.line(), warehouse.dead_letters())


class _StreamState:
    """State of the output topics: the newest value of each key."""

    def __init__(self, reader: Reader, partitions: int, codec: Codec) -> None:
        self.panes: dict[bytes, PaneTally] = {}
        self.rolling: dict[tuple[str, str], SegmentNps] = {}
        self.ledger = DecisionCounts()
        self.alerts: dict[str, Alert] = {}
        self.triggers: set[str] = set()
        topics = (PANES, ROLLING, DECISIONS, DISPATCHES, ANSWERS, ALERTS, PURCHASES, SUPPORT)
        topic_partitions = [(topic.name, number) for topic in topics for number in range(partitions)]
        for (topic, _), record in reader.read(topic_partitions):
            with suppress(Undecodable):  # somebody else's
                self._take(topic, record, codec)

    def _take(self, topic: str, record: KafkaRecord, codec: Codec) -> None:
        key, value = record.key, record.value
        if value is None or key is None:
            return
        if topic == PANES.name:
            self.panes[key] = decode_ours(codec, PaneTally, key, value)
        elif topic == ROLLING.name:
            row = decode_ours(codec, SegmentNps, key, value)
            self.rolling[row.segment, row.window] = row
        elif topic == DECISIONS.name:
            self.ledger.take(decode_ours(codec, Decision, key, value))
        elif topic == DISPATCHES.name:
            self.ledger.take(decode_ours(codec, SurveyDispatch, key, value))
        elif topic == ANSWERS.name:
            self.ledger.take(decode_ours(codec, Answer, key, value))
        elif topic == ALERTS.name:
            alert = decode_ours(codec, Alert, key, value)
            self.alerts[alert.dedup_key] = alert
        else:
            self._take_trigger(topic, value, codec)

    def _take_trigger(self, topic: str, value: bytes, codec: Codec) -> None:
        is_purchase = topic == PURCHASES.name
        event = codec.decode(Purchase, value) if is_purchase else codec.decode(SupportCase, value)
        if not event.type.endswith((".returned", ".reopened")):
            self.triggers.add(decision_id(event.customer_id, event.source, event.id))


def _totals(counted: Answers, stream: _StreamState, warehouse: WarehouseFigures) -> Iterator[Figure]:
    in_panes = sum(_n(p) for p in stream.panes.values() if p.segment == "all" and p.resolution == "day")
    yield Figure("answers that count", len(counted), in_panes, warehouse.counted_answers())
    yield Figure("panes that differ from the answers (audit)", 0, 0, warehouse.audit_findings())


def _decision_counts(counted: Answers, stream: _StreamState, warehouse: WarehouseFigures) -> Iterator[Figure]:
    ledger, outcomes = stream.ledger, stream.ledger.outcomes()
    final = {trigger for trigger, (outcome, _) in ledger.decided.items() if outcome != PENDING}
    triggers, sent, suppressed, pending, answered = warehouse.ledger()
    yield Figure("triggers", len(stream.triggers), len(ledger.decided), triggers)
    yield Figure("= sent", len(ledger.dispatched), outcomes["sent"], sent)
    yield Figure("+ suppressed", len(final) - len(ledger.dispatched), outcomes["suppressed"], suppressed)
    yield Figure("+ pending", len(stream.triggers - final), outcomes[PENDING], pending)
    yield Figure("surveys sent", outcomes["sent"], len(ledger.dispatched), warehouse.invitations())
    yield Figure("surveys answered", len(counted), len(ledger.answered), answered)
    in_stream, in_warehouse = ledger.reasons(), warehouse.suppressed()
    for reason in sorted(in_stream.keys() | in_warehouse.keys()):
        yield Figure(f"suppressed: {reason}", NOT_RECOUNTED, in_stream[reason], in_warehouse.get(reason, 0))
    yield Figure("records that contradict each other (ledger audit)", 0, 0, warehouse.ledger_findings())


def _alerts(counted: Answers, stream: _StreamState, warehouse: WarehouseFigures) -> Iterator[Figure]:
    open_alerts = sum(1 for alert in stream.alerts.values() if alert.status == "open")
    detractors = sum(answer.score <= 6 for answer in counted)
    yield Figure("detractors with an open alert", detractors, open_alerts, warehouse.open_alerts())


def _lifetimes(counted: Answers, stream: _StreamState, warehouse: WarehouseFigures) -> Iterator[Figure]:
    in_panes: dict[str, list[int]] = {}
    for pane in stream.panes.values():
        if pane.resolution == "day":
            tally = in_panes.setdefault(pane.segment, [0, 0, 0])
            for place, count in enumerate((pane.promoters, pane.passives, pane.detractors)):
                tally[place] += count
    stored = warehouse.segments()
    recounted = recount.by_segment(counted)
    segments = recounted.keys() | in_panes.keys() | stored.keys()
    for segment in sorted(segments, key=lambda segment: -sum(recounted.get(segment, [0]))):
        recounted_tally, pane_tally = recounted.get(segment, [0, 0, 0]), in_panes.get(segment, [0, 0, 0])
        yield Figure(
            segment,
            (*recounted_tally, recount.nps(*recounted_tally)),
            (*pane_tally, recount.nps(*pane_tally)),
            stored.get(segment),
        )


def _windows(counted: Answers, stream: _StreamState, warehouse: WarehouseFigures) -> Iterator[Figure]:
    stored = warehouse.windows()
    for key, row in sorted(stream.rolling.items()):
        recounted_tally = recount.by_segment(counted, row.start_ms, row.as_of_ms).get(row.segment, [0, 0, 0])
        yield Figure(
            f"{row.segment} over {row.window}",
            (row.as_of_ms, *recounted_tally, recount.nps(*recounted_tally)),
            (row.as_of_ms, row.promoters, row.passives, row.detractors, row.nps),
            stored.get(key),
        )


def _n(pane: PaneTally) -> int:
    return pane.promoters + pane.passives + pane.detractors


def _text(value: object) -> str:
    if not isinstance(value, tuple):
        return str(value)
    *counts, nps = value[-4:]
    return f"{', '.join(map(str, counts))}: {nps}"
