"""The program as a value: whom to ask, how to cut segments, which windows to keep, what to allow, when to alert.

`streams.program` reads it from `nps.toml`; the domain only ever sees these frozen, checked values.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from streams.domain.panes import LENGTH_MS
from streams.domain.rolling import Window


@dataclass(frozen=True, slots=True)
class Rule:
    """After events of these types, when `where` holds, ask for `survey`, `delay_ms` later.

    `where` maps an attribute to the values that satisfy it.  `cancel_on` are event types that, with the same
    correlation id, stop the survey while it is not sent.  An answer after `expires_ms` from sending is not counted.
    """

    name: str
    survey: str
    on: frozenset[str]
    where: Mapping[str, frozenset[str]]
    delay_ms: int
    expires_ms: int
    cancel_on: frozenset[str]

    def __post_init__(self) -> None:
        """Raises ValueError for a negative delay or an empty life."""
        if self.delay_ms < 0 or self.expires_ms <= 0:
            raise ValueError(f"rule {self.name!r}: delay must not be negative and expires must be above 0")

    def matches(self, type_: str, attributes: Mapping[str, str]) -> bool:
        """True when an event of this type with these attributes leads to the survey."""
        return type_ in self.on and all(attributes.get(name) in values for name, values in self.where.items())


@dataclass(frozen=True, slots=True)
class Limits:
    """How far time may be off, all in milliseconds.

    `late`: event time before Kafka timestamp; `early`: into the future; `edit`: from the first score to its last
    correction; `hold`: how long an answer that came before its survey waits for it; `remember`: how long triggers and
    surveys are known; `confirm`: how long a click waits for a sign that a machine made it.
    """

    late_ms: int
    early_ms: int
    edit_ms: int
    hold_ms: int
    remember_ms: int
    confirm_ms: int = 30_000

    def __post_init__(self) -> None:
        """Raises ValueError when one is negative."""
        given = (self.late_ms, self.early_ms, self.edit_ms, self.hold_ms, self.remember_ms, self.confirm_ms)
        if min(given) < 0:
            raise ValueError("limits must not be negative")


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """Highest score of each severity; a higher detractor score than `warning_max` raises no alert."""

    critical_max: int
    error_max: int
    warning_max: int

    def __post_init__(self) -> None:
        """Raises ValueError unless -1 <= critical <= error <= warning <= 6."""
        if not -1 <= self.critical_max <= self.error_max <= self.warning_max <= 6:
            raise ValueError("alerts.critical_max <= error_max <= warning_max <= 6 must hold")


@dataclass(frozen=True)
class Program:
    """Everything the pure functions are told; `hash` names it on every decision and row."""

    rules: tuple[Rule, ...]
    quarantine_ms: int
    survey_quarantine_ms: Mapping[str, int]
    dimensions: tuple[str, ...]
    combinations: tuple[tuple[str, ...], ...]
    windows: tuple[Window, ...]
    minimum_n: int
    limits: Limits
    alerts: AlertPolicy
    hash: str

    def __post_init__(self) -> None:
        """Raises ValueError for what contradicts itself; each message says what to change."""
        names = [rule.name for rule in self.rules]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"rules must have different names: {twice!r} is there twice")
        for window in self.windows:
            if window.length_ms <= 0 or window.length_ms % LENGTH_MS[window.resolution]:
                raise ValueError(f"window {window.name!r} must be a whole number of {window.resolution}s")
        for combination in self.combinations:
            if unknown := set(combination) - set(self.dimensions):
                raise ValueError(f"segment combination names {sorted(unknown)}, which are not in segments.dimensions")
        needed = self.limits.late_ms + self.limits.edit_ms + max((r.expires_ms for r in self.rules), default=0)
        if self.limits.remember_ms < needed:
            raise ValueError(f"limits.remember must be at least expires + late + edit = {needed // 86_400_000 + 1}d")

    def quarantine_of(self, survey: str) -> int:
        """Milliseconds for which the same survey is not asked for again."""
        return self.survey_quarantine_ms.get(survey, self.quarantine_ms)

    @cached_property
    def cancel_types(self) -> frozenset[str]:
        """Event types that stop some rule's survey."""
        return frozenset().union(*(rule.cancel_on for rule in self.rules))

    @cached_property
    def longest_quarantine_ms(self) -> int:
        """How long it matters when somebody was asked: topics may be read up to `late` apart while catching up."""
        longest_ms = max([self.quarantine_ms, *self.survey_quarantine_ms.values()])
        return longest_ms + self.limits.late_ms if longest_ms else 0

    @cached_property
    def memory_ms(self) -> int:
        """After this long without an event nothing about a customer matters any more."""
        return max(self.limits.remember_ms, self.longest_quarantine_ms)

    @cached_property
    def rule_by_name(self) -> Mapping[str, Rule]:
        """The rules by name."""
        return {rule.name: rule for rule in self.rules}
