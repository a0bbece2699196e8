"""Tables and keys of the program file, with their types and defaults; `nps.toml` says what each means.

A key that is left out has no part in the program's hash, so that a new key changes no program that does not use it.
"""

import datetime
import re
from collections.abc import Sequence
from typing import Annotated

import msgspec

from streams.domain.incidents.rules import Option

NonNegative = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(gt=0, le=1)]


class ConditionTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A condition on an attribute, written out as a table: exactly one of these keys."""

    equals: str | None = None
    any_of: list[str] | None = msgspec.field(default=None, name="in")
    at_least: float | None = None
    exists: bool | None = None


class RuleTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[[rules]]`: a rule, as `streams.domain.policy.Rule` explains it, with its times as text."""

    name: str
    survey: str
    on: list[str]
    delay: str
    expires: str
    where: dict[str, str | list[str] | ConditionTable] = {}
    cancel_on: list[str] = []
    cancel_closes: bool = False
    priority: int = 0
    question: str = ""
    question_version: NonNegative = 1
    channels: list[str] = []
    purpose: str = "feedback"
    consent: str = "assumed"
    locales: list[str] = []
    personalise: list[str] = []
    sample: Share = 1.0
    at_most_a_day: Positive | None = None
    reminders: NonNegative = 0
    remind_after: str | None = None
    hours: str | None = None
    time_zone: str | None = None
    spread: str = "0s"
    send_within: str | None = None


class SendingTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[sending]`: defaults for every rule."""

    hours: str = "always"
    time_zone: str = "UTC"
    spread: str = "1h"
    send_within: str = "1d"


class ChannelTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[channels.NAME]`: the most messages to a customer on this channel within `every`."""

    at_most: Positive
    every: str


class EventsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[events]`: every event type there may be, of an empty list any; customer ids that stand for nobody."""

    types: list[str] = []
    placeholders: list[str] = []


class QuarantineTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[quarantine]`: times in which a customer is not asked again, for any survey and for the same survey."""

    any: str
    surveys: dict[str, str] = {}


class BandsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[segments.bands.NAME]`: a dimension of a number, as `streams.domain.bands.Banding` explains it."""

    names: list[str]
    begin: list[float] | dict[str, list[float]]
    of: str = "amount_minor"


class SegmentsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[segments]`: attributes that make segments, their combinations and bands, and how many have rolling rows."""

    dimensions: list[str] = []
    combinations: list[list[str]] = []
    at_most: Positive = 10_000
    bands: dict[str, BandsTable] = {}


class WindowsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[windows]`: lengths of the rolling windows, and the least answers that are enough to judge by."""

    lengths: list[str]
    minimum_n: NonNegative = 30


class LimitsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[limits]`: bounds of time, as `streams.domain.policy.Limits` explains them."""

    late: str
    early: str
    edit: str
    hold: str
    remember: str
    confirm: str = "30s"


class CustomerTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[customer]`: the most that is known of one customer, as `streams.domain.policy.CustomerBounds` explains it."""

    scheduled: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50
    invitations: Annotated[int, msgspec.Meta(ge=1, le=400)] = 200
    triggers: Annotated[int, msgspec.Meta(ge=1, le=2_000)] = 2_000
    held: Annotated[int, msgspec.Meta(ge=1, le=64)] = 64


class AlertsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[alerts]`: the highest score of each severity."""

    critical_max: int
    error_max: int
    warning_max: int


class DropsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[drops]`: how falls of NPS are told from chance, as `streams.domain.policy.FallPolicy` explains it."""

    windows: tuple[str, ...] = ("6h", "1d", "3d", "7d", "14d")
    false_alerts_a_year: Annotated[float, msgspec.Meta(gt=0)] = 52
    segments: Positive = 100
    ignore: Annotated[float, msgspec.Meta(ge=0, le=100)] = 2


class BrandTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[brand]`: the company on the collector's page, as `streams.domain.policy.Brand` explains it."""

    name: str
    about: str = ""
    logo: str = ""
    colour: str = ""


class OncallTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[oncall]`: times of incidents, as `streams.domain.incidents.rules.OncallRules` explains them."""

    wait: str = "30s"
    interval: str = "5m"
    repeat: str = "4h"
    acknowledge_for: str = "24h"
    close_within: str = "48h"


class ScoreTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Condition on a score in a route's `match`."""

    at_most: Annotated[int, msgspec.Meta(ge=0, le=6)]


class MatchTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Conditions of a route or a silence, all of which must hold; an empty one always does."""

    kind: list[str] = []
    segment: list[str] = []
    score: ScoreTable | None = None
    comment: str | None = None
    route: list[str] = []


class StepTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Step of escalation: who is told, and when, from the first page on."""

    after: str
    to: list[str]


class MuteTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Hours in which a route is quiet, maybe over midnight, but for some severities."""

    hours: str
    time_zone: str = "UTC"
    loud: list[str] = msgspec.field(default_factory=list, name="except")


class RouteTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[[routes]]`: a way to people, as `streams.domain.incidents.rules.Route` explains it."""

    name: str
    steps: list[StepTable]
    match: MatchTable = MatchTable()
    group_by: list[str] = []
    mute: MuteTable | None = None


class SilenceTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[silences]]`: what is told to nobody until a time."""

    match: MatchTable
    until: datetime.datetime


class CommentsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[comments]`: the model that `nps comments fit` made, and its hash."""

    model: str
    model_hash: str


class ThemeTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[themes.NAME]`: stems of a theme by language; a language that is left out keeps those that ship."""

    en: list[str] | None = None
    de: list[str] | None = None
    fr: list[str] | None = None
    es: list[str] | None = None
    pt: list[str] | None = None


class ProgramFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The whole program file."""

    rules: list[RuleTable]
    quarantine: QuarantineTable
    segments: SegmentsTable
    windows: WindowsTable
    limits: LimitsTable
    alerts: AlertsTable
    sending: SendingTable | None = None
    channels: dict[str, ChannelTable] = {}
    events: EventsTable = EventsTable()
    customer: CustomerTable = CustomerTable()
    drops: DropsTable | None = None
    brand: BrandTable | None = None
    oncall: OncallTable = OncallTable()
    receivers: dict[str, dict[str, Option]] = {}
    routes: list[RouteTable] = []
    silences: list[SilenceTable] = []
    comments: CommentsTable | None = None
    themes: dict[str, ThemeTable] = {}


def keys_at(path: str) -> list[str]:
    """The keys that a table may have, by its place in the file, as in 'rules[0]'; those of the file itself for ''."""
    found = msgspec.inspect.type_info(ProgramFile)
    for name in filter(None, re.sub(r"\[[^\]]*\]", "", path).split(".")):
        found = next((field.type for field in _fields(found) if field.name == name), found)
    return [field.name for field in _fields(found)]


def _fields(found: msgspec.inspect.Type) -> Sequence[msgspec.inspect.Field]:
    """Fields of a table, of a list or map of tables, or of a table that may be left out; empty for a plain value."""
    if isinstance(found, msgspec.inspect.StructType):
        return found.fields
    if isinstance(found, msgspec.inspect.ListType):
        return _fields(found.item_type)
    if isinstance(found, msgspec.inspect.DictType):
        return _fields(found.value_type)
    members = found.types if isinstance(found, msgspec.inspect.UnionType) else ()
    return next((fields for fields in map(_fields, members) if fields), ())
