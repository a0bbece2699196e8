"""Everything that the page shows, folded from records of Kafka in bounded memory.

Records come in the order of their partition, so the last one of a key holds; versions guard what restarts write again.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas import oncall
from schemas.deadletters import unwrap_any
from schemas.events import Answer, Case, Delivery, Erasure, Fall, Incident, SegmentNps
from schemas.reasons import Reason
from schemas.topics import DEAD, INCIDENTS
from streams import metrics
from streams.domain.segments import ALL
from streams.kafka.ports import KafkaRecord
from streams.page.feed import FeedRecord
from streams.page.shelf import Shelf

MOST_SEGMENTS = 200
"""Segments that the page shows: `all`, then those with most answers."""

MOST_WINDOWS = 20
MOST_INCIDENTS = 500
MOST_CASES = 2_000
MOST_COMMENTS = 2_000
MOST_ANSWERS = 50
MOST_DELIVERIES = 10_000
MOST_ERASURES = 10_000
SHOWN_MEMBERS = 20
"""Members of an incident that are sent, worst first."""

POINTS = 40
"""Points of a trend: each stands for a fortieth of its window."""

SHORTEST_POINT_MS = 60_000
HOUR_MS = 3_600_000
LETTER_HOURS = 24
STALLED_MS = 300_000
"""Time without a rolling row after which the worker is called silent: windows of answers move each minute."""

REASONS = frozenset(reason.value for reason in Reason)


@dataclass(slots=True)
class ShownFigure:
    """Rolling NPS of a segment and window with its trend: the NPS of each point of time, by the point's number."""

    row: SegmentNps
    trend: deque[tuple[int, float | None]] = field(default_factory=lambda: deque(maxlen=POINTS))

    def take(self, row: SegmentNps) -> None:
        """Take a newer row in."""
        self.row = row
        point = row.as_of_ms // max(SHORTEST_POINT_MS, (row.as_of_ms - row.start_ms) // POINTS)
        if self.trend and self.trend[-1][0] >= point:
            point = self.trend.pop()[0]
        self.trend.append((point, row.nps))


class OpenIncident(NamedTuple):
    """Incident that is not resolved, with what its JSON fields say."""

    record: Incident
    members: tuple[oncall.CaseMember, ...]
    fall: oncall.FallFacts | None


