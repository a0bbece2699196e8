"""The program file as the oracle understands it, read with tomllib alone.

Nothing here comes from the pipeline: a mistake there must not be repeated here.  Of the keys of a rule these are left
out, and must be in no program of a fault scenario: hours, spread, send_within, sample, priority and at_most_a_day, and
the caps of channels.  Laws of their own hold those.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("program.toml")
"""The program of the fault scenarios."""

LENGTHS_MS = {"minute": 60_000, "hour": 3_600_000, "day": 86_400_000}
CHANNELS = ("email", "sms", "in_app", "web", "chatbot", "phone")
LONGEST_VALUE = 64
"""Characters that are kept of an attribute's value."""

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@dataclass(frozen=True, slots=True)
class Ask:
    """One rule: after these events, this survey."""

    name: str
    survey: str
    on: frozenset[str]
    where: tuple[tuple[str, frozenset[str]], ...]
    delay_ms: int
    expires_ms: int
    cancel_on: frozenset[str]
    cancel_closes: bool
    reminders: int
    remind_after_ms: int
    channels: tuple[str, ...]
    purpose: str
    consent_required: bool
    question: str

    def wants(self, type_: str, attributes: Mapping[str, str]) -> bool:
        """True when the event asks for this survey."""
        return type_ in self.on and all(attributes.get(name) in values for name, values in self.where)


@dataclass(frozen=True, slots=True)
class Terms:
    """All of a program file that decides an outcome; durations in milliseconds."""

    asks: tuple[Ask, ...]
    types: frozenset[str]
    """Every event type there may be; empty when none is unknown."""
    quarantine_ms: int
    survey_quarantine_ms: Mapping[str, int]
    dimensions: tuple[str, ...]
    combinations: tuple[tuple[str, ...], ...]
    windows_ms: Mapping[str, int]
    minimum_n: int
    late_ms: int
    early_ms: int
    edit_ms: int
    hold_ms: int
    confirm_ms: int
    most_scheduled: int
    most_known: int
    most_held: int
    severities: tuple[tuple[str, int], ...]
    """Severity and the highest score that has it, worst first."""

    @property
    def cancel_types(self) -> frozenset[str]:
        """Event types that stop some survey."""
        return frozenset(type_ for ask in self.asks for type_ in ask.cancel_on)

    def ask_for(self, type_: str, attributes: Mapping[str, str]) -> Ask | None:
        """The first rule that wants the event."""
        return next((ask for ask in self.asks if ask.wants(type_, attributes)), None)

    def apart_ms(self, survey: str, other: str) -> int:
        """How far apart two surveys of one customer must be sent."""
        same_ms = self.survey_quarantine_ms.get(survey, self.quarantine_ms) if survey == other else 0
        return max(self.quarantine_ms, same_ms)

    def severity(self, score: int) -> str:
        """How bad a score is, empty for no alert."""
        return next((name for name, highest in self.severities if score <= highest), "")

    def dimensions_of(self, attributes: Mapping[str, str]) -> dict[str, str]:
        """The values of the configured dimensions of an event with these attributes."""
        return {name: attributes.get(name, "(none)")[:LONGEST_VALUE] for name in self.dimensions}

    def segments(self, attributes: Mapping[str, str]) -> tuple[str, ...]:
        """The segments of an event with these attributes."""
        values = self.dimensions_of(attributes)
        return ("all", *(",".join(f"{d}={_escaped(values[d])}" for d in dims) for dims in self.combinations))


def read_terms(path: Path = PROGRAM) -> Terms:
    """The terms in a program file; the file is taken to be right."""
    file = tomllib.loads(path.read_text())
    limits, alerts, quarantine = file["limits"], file["alerts"], file["quarantine"]
    segments, customer = file.get("segments", {}), file.get("customer", {})
    return Terms(
        asks=tuple(_ask(rule) for rule in file["rules"]),
        types=frozenset(file.get("events", {}).get("types", ())),
        quarantine_ms=_ms(quarantine["any"]),
        survey_quarantine_ms={name: _ms(text) for name, text in quarantine.get("surveys", {}).items()},
        dimensions=tuple(segments.get("dimensions", ())),
        combinations=tuple(tuple(names) for names in segments.get("combinations", ())),
        windows_ms={text: _ms(text) for text in file["windows"]["lengths"]},
        minimum_n=file["windows"].get("minimum_n", 30),
        late_ms=_ms(limits["late"]),
        early_ms=_ms(limits["early"]),
        edit_ms=_ms(limits["edit"]),
        hold_ms=_ms(limits["hold"]),
        confirm_ms=_ms(limits.get("confirm", "30s")),
        most_scheduled=customer.get("scheduled", 50),
        most_known=customer.get("invitations", 200),
        most_held=customer.get("held", 64),
        severities=tuple((name, alerts[f"{name}_max"]) for name in ("critical", "error", "warning")),
    )


def resolution_of(length_ms: int) -> str:
    """The panes that a window of this length is summed from."""
    if length_ms <= 6 * LENGTHS_MS["hour"]:
        return "minute"
    return "hour" if length_ms <= 14 * LENGTHS_MS["day"] else "day"


def cells_of(segments: Iterable[str], at_ms: int) -> list[tuple[str, str, int]]:
    """Segment, resolution and start of every pane that an answer at this instant belongs to."""
    starts = [(name, at_ms - at_ms % length_ms) for name, length_ms in LENGTHS_MS.items()]
    return [(segment, name, start_ms) for segment in segments for name, start_ms in starts]


def _escaped(value: str) -> str:
    return "".join(f"%{ord(sign):02X}" if sign in "%=,|" else sign for sign in value)


def _ask(rule: Mapping[str, Any]) -> Ask:
    return Ask(
        name=rule["name"],
        survey=rule["survey"],
        on=frozenset(rule["on"]),
        where=tuple((name, frozenset(values)) for name, values in rule.get("where", {}).items()),
        delay_ms=_ms(rule["delay"]),
        expires_ms=_ms(rule["expires"]),
        cancel_on=frozenset(rule.get("cancel_on", ())),
        cancel_closes=rule.get("cancel_closes", False),
        reminders=rule.get("reminders", 0),
        remind_after_ms=_ms(rule.get("remind_after", "3d")),
        channels=tuple(rule.get("channels", ())),
        purpose=rule.get("purpose", "feedback"),
        consent_required=rule.get("consent", "assumed") == "required",
        question=rule.get("question") or rule["survey"],
    )


def _ms(text: str) -> int:
    number = text.rstrip("msdh")
    return int(number) * _UNITS_MS[text[len(number) :]]
