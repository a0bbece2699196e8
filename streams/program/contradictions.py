"""Check for settings that repeat or contradict others or have no effect: refused, as they were meant to have one."""

from collections.abc import Iterator

from streams.domain.policy import CHANNELS
from streams.program import file
from streams.program.complaint import Contradiction, error_at
from streams.program.duration import ms_at


def check(program: file.ProgramFile) -> None:
    """Refuse a file that contradicts itself.  Raises Contradiction, naming two lines, or ValidationError for one."""
    _check_lists(program)
    _check_names(program)
    if program.customer.scheduled > program.customer.invitations:
        message = "customer.scheduled is more than customer.invitations: what is scheduled is known once it is sent"
        raise Contradiction(message, "customer.scheduled", "customer.invitations")
    for index, rule in enumerate(program.rules):
        path = f"rules[{index}]"
        _check_words(rule, path)
        for key, other_key, message in _conflicts(rule, path):
            raise Contradiction(f"rule {rule.name!r}: {message}", f"{path}.{key}", f"{path}.{other_key}")
        for place, earlier in enumerate(program.rules[:index]):
            if hidden := sorted(set(rule.on) if _covers(earlier, rule) else ()):
                message = f"rule {rule.name!r} can never ask after {hidden[0]!r}: rule {earlier.name!r} takes it first"
                raise Contradiction(message, f"{path}.on", f"rules[{place}].on")
        _check_types(rule, path, program.events.types)


def _conflicts(rule: file.RuleTable, path: str) -> Iterator[tuple[str, str, str]]:
    """Each two keys of the rule that cannot both hold, and the message that says why."""
    if shared := sorted(set(rule.on) & set(rule.cancel_on)):
        yield "cancel_on", "on", f"{shared[0]!r} both asks and cancels"
    if rule.consent == "required" and not rule.channels:
        yield "consent", "name", "consent is given for a channel, but the rule names no channels"
    if rule.cancel_closes and not rule.cancel_on:
        yield "cancel_closes", "name", "cancel_closes, but no cancel_on"
    if rule.remind_after is not None and not rule.reminders:
        yield "remind_after", "name", "remind_after, but no reminders"
    if rule.time_zone is not None and rule.hours == "always":
        yield "time_zone", "hours", "a time_zone, but hours are always"
    expires_ms = ms_at(rule.expires, f"{path}.expires")
    after_ms = ms_at(rule.remind_after or "3d", f"{path}.remind_after")
    if 0 < expires_ms <= rule.reminders * after_ms:
        yield "reminders", "expires", "the last reminder would be sent after the survey has expired"


def _covers(earlier: file.RuleTable, rule: file.RuleTable) -> bool:
    """True when the earlier rule takes every event that the later rule asks after."""
    conditions = earlier.where.items()
    return set(rule.on) <= set(earlier.on) and all(rule.where.get(name) == condition for name, condition in conditions)


def _check_types(rule: file.RuleTable, path: str, types: list[str]) -> None:
    for key, names in (("on", rule.on), ("cancel_on", rule.cancel_on)):
        if types and (unknown := sorted(set(names) - set(types))):
            raise Contradiction(
                f"rule {rule.name!r}: {unknown[0]!r} is no type of events.types", f"{path}.{key}", "events.types"
            )


def _check_words(rule: file.RuleTable, path: str) -> None:
    if unknown := next((channel for channel in rule.channels if channel not in CHANNELS), None):
        raise error_at(f"{unknown!r} is no channel: write {', '.join(CHANNELS)}", f"{path}.channels")
    if rule.consent not in ("required", "assumed"):
        raise error_at(f"consent {rule.consent!r} must be 'required' or 'assumed'", f"{path}.consent")
    for key, names in (("channels", rule.channels), ("locales", rule.locales), ("personalise", rule.personalise)):
        if len(set(names)) < len(names):
            raise error_at(f"{names} names something twice", f"{path}.{key}")


def _check_names(program: file.ProgramFile) -> None:
    index_of: dict[str, int] = {}
    for index, rule in enumerate(program.rules):
        if rule.name in index_of:
            message = f"rules must have different names: {rule.name!r} is there twice"
            raise Contradiction(message, f"rules[{index}].name", f"rules[{index_of[rule.name]}].name")
        index_of[rule.name] = index
    surveys = {rule.survey for rule in program.rules}
    if unasked := sorted(set(program.quarantine.surveys) - surveys):
        raise error_at(f"no rule asks for the survey {unasked[0]!r}", f"quarantine.surveys.{unasked[0]}")
    if unknown := sorted(set(program.channels) - set(CHANNELS)):
        raise error_at(f"{unknown[0]!r} is no channel: write {', '.join(CHANNELS)}", f"channels.{unknown[0]}")


def _check_lists(program: file.ProgramFile) -> None:
    """Refuse repeated entries: an answer would count twice in their segment or window."""
    combinations = program.segments.combinations
    lists = {"segments.dimensions": program.segments.dimensions, "windows.lengths": program.windows.lengths}
    for path, names in lists.items():
        if len(set(names)) < len(names):
            raise error_at(f"{names} names something twice", path)
    for combination in combinations:
        if not combination or len(set(combination)) < len(combination) or combinations.count(combination) > 1:
            raise error_at(f"{combination} is empty or there twice; 'all' is always there", "segments.combinations")
