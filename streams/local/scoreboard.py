"""Scoreboard of the running demo: rolling NPS by segment and window, detractors, alerts, and the ledger."""

import time
from collections import Counter

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition
from rich.columns import Columns
from rich.table import Table

from schemas.codec import Codec
from schemas.events import Alert, Answer, Decision, SegmentNps, SurveyDispatch
from schemas.topics import ALERTS, ANSWERS, DECISIONS, ROLLING
from streams.proof.decision_counts import TOPICS as DECISION_TOPICS
from streams.proof.decision_counts import DecisionCounts

WINDOWS = ("1h", "24h", "30d")
SEGMENTS = ("all", "country=BR", "country=DE", "country=US", "category=toys", "country=DE,category=toys")


class Board:
    """Scoreboard of the newest rows of nps.rolling, the alerts so far and the ledger, read from Kafka."""

    def __init__(self, brokers: str, partitions: int, codec: Codec) -> None:
        self._codec = codec
        self._rows: dict[tuple[str, str], SegmentNps] = {}
        self._alerts: Counter[str] = Counter()
        self._alert_ids: set[str] = set()
        self.alert: Alert | None = None
        """The newest alert with a comment; without any, the newest one."""
        self._decision_counts = DecisionCounts()
        self._printed = time.monotonic()
        self._consumer = Consumer({"bootstrap.servers": brokers, "group.id": "nps-board"})
        topics = (ROLLING, ALERTS, *DECISION_TOPICS)
        partitions_read = [(topic.name, number) for topic in topics for number in range(partitions)]
        self._consumer.assign([TopicPartition(*partition, OFFSET_BEGINNING) for partition in partitions_read])

    def update(self) -> None:
        """Read the records that came since."""
        for message in self._consumer.consume(5_000, timeout=0.01):
            if message.error() is not None or message.value() is None:
                continue
            self._take(message)

    def close(self) -> None:
        """Close the connection to Kafka."""
        self._consumer.close()

    def is_due(self, every_s: float) -> bool:
        """Return True once in `every_s` seconds."""
        due = time.monotonic() - self._printed >= every_s
        if due:
            self._printed = time.monotonic()
        return due

    def shown(self, left_s: float) -> Columns:
        """Render the board for a terminal: NPS, and the ledger beside it, or below where there is no room."""
        return Columns([self._table(left_s), self._decision_counts.table()])

    def lines(self, left_s: float) -> str:
        """Render the board for a log file: a line for NPS and one for the ledger."""
        return f"{self._line(left_s)}\n{self._decision_counts.line()}"

    def _table(self, left_s: float) -> Table:
        title = f"rolling NPS with 95 % interval, {left_s:.0f} s left, alerts: {self._alert_text()}"
        table = Table(title=title, title_justify="left")
        table.add_column("segment")
        for window in WINDOWS:
            table.add_column(window, justify="right")
            table.add_column("n", justify="right")
        table.add_column("detractors 1h", justify="right")
        for segment in SEGMENTS:
            rows = [self._rows.get((segment, window)) for window in WINDOWS]
            cells = [cell for row in rows for cell in (_score(row), str(row.n) if row else "0")]
            table.add_row(segment, *cells, str(rows[0].detractors) if rows[0] else "0")
        return table

    def _line(self, left_s: float) -> str:
        parts = [f"{segment} {_score(self._rows.get((segment, '1h')))}" for segment in (SEGMENTS[0], SEGMENTS[-1])]
        total = self._rows.get(("all", "1h"))
        return (
            f"{left_s:3.0f} s left  1h: {'  '.join(parts)}  n={total.n if total else 0}  alerts: {self._alert_text()}"
        )

    def _take(self, message: Message) -> None:
        topic, value = message.topic(), message.value()
        if topic == ROLLING.name:
            row = self._codec.decode(SegmentNps, value)
            self._rows[row.segment, row.window] = row
        elif topic == ALERTS.name:
            self._take_alert(self._codec.decode(Alert, value))
        elif topic == DECISIONS.name:
            self._decision_counts.take(self._codec.decode(Decision, value))
        elif topic == ANSWERS.name:
            self._decision_counts.take(self._codec.decode(Answer, value))
        else:
            self._decision_counts.take(self._codec.decode(SurveyDispatch, value))

    def _take_alert(self, alert: Alert) -> None:
        if alert.alert_id not in self._alert_ids:
            self._alert_ids.add(alert.alert_id)
            self._alerts[alert.severity if alert.status == "open" else "resolved"] += 1
            if alert.comment or self.alert is None or not self.alert.comment:
                self.alert = alert

    def _alert_text(self) -> str:
        return ", ".join(f"{count} {name}" for name, count in sorted(self._alerts.items())) or "none"


def _score(row: SegmentNps | None) -> str:
    if row is None or row.nps is None or row.low is None or row.high is None:
        return "-"
    return f"{row.nps:+.1f} [{row.low:+.0f} {row.high:+.0f}]{'' if row.enough else ' few'}"
