"""`[[rules]]` as the file has them to the rules of the domain."""

import msgspec

from streams.domain.conditions import AtLeast, Condition, Exists
from streams.domain.hours import Hours, zone
from streams.domain.policy import Rule
from streams.program import file
from streams.program.complaint import wrong
from streams.program.duration import ms_at, window_ms

ALWAYS = "always"


def rule(asked: file.RuleTable, sending: file.SendingTable | None, path: str) -> Rule:
    """The rule at this place of the file.  Raises a complaint that names the place."""
    delay_ms, expires_ms = ms_at(asked.delay, f"{path}.delay"), ms_at(asked.expires, f"{path}.expires")
    remind_after_ms = ms_at(asked.remind_after or "3d", f"{path}.remind_after")
    if not remind_after_ms:
        raise wrong("remind_after must be above 0", f"{path}.remind_after")
    late = asked.send_within or (sending.send_within if sending else None)
    late_at = f"{path}.send_within" if asked.send_within else "sending.send_within"
    try:
        return Rule(
            name=asked.name,
            survey=asked.survey,
            on=frozenset(asked.on),
            where={name: _condition(wanted, f"{path}.where.{name}") for name, wanted in asked.where.items()},
            delay_ms=delay_ms,
            expires_ms=expires_ms,
            cancel_on=frozenset(asked.cancel_on),
            priority=asked.priority,
            question=asked.question or asked.survey,
            question_version=asked.question_version,
            channels=tuple(asked.channels),
            purpose=asked.purpose,
            consent_required=asked.consent == "required",
            locales=tuple(asked.locales),
            personalise=tuple(asked.personalise),
            sample=asked.sample,
            daily_limit=asked.at_most_a_day,
            reminders=asked.reminders,
            remind_after_ms=remind_after_ms,
            jitter_ms=ms_at(asked.spread, f"{path}.spread"),
            hours=_hours(asked, sending, path),
            send_within_ms=ms_at(late, late_at) if late else None,
            cancel_closes=asked.cancel_closes,
        )
    except msgspec.ValidationError:
        raise
    except ValueError as error:
        raise wrong(str(error), f"{path}.expires") from None


def _condition(wanted: str | list[str] | file.Wanted, path: str) -> Condition:
    if isinstance(wanted, str):
        return frozenset({wanted})
    if isinstance(wanted, list):
        return frozenset(wanted)
    said = [value for value in (wanted.equals, wanted.any_of, wanted.at_least, wanted.exists) if value is not None]
    if len(said) != 1:
        raise wrong("write exactly one of equals, in, at_least and exists", path)
    if wanted.at_least is not None:
        return AtLeast(wanted.at_least)
    if wanted.exists is not None:
        return Exists(wanted.exists)
    return frozenset({wanted.equals} if wanted.equals is not None else wanted.any_of or ())


def _hours(asked: file.RuleTable, sending: file.SendingTable | None, path: str) -> Hours | None:
    """The rule's own hours or those of all, in its own zone or that of all; None for always."""
    common = sending or file.SendingTable()
    written = asked.hours or common.hours
    time_zone = asked.time_zone or common.time_zone
    zone_at = f"{path}.time_zone" if asked.time_zone else "sending.time_zone"
    if zone(time_zone) is None:
        raise wrong(f"{time_zone!r} is no IANA time zone, as 'Europe/Berlin' is one", zone_at)
    jitter_ms = ms_at(common.spread, "sending.spread")
    if written == ALWAYS:
        return None
    try:
        opens_ms, closes_ms = window_ms(written)
    except ValueError as error:
        raise wrong(str(error), f"{path}.hours" if asked.hours else "sending.hours") from None
    return Hours(opens_ms, closes_ms, time_zone, min(jitter_ms, closes_ms - opens_ms))
