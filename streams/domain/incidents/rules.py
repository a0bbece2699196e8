"""Rules of incidents as frozen, checked values: receivers, routes, steps of escalation, mute times, silences.

`streams.program` reads them from `nps.toml`; the domain only ever sees these values.  All times are in milliseconds.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from streams.domain.hours import Hours, is_open, opening

SEVERITIES = ("critical", "error", "warning", "info")
"""Worst first."""

OLDEST_MS = 86_400_000
"""Age at which an alert pages nobody any more: it was read late, after a long outage."""

Option = str | int | bool | list[str]
"""Value of an option of a receiver, which its kind checks."""


class Subject(NamedTuple):
    """Facts that a route is chosen by: of an alert all of it, of other events kind, severity and segments alone."""

    kind: str
    severity: str
    segments: Sequence[str]
    score: int | None = None
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """Conditions that must all hold; an empty one always does.

    `kinds` and `routes` match one of them, `segments` must all be there; `score_at_most` needs a score, `comment` is a
    regular expression that is searched for.  `routes` are for silences.
    """

    kinds: frozenset[str] = frozenset()
    segments: frozenset[str] = frozenset()
    score_at_most: int | None = None
    comment: re.Pattern[str] | None = None
    routes: frozenset[str] = frozenset()

    def holds(self, subject: Subject, route: str = "") -> bool:
        """True when all conditions hold for this subject, of an incident on this route."""
        if (self.kinds and subject.kind not in self.kinds) or (self.routes and route not in self.routes):
            return False
        if not self.segments.issubset(subject.segments):
            return False
        if self.score_at_most is not None and (subject.score is None or subject.score > self.score_at_most):
            return False
        return self.comment is None or self.comment.search(subject.comment or "") is not None

    @property
    def is_everything(self) -> bool:
        """True when it holds for whatever there is."""
        return not (self.kinds or self.segments or self.routes or self.comment) and self.score_at_most is None


@dataclass(frozen=True, slots=True)
class Receiver:
    """Place that notifications go to; `options` are its kind's own.

    Customers' ids and comments go only where they may.
    """

    name: str
    kind: str
    comments: bool = False
    customers: bool = False
    options: Mapping[str, Option] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EscalationStep:
    """EscalationStep of escalation: `to` is told `after_ms` from the first page on, unless somebody acknowledged."""

    after_ms: int
    to: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mute:
    """Local times from `from_ms` to `until_ms` after midnight, maybe over midnight, in which a route is quiet.

    Incidents of the severities in `loud` speak all the same.
    """

    from_ms: int
    until_ms: int
    time_zone: str = "UTC"
    loud: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Raises ValueError for an unknown zone and for times that leave no time to speak, or none to be quiet."""
        if self.from_ms == self.until_ms:
            raise ValueError("mute hours must not begin where they end")
        self.quiet_hours()
        self.awake_hours()

    def quiet_hours(self) -> Hours | None:
        """Make the hours of quiet; None for those over midnight."""
        return Hours(self.from_ms, self.until_ms, self.time_zone) if self.from_ms < self.until_ms else None

    def awake_hours(self) -> Hours:
        """Make the hours whose opening ends the quiet."""
        if self.from_ms > self.until_ms:
            return Hours(self.until_ms, self.from_ms, self.time_zone)
        if self.until_ms < 86_400_000:
            return Hours(self.until_ms, 86_400_000, self.time_zone)
        return Hours(0, self.from_ms, self.time_zone)

    def end_ms(self, at_ms: int) -> int:
        """Instant at which the quiet around this instant ends: itself when there is none."""
        quiet, awake = self.quiet_hours(), self.awake_hours()
        is_quiet = (
            not is_open(awake, self.time_zone, at_ms) if quiet is None else is_open(quiet, quiet.time_zone, at_ms)
        )
        return opening(awake, self.time_zone, at_ms, 0.0) if is_quiet else at_ms


@dataclass(frozen=True, slots=True)
class Route:
    """Way of what matches to people; `group_by` names dimensions, or 'survey', that get incidents of their own."""

    name: str
    match: Match
    steps: tuple[EscalationStep, ...]
    group_by: tuple[str, ...] = ()
    mute: Mute | None = None


@dataclass(frozen=True, slots=True)
class Silence:
    """Time in which what matches is not told to anybody."""

    match: Match
    starts_ms: int
    until_ms: int


@dataclass(frozen=True)
class OncallRules:
    """Rules of incidents.

    `wait_ms` gathers alerts before the first page, `interval_ms` separates news of one incident, `repeat_ms` repeats
    what is unchanged; an acknowledgement holds for `acknowledge_ms`; a case is to be closed within `close_ms`.
    Resolved incidents are known for `keep_ms`, so that repeated alerts are.
    """

    routes: tuple[Route, ...]
    receivers: Mapping[str, Receiver]
    silences: tuple[Silence, ...] = ()
    wait_ms: int = 30_000
    interval_ms: int = 300_000
    repeat_ms: int = 4 * 3_600_000
    acknowledge_ms: int = 86_400_000
    close_ms: int = 2 * 86_400_000
    keep_ms: int = 8 * 86_400_000
    program: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError for rules by which somebody would never be told, or told without end."""
        if not self.routes or not self.routes[-1].match.is_everything:
            raise ValueError("the last route must match everything, or some incidents would have none")
        if self.wait_ms < 0 or min(self.interval_ms, self.acknowledge_ms, self.close_ms, self.keep_ms) <= 0:
            raise ValueError("oncall: interval, acknowledge_for and close_within must be above 0, wait not below it")
        if self.repeat_ms < self.interval_ms:
            raise ValueError("oncall.repeat must be at least oncall.interval")

    @cached_property
    def route_by_name(self) -> Mapping[str, Route]:
        """Routes by name."""
        return {route.name: route for route in self.routes}

    def route_of(self, subject: Subject) -> Route:
        """The first route that matches."""
        return next(route for route in self.routes if route.match.holds(subject))

    def named(self, name: str) -> Route:
        """The route of this name, or the last one when the program has it no more."""
        return self.route_by_name.get(name, self.routes[-1])

    def awake_ms(self, route: Route, subject: Subject, at_ms: int) -> int:
        """The first instant from this one on at which neither a mute time nor a silence holds."""
        for _ in range(len(self.silences) + 2):
            end_ms = at_ms
            if route.mute is not None and subject.severity not in route.mute.loud:
                end_ms = route.mute.end_ms(at_ms)
            for silence in self.silences:
                if silence.starts_ms <= at_ms < silence.until_ms and silence.match.holds(subject, route.name):
                    end_ms = max(end_ms, silence.until_ms)
            if end_ms == at_ms:
                break
            at_ms = end_ms
        return at_ms


DEFAULT_RULES = OncallRules(
    (Route("rest", Match(), (EscalationStep(0, ("console",)),)),), {"console": Receiver("console", "console")}
)
"""Rules of a program that says nothing of incidents: all of them go to the console."""


def group_of(route: Route, subject: Subject, survey: str) -> str:
    """Key of the incident that alerts of one kind on one route share: with the values of `group_by`."""
    values = [survey if name == "survey" else _value(name, subject.segments) for name in route.group_by]
    return "|".join([route.name, subject.kind, *values])


def _value(dimension: str, segments: Sequence[str]) -> str:
    """The value of a dimension, as the segments of an answer have it; empty where no segment names it."""
    for segment in segments:
        for part in segment.split(","):
            name, _, value = part.partition("=")
            if name == dimension:
                return value
    return ""
