"""The program as frozen, checked values: rules, channels, quarantines, segments, windows, limits and alerts.

`streams.program` reads it from `nps.toml`; the domain only ever sees these values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from schemas.events import Trigger
from streams.domain.bands import Banding
from streams.domain.comments.judging import shipped
from streams.domain.conditions import OF_PURCHASES, Condition, attributes_of, holds
from streams.domain.hours import Hours
from streams.domain.incidents.rules import DEFAULT_RULES, OncallRules
from streams.domain.panes import DAY_MS, HOUR_MS, LENGTH_MS, Resolution
from streams.domain.windows import Window

CHANNELS = ("email", "sms", "in_app", "web", "chatbot", "phone")
"""Every channel on which a survey can be sent."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that asks for `survey`, `delay_ms` after an event of a type in `on`, when `where` holds.

    `where` maps an attribute to its condition.  `cancel_on` are event types that, with the same correlation id, stop
    the survey while it is not sent and, with `cancel_closes`, end it when it is.  An answer after `expires_ms` from
    sending is not counted.

    Of rules that compete for one customer the higher `priority` asks.  `channels` are in order of fallback, none when
    the delivery tool chooses; `locales` are BCP 47 tags, the first is the default; `personalise` are the only
    attributes of the trigger that the dispatch repeats.  `sample` is the share of customers asked at all, in (0, 1];
    `daily_limit` the most surveys of this rule that a customer gets within 24 hours.  Every due time is put off by up
    to `jitter_ms`; with `hours` it lies within them; a survey later than `send_within_ms` is not sent any more.
    """

    name: str
    survey: str
    on: frozenset[str]
    where: Mapping[str, Condition]
    delay_ms: int
    expires_ms: int
    cancel_on: frozenset[str]
    priority: int = 0
    question: str = ""
    question_version: int = 1
    channels: tuple[str, ...] = ()
    purpose: str = "feedback"
    consent_required: bool = False
    locales: tuple[str, ...] = ()
    personalise: tuple[str, ...] = ()
    sample: float = 1.0
    daily_limit: int | None = None
    reminders: int = 0
    remind_after_ms: int = 3 * DAY_MS
    jitter_ms: int = 0
    hours: Hours | None = None
    send_within_ms: int | None = None
    cancel_closes: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError for a negative time or count, no life, a sample outside (0, 1] or a daily limit below 1."""
        if self.delay_ms < 0 or self.expires_ms <= 0:
            raise ValueError(f"rule {self.name!r}: delay must not be negative and expires must be above 0")
        if not 0 < self.sample <= 1:
            raise ValueError(f"rule {self.name!r}: sample must be above 0 and at most 1")
        if self.reminders < 0 or self.remind_after_ms <= 0 or self.jitter_ms < 0 or self.question_version < 0:
            raise ValueError(f"rule {self.name!r}: reminders, remind_after, spread and question_version count from 0")
        if (self.daily_limit is not None and self.daily_limit < 1) or (self.send_within_ms or 0) < 0:
            raise ValueError(f"rule {self.name!r}: at_most_a_day must be at least 1 and send_within not negative")

    def matches(self, type_: str, attributes: Mapping[str, str]) -> bool:
        """True when an event of this type with these attributes leads to the survey."""
        return type_ in self.on and self.wants(attributes)

    def wants(self, attributes: Mapping[str, str]) -> bool:
        """True when these attributes meet every condition of `where`, whatever the event's type."""
        return not self.where or all(holds(condition, attributes.get(name)) for name, condition in self.where.items())


