"""The shape of the program file: every table and key there is, what it holds and what it is when left out.

What is left out has no part in the program's hash, so that a new key changes no program that does not use it.
"""

from typing import Annotated

import msgspec

NonNegative = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(gt=0, le=1)]


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What an attribute must be, written out: exactly one of these."""

    equals: str | None = None
    any_of: list[str] | None = msgspec.field(default=None, name="in")
    at_least: float | None = None
    exists: bool | None = None


class RuleTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[[rules]]`: whom to ask after which events, what, when and how."""

    name: str
    survey: str
    on: list[str]
    delay: str
    expires: str
    where: dict[str, str | list[str] | Wanted] = {}
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
    """`[sending]`: what holds for every rule that says nothing else."""

    hours: str = "always"
    time_zone: str = "UTC"
    spread: str = "1h"
    send_within: str = "1d"


class ChannelTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[channels.NAME]`: how often a customer may hear from us there."""

    at_most: Positive
    every: str


class EventsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[events]`: every type there may be."""

    types: list[str] = []


class QuarantineTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[quarantine]`: how long nobody is asked again."""

    any: str
    surveys: dict[str, str] = {}


class SegmentsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[segments]`: how answers are cut."""

    dimensions: list[str] = []
    combinations: list[list[str]] = []


class WindowsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[windows]`: over which times NPS is kept."""

    lengths: list[str]
    minimum_n: NonNegative = 30


class LimitsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[limits]`: how far time may be off."""

    late: str
    early: str
    edit: str
    hold: str
    remember: str
    confirm: str = "30s"


class AlertsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[alerts]`: highest score of each severity."""

    critical_max: int
    error_max: int
    warning_max: int


class ProgramFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The whole file."""

    rules: list[RuleTable]
    quarantine: QuarantineTable
    segments: SegmentsTable
    windows: WindowsTable
    limits: LimitsTable
    alerts: AlertsTable
    sending: SendingTable | None = None
    channels: dict[str, ChannelTable] = {}
    events: EventsTable = EventsTable()
