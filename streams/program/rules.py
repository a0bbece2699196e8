"""Conversion of the program file's `[[rules]]` into rules of the domain."""

import msgspec

from streams.domain.conditions import AtLeast, Condition, Exists
from streams.domain.hours import Hours, zone
from streams.domain.policy import Rule
from streams.domain.segments import LONGEST
from streams.program import file
from streams.program.complaint import error_at
from streams.program.duration import hours_ms, ms_at

ALWAYS = "always"


def rule(table: file.RuleTable, sending: file.SendingTable | None, path: str) -> Rule:
    """Convert the table at this place of the file.  Raises ValidationError that names the place."""
    delay_ms, expires_ms = ms_at(table.delay, f"{path}.delay"), ms_at(table.expires, f"{path}.expires")
    remind_after_ms = ms_at(table.remind_after or "3d", f"{path}.remind_after")
    if not remind_after_ms:
        raise error_at("remind_after must be above 0", f"{path}.remind_after")
    send_within = table.send_within or (sending.send_within if sending else None)
    send_within_path = f"{path}.send_within" if table.send_within else "sending.send_within"
    try:
        return Rule(
            name=table.name,
            survey=table.survey,
            on=frozenset(table.on),
            where={name: _condition(condition, f"{path}.where.{name}") for name, condition in table.where.items()},
            delay_ms=delay_ms,
            expires_ms=expires_ms,
            cancel_on=frozenset(table.cancel_on),
            priority=table.priority,
            question=table.question or table.survey,
            question_version=table.question_version,
            channels=tuple(table.channels),
            purpose=table.purpose,
            consent_required=table.consent == "required",
            locales=tuple(table.locales),
            personalise=tuple(table.personalise),
            sample=table.sample,
            daily_limit=table.at_most_a_day,
            reminders=table.reminders,
            remind_after_ms=remind_after_ms,
            jitter_ms=ms_at(table.spread, f"{path}.spread"),
            hours=_hours(table, sending, path),
            send_within_ms=ms_at(send_within, send_within_path) if send_within else None,
            cancel_closes=table.cancel_closes,
        )
    except msgspec.ValidationError:
        raise
    except ValueError as error:
        raise error_at(str(error), f"{path}.expires") from None


def _condition(condition: str | list[str] | file.ConditionTable, path: str) -> Condition:
    found = _any_condition(condition, path)
    if isinstance(found, frozenset) and (long := next((text for text in sorted(found) if len(text) > LONGEST), None)):
        raise error_at(f"{long!r} never holds: attributes are cut at {LONGEST} characters", path)
    return found


def _any_condition(condition: str | list[str] | file.ConditionTable, path: str) -> Condition:
    if isinstance(condition, str):
        return frozenset({condition})
    if isinstance(condition, list):
        return frozenset(condition)
    values = (condition.equals, condition.any_of, condition.at_least, condition.exists)
    if sum(value is not None for value in values) != 1:
        raise error_at("write exactly one of equals, in, at_least and exists", path)
    if condition.at_least is not None:
        return AtLeast(condition.at_least)
    if condition.exists is not None:
        return Exists(condition.exists)
    return frozenset({condition.equals} if condition.equals is not None else condition.any_of or ())


def _hours(table: file.RuleTable, sending: file.SendingTable | None, path: str) -> Hours | None:
    """The rule's own hours or those of `[sending]`, in its own zone or that of `[sending]`; None for always."""
    common = sending or file.SendingTable()
    hours = table.hours or common.hours
    time_zone = table.time_zone or common.time_zone
    zone_path = f"{path}.time_zone" if table.time_zone else "sending.time_zone"
    if zone(time_zone) is None:
        raise error_at(f"{time_zone!r} is no IANA time zone, as 'Europe/Berlin' is one", zone_path)
    jitter_ms = ms_at(common.spread, "sending.spread")
    if hours == ALWAYS:
        return None
    try:
        opens_ms, closes_ms = hours_ms(hours)
    except ValueError as error:
        raise error_at(str(error), f"{path}.hours" if table.hours else "sending.hours") from None
    return Hours(opens_ms, closes_ms, time_zone, min(jitter_ms, closes_ms - opens_ms))