class LiveBoard:
    """State of the page.  `now_ms` is the wall clock."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self.now_ms = now_ms
        self.figures: Shelf[ShownFigure] = Shelf(MOST_SEGMENTS * MOST_WINDOWS)
        self.falls: Shelf[Fall] = Shelf(MOST_SEGMENTS)
        self.incidents: Shelf[OpenIncident] = Shelf(MOST_INCIDENTS)
        self.cases: Shelf[Case] = Shelf(MOST_CASES)
        self.answers: Shelf[Answer] = Shelf(MOST_ANSWERS)
        self.comments: OrderedDict[str, str] = OrderedDict()
        self.has_more_segments = False
        self.rolling_ms: int | None = None
        self.lag_ms: int | None = None
        self._sizes: dict[str, dict[str, int]] = {}
        self._letters: Counter[tuple[int, str]] = Counter()
        self._deliveries: OrderedDict[str, str] = OrderedDict()
        self._erased: OrderedDict[str, int] = OrderedDict()

    def take(self, fetched: FeedRecord, *, is_live: bool = True) -> None:
        """Take one record in; `is_live` is False while topics are read up to their end, when nothing is late."""
        topic, record, value = fetched
        match value:
            case SegmentNps():
                self._take_row(value)
            case Fall():
                self._take_fall(value)
            case Incident():
                self._take_incident(value)
            case Case():
                self._take_case(value)
            case Answer():
                self._take_answer(value, is_live=is_live)
            case Delivery():
                self._take_delivery(value)
            case Erasure():
                self._take_erasure(value)
            case None if topic is DEAD:
                self._take_letter(record)
            case None if topic is INCIDENTS and record.value is None and record.key is not None:
                self.incidents.drop(record.key.decode(errors="replace"))

    def has_case_of(self, incident_id: str) -> bool:
        """True when the queue has a case of this incident."""
        return any(case.incident_id == incident_id for _, case in self.cases)

    def letters(self) -> dict[str, int]:
        """Dead letters of the last LETTER_HOURS hours, by reason."""
        oldest = self.now_ms() // HOUR_MS - LETTER_HOURS
        for bucket in [bucket for bucket in self._letters if bucket[0] <= oldest]:
            del self._letters[bucket]
        found: Counter[str] = Counter()
        for (_, reason), count in self._letters.items():
            found[reason] += count
        return dict(found)

    def deliveries(self, state: str) -> int:
        """Number of notifications whose delivery is in this state."""
        return sum(found == state for found in self._deliveries.values())

    def overdue(self) -> int:
        """Number of open cases whose time is over."""
        now_ms = self.now_ms()
        return sum(case.due_ms < now_ms for _, case in self.cases)

    @property
    def is_stalled(self) -> bool:
        """True when rolling rows came once and have not for STALLED_MS."""
        return self.rolling_ms is not None and self.now_ms() - self.rolling_ms > STALLED_MS

    def _take_row(self, row: SegmentNps) -> None:
        self.rolling_ms = max(self.rolling_ms or 0, row.published_ms)
        key = f"{row.segment}|{row.window}"
        if not self._has_room(row):
            return
        figure = self.figures.get(key)
        if figure is None:
            figure = ShownFigure(row)
        elif (row.version, row.as_of_ms) < (figure.row.version, figure.row.as_of_ms):
            return
        figure.take(row)
        self.figures.put(key, figure)

    def _has_room(self, row: SegmentNps) -> bool:
        """Give a segment a place, if need be that of the one with fewest answers; False where it has fewer itself."""
        sizes = self._sizes.get(row.segment)
        if sizes is None:
            if len(self._sizes) >= MOST_SEGMENTS and not self._make_room(row):
                return False
            sizes = self._sizes[row.segment] = {}
        if row.window not in sizes and len(sizes) >= MOST_WINDOWS:
            return False
        sizes[row.window] = row.n
        return True

    def _make_room(self, row: SegmentNps) -> bool:
        smallest = min((name for name in self._sizes if name != ALL), key=self._size, default=ALL)
        self.has_more_segments = True
        if row.segment != ALL and self._size(smallest) >= row.n:
            return False
        for window in self._sizes.pop(smallest):
            self.figures.drop(f"{smallest}|{window}")
        self.falls.drop(smallest)
        return True

    def _size(self, segment: str) -> int:
        return max(self._sizes[segment].values(), default=0)

    def _take_fall(self, fall: Fall) -> None:
        known = self.falls.get(fall.segment)
        if known is None or fall.version >= known.version:
            self.falls.put(fall.segment, fall)

    def _take_incident(self, record: Incident) -> None:
        known = self.incidents.get(record.incident_id)
        if known is not None and known.record.version > record.version:
            return
        if record.state == "resolved":
            self.incidents.drop(record.incident_id)
            return
        try:
            members = oncall.decode(oncall.Members, record.members).members
            fall = oncall.decode(oncall.FallState, record.fall).latest if record.fall else None
        except ValueError:
            metrics.FOREIGN.labels(INCIDENTS.name).inc()
            return
        for member in members:
            self._note_comment(member)
        worst = sorted((member for member in members if member.state != "resolved"), key=_rank)[:SHOWN_MEMBERS]
        self.incidents.put(record.incident_id, OpenIncident(record._replace(members=""), tuple(worst), fall))

    def _note_comment(self, member: oncall.CaseMember) -> None:
        """Keep a comment for the queue, whose cases have none; forget that of an erased customer."""
        before = self.comments.pop(member.dedup_key, None)
        if member.comment and member.state != "resolved":
            self.comments[member.dedup_key] = member.comment
        if before != self.comments.get(member.dedup_key):
            self.cases.touch(member.dedup_key)
        if len(self.comments) > MOST_COMMENTS:
            self.comments.popitem(last=False)

    def _take_case(self, case: Case) -> None:
        if case.state == "resolved":
            self.cases.drop(case.dedup_key)
        else:
            self.cases.put(case.dedup_key, case)

    def _take_answer(self, answer: Answer, *, is_live: bool) -> None:
        if is_live:
            self.lag_ms = max(0, self.now_ms() - answer.received_ms)
            metrics.PAGE_LAG.observe(self.lag_ms / 1000)
        known = self.answers.get(answer.survey_id)
        if known is not None and known.version > answer.version:
            return
        if answer.received_ms > self._erased.get(answer.customer_id, -1):
            self.answers.drop(answer.survey_id)  # to its end
            self.answers.put(answer.survey_id, answer)

    def _take_delivery(self, delivery: Delivery) -> None:
        self._deliveries.pop(delivery.notification_id, None)
        if delivery.state in ("attempting", "undelivered", "doubtful"):
            self._deliveries[delivery.notification_id] = delivery.state
        if len(self._deliveries) > MOST_DELIVERIES:
            self._deliveries.popitem(last=False)

    def _take_erasure(self, erasure: Erasure) -> None:
        self._erased[erasure.customer_id] = erasure.erased_ms
        self._erased.move_to_end(erasure.customer_id)
        if len(self._erased) > MOST_ERASURES:
            self._erased.popitem(last=False)
        for key, answer in list(self.answers):
            if answer.customer_id == erasure.customer_id and answer.received_ms <= erasure.erased_ms:
                self.answers.drop(key)

    def _take_letter(self, record: KafkaRecord) -> None:
        _, death = unwrap_any(record.headers, record.offset, record.timestamp)
        reason = death.reason if death.reason in REASONS else Reason.UNLABELLED.value
        hour = record.timestamp // HOUR_MS
        if hour > self.now_ms() // HOUR_MS - LETTER_HOURS:
            self._letters[hour, reason] += 1


_SEVERITIES = {"critical": 0, "error": 1, "warning": 2, "info": 3}


def _rank(member: oncall.CaseMember) -> tuple[int, int, int]:
    """Place of a member, the worst lowest."""
    return _SEVERITIES[member.severity], member.score if member.score is not None else 11, member.opened_ms