@dataclass(frozen=True, slots=True)
class Cap:
    """The most messages to one customer on one channel within `every_ms`, all rules and reminders together."""

    at_most: int
    every_ms: int

    def __post_init__(self) -> None:
        """Raises ValueError for a cap that lets no message through, or covers no time."""
        if self.at_most < 1 or self.every_ms <= 0:
            raise ValueError("a channel's at_most must be at least 1 and every above 0")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of time, all in milliseconds.

    `late_ms`: event time before Kafka timestamp; `early_ms`: into the future; `edit_ms`: from the first score to its
    last correction; `park_ms`, in the file `hold`: how long an answer that came before its survey waits for it;
    `remember_ms`: how long triggers and surveys are known; `confirm_ms`: how long a click waits for a sign that a
    machine made it.
    """

    late_ms: int
    early_ms: int
    edit_ms: int
    park_ms: int
    remember_ms: int
    confirm_ms: int = 30_000

    def __post_init__(self) -> None:
        """Raises ValueError for a negative bound."""
        bounds = (self.late_ms, self.early_ms, self.edit_ms, self.park_ms, self.remember_ms, self.confirm_ms)
        if min(bounds) < 0:
            raise ValueError("limits must not be negative")


@dataclass(frozen=True, slots=True)
class CustomerBounds:
    """The most that is known of one customer, so that a guest id shared by thousands costs no more than a person.

    `scheduled` surveys wait to be sent; of `invitations`, the sent ones and those, there are as many: a trigger beyond
    either is suppressed.  `triggers` are remembered, then the oldest goes, and is new when it comes again.  `held`
    responses wait for their survey, then the oldest is given up.
    """

    scheduled: int = 50
    invitations: int = 200
    triggers: int = 2_000
    held: int = 64

    def __post_init__(self) -> None:
        """Raises ValueError for a bound below 1, and for one above which a journey might not fit into a record."""
        bounds, most = (self.scheduled, self.invitations, self.triggers, self.held), (200, 400, 2_000, 64)
        if not all(1 <= bound <= limit for bound, limit in zip(bounds, most, strict=True)):
            raise ValueError(f"customer.scheduled, invitations, triggers and held must be 1 to {most}")


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


DAYS_BEFORE = 28
"""Whole days with which a window of a day or more is compared."""

SAME_DAYS = 7
"""Days whose same hours a window below a day is compared with."""

LONGEST_FALL_WINDOW_MS = 28 * DAY_MS
MOST_FALL_WINDOWS = 8


@dataclass(frozen=True, slots=True)
class FallPolicy:
    """Windows that are judged for falls of NPS, and how many false alerts are worth it.

    `false_alerts_a_year` is what chance alone may raise in a year over `segments` of even NPS, all windows together;
    `ignore` are the points by which NPS may fall without being a fall.
    """

    windows: tuple[Window, ...]
    false_alerts_a_year: float
    segments: int
    ignore: float

    def __post_init__(self) -> None:
        """Raises ValueError for windows of no whole hours, or out of order, and for numbers out of range."""
        lengths_ms = [window.length_ms for window in self.windows]
        if not 1 <= len(lengths_ms) <= MOST_FALL_WINDOWS or lengths_ms != sorted(set(lengths_ms)):
            raise ValueError(f"drops.windows must be 1 to {MOST_FALL_WINDOWS}, each longer than the one before")
        for window in self.windows:
            if not 0 < window.length_ms <= LONGEST_FALL_WINDOW_MS or window.length_ms % HOUR_MS:
                raise ValueError(f"drops.windows: {window.name!r} must be whole hours, at most 28d")
        if self.false_alerts_a_year <= 0 or self.segments < 1 or not 0 <= self.ignore <= 100:
            raise ValueError("drops.false_alerts_a_year and segments must be above 0, drops.ignore 0 to 100 points")

    @property
    def needed_ms(self) -> Mapping[Resolution, int]:
        """Milliseconds before the present for which panes of hours and days are needed, the open hour included."""
        longest_ms = self.windows[-1].length_ms
        same_ms = [SAME_DAYS * DAY_MS + each.length_ms for each in self.windows if each.length_ms < DAY_MS]
        return {
            Resolution.HOUR: max([longest_ms, *same_ms]) + HOUR_MS,
            Resolution.DAY: longest_ms + (DAYS_BEFORE + 1) * DAY_MS + HOUR_MS,
        }


@dataclass(frozen=True, slots=True)
class Brand:
    """The company as the collector's page shows it.

    `about` is what customers are asked to recommend, `logo` a data URI, the colours are like '#0b5fae'; an empty text
    shows nothing.  White text can be read on `colour`, and `colour_at_night` on the page's dark paper.
    """

    name: str = ""
    about: str = ""
    logo: str = field(default="", repr=False)
    colour: str = ""
    colour_at_night: str = ""


NO_BRAND = Brand()


@dataclass(frozen=True, slots=True)
class CommentPolicy:
    """Themes of comments by name, each with its stems by language; the file of the model that judges their sentiment.

    Without `model` the words that ship judge it; `model_hash` is that of the file, which no other may replace.
    """

    themes: Mapping[str, Mapping[str, Sequence[str]]]
    model: str = ""
    model_hash: str = ""


@dataclass(frozen=True)
class Program:
    """The whole program; `hash` identifies it on every decision and row."""

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
    segments_at_most: int = 10_000
    """The most segments that have rolling rows."""
    caps: Mapping[str, Cap] = field(default_factory=dict)
    events: frozenset[str] = frozenset()
    """Every event type there may be; empty when none is unknown."""
    placeholders: frozenset[str] = frozenset()
    """Customer ids, in folded case, that stand for nobody or for many; see `is_placeholder`."""
    customer: CustomerBounds = field(default_factory=CustomerBounds)
    brand: Brand = NO_BRAND
    bands: Mapping[str, Banding] = field(default_factory=dict)
    """Dimensions that are bands of a number, by name."""
    falls: FallPolicy | None = None
    """Judging of windows for falls; None for none."""
    oncall: OncallRules = DEFAULT_RULES
    comments: CommentPolicy = field(default_factory=lambda: CommentPolicy(shipped()))

    def __post_init__(self) -> None:
        """Raises ValueError for a program that contradicts itself; each message says what to change."""
        names = [rule.name for rule in self.rules]
        if repeated := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"rules must have different names: {repeated!r} is there twice")
        for window in self.windows:
            if window.length_ms <= 0 or window.length_ms % LENGTH_MS[window.resolution]:
                raise ValueError(f"window {window.name!r} must be a whole number of {window.resolution}s")
        for combination in self.combinations:
            if unknown := set(combination) - set(self.dimensions):
                raise ValueError(f"segment combination names {sorted(unknown)}, which are not in segments.dimensions")
        if unused := set(self.bands) - set(self.dimensions):
            raise ValueError(f"segments.bands names {sorted(unused)}, which are not in segments.dimensions")
        longest_life_ms = max((rule.expires_ms for rule in self.rules), default=0)
        needed_ms = longest_life_ms + self.limits.late_ms + self.limits.edit_ms
        if self.limits.remember_ms < needed_ms:
            raise ValueError(f"limits.remember must be at least expires + late + edit = {needed_ms // DAY_MS + 1}d")
        if self.segments_at_most < 1:
            raise ValueError("segments.at_most must be at least 1")
        for channel, cap in self.caps.items():
            if self.limits.remember_ms < cap.every_ms + self.limits.late_ms:
                raise ValueError(f"limits.remember must be at least channels.{channel}.every + late")

    def is_placeholder(self, customer_id: str) -> bool:
        """True for a customer id that is one of the placeholders, whatever its case and the space around it."""
        return customer_id.strip().casefold() in self.placeholders

    def apart_ms(self, survey: str, other: str) -> int:
        """The least milliseconds between sending these two surveys to one customer."""
        return max(self.quarantine_ms, self.quarantine_of(survey) if survey == other else 0)

    def quarantine_of(self, survey: str) -> int:
        """Milliseconds for which the same survey is not asked for again."""
        return self.survey_quarantine_ms.get(survey, self.quarantine_ms)

    def rule_for(self, type_: str, attributes: Mapping[str, str]) -> Rule | None:
        """The first rule that asks after an event of this type with these attributes; None when none does."""
        for rule in self._rules_on.get(type_, ()):
            if rule.wants(attributes):
                return rule
        return None

    @cached_property
    def _rules_on(self) -> Mapping[str, tuple[Rule, ...]]:
        types = frozenset[str]().union(*(rule.on for rule in self.rules))
        return {type_: tuple(rule for rule in self.rules if type_ in rule.on) for type_ in types}

    def read(self, event: Trigger) -> Mapping[str, str]:
        """The event's attributes as rules and segments read them: with its amount and currency where some do."""
        return attributes_of(event) if self._reads_prices else event.attributes

    @cached_property
    def _reads_prices(self) -> bool:
        """True when some condition, personalisation or segment reads a purchase's amount or currency."""
        read = {*self.dimensions, *(band.of for band in self.bands.values())}
        return not OF_PURCHASES.isdisjoint(read.union(*({*rule.where, *rule.personalise} for rule in self.rules)))

    @cached_property
    def cancel_types(self) -> frozenset[str]:
        """Event types that stop some rule's survey."""
        return frozenset().union(*(rule.cancel_on for rule in self.rules))

    @cached_property
    def longest_quarantine_ms(self) -> int:
        """Milliseconds for which quarantines need a sent survey; `late` more, as far as topics may be read apart."""
        longest_ms = max([self.quarantine_ms, *self.survey_quarantine_ms.values()])
        return longest_ms + self.limits.late_ms if longest_ms else 0

    @cached_property
    def memory_ms(self) -> int:
        """Milliseconds without an event after which nothing about a customer matters any more."""
        return max(self.limits.remember_ms, self.longest_quarantine_ms)

    @cached_property
    def pane_life_ms(self) -> Mapping[Resolution, int]:
        """Milliseconds from a pane's start until it goes, by the own time of the partition that counts it.

        It lives as long as an answer ordinarily changes it, and as long as a window may hold it.  An answer first given
        at t, before the pane's end, changes it

            t + late                      when it comes at all: later it is `too_late`
            t + late + hold               when it was held for its survey
            t + edit + late               by a correction or withdrawal: later it is `edit_closed`
            t + edit + confirm + late     by a trap that makes a machine's click of such a correction

        at the latest, and it leaves the longest window of its resolution at its start + that window's length, or when
        no fall is judged by it.  Windows age by the clocks of other workers, which may differ by `early`; one pane more
        is for saying that they emptied.  What comes later still is counted in supplements, so no sum depends on this.
        """
        limits = self.limits
        change_ms = max(limits.edit_ms + limits.confirm_ms, limits.park_ms) + limits.late_ms
        of_falls = self.falls.needed_ms if self.falls else {}
        lives = dict[Resolution, int]()
        for resolution, length_ms in LENGTH_MS.items():
            windows = [window.length_ms for window in self.windows if window.resolution is resolution]
            needed_ms = max(length_ms + change_ms, *windows, of_falls.get(resolution, 0))
            lives[resolution] = needed_ms + limits.early_ms + length_ms
        return lives

    @cached_property
    def rule_by_name(self) -> Mapping[str, Rule]:
        """Rules by name."""
        return {rule.name: rule for rule in self.rules}
