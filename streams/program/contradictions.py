"""What a program file says twice, differently, or to no effect: refused, because somebody meant something by it."""

from collections.abc import Iterator

from streams.domain.policy import CHANNELS
from streams.program import file
from streams.program.complaint import Contradiction, wrong
from streams.program.duration import ms_at


def check(program: file.ProgramFile) -> None:
    """Raises a Contradiction that names both lines, or a complaint that names one."""
    _check_lists(program)
    _check_names(program)
    for index, rule in enumerate(program.rules):
        path = f"rules[{index}]"
        _check_words(rule, path)
        for here, there, message in _inside(rule):
            raise Contradiction(f"rule {rule.name!r}: {message}", f"{path}.{here}", f"{path}.{there}")
        for other, before in enumerate(program.rules[:index]):
            if hidden := sorted(set(rule.on) if _covers(before, rule) else ()):
                message = f"rule {rule.name!r} can never ask after {hidden[0]!r}: rule {before.name!r} takes it first"
                raise Contradiction(message, f"{path}.on", f"rules[{other}].on")
        _check_types(rule, path, program.events.types)


def _inside(rule: file.RuleTable) -> Iterator[tuple[str, str, str]]:
    """Two keys of one rule that cannot both hold, and why."""
    if both := sorted(set(rule.on) & set(rule.cancel_on)):
        yield "cancel_on", "on", f"{both[0]!r} both asks and cancels"
    if rule.consent == "required" and not rule.channels:
        yield "consent", "name", "consent is given for a channel, but the rule names no channels"
    if rule.cancel_closes and not rule.cancel_on:
        yield "cancel_closes", "name", "cancel_closes, but no cancel_on"
    if rule.remind_after is not None and not rule.reminders:
        yield "remind_after", "name", "remind_after, but no reminders"
    if rule.time_zone is not None and rule.hours == "always":
        yield "time_zone", "hours", "a time_zone, but hours are always"
    expires_ms, after_ms = ms_at(rule.expires, "rules.expires"), ms_at(rule.remind_after or "3d", "rules.remind_after")
    if 0 < expires_ms <= rule.reminders * after_ms:
        yield "reminders", "expires", "the last reminder would be sent after the survey has expired"


def _covers(before: file.RuleTable, rule: file.RuleTable) -> bool:
    """True when the earlier rule takes every event that the later one wants."""
    return set(rule.on) <= set(before.on) and all(rule.where.get(name) == held for name, held in before.where.items())


def _check_types(rule: file.RuleTable, path: str, types: list[str]) -> None:
    for key, named in (("on", rule.on), ("cancel_on", rule.cancel_on)):
        if types and (unknown := sorted(set(named) - set(types))):
            raise Contradiction(
                f"rule {rule.name!r}: {unknown[0]!r} is no type of events.types", f"{path}.{key}", "events.types"
            )


def _check_words(rule: file.RuleTable, path: str) -> None:
    if unknown := next((channel for channel in rule.channels if channel not in CHANNELS), None):
        raise wrong(f"{unknown!r} is no channel: write {', '.join(CHANNELS)}", f"{path}.channels")
    if rule.consent not in ("required", "assumed"):
        raise wrong(f"consent {rule.consent!r} must be 'required' or 'assumed'", f"{path}.consent")
    for key, named in (("channels", rule.channels), ("locales", rule.locales), ("personalise", rule.personalise)):
        if len(set(named)) < len(named):
            raise wrong(f"{named} names something twice", f"{path}.{key}")


def _check_names(program: file.ProgramFile) -> None:
    first: dict[str, int] = {}
    for index, rule in enumerate(program.rules):
        if rule.name in first:
            message = f"rules must have different names: {rule.name!r} is there twice"
            raise Contradiction(message, f"rules[{index}].name", f"rules[{first[rule.name]}].name")
        first[rule.name] = index
    surveys = {rule.survey for rule in program.rules}
    if unknown := sorted(set(program.quarantine.surveys) - surveys):
        raise wrong(f"no rule asks for the survey {unknown[0]!r}", f"quarantine.surveys.{unknown[0]}")
    if foreign := sorted(set(program.channels) - set(CHANNELS)):
        raise wrong(f"{foreign[0]!r} is no channel: write {', '.join(CHANNELS)}", f"channels.{foreign[0]}")


def _check_lists(program: file.ProgramFile) -> None:
    """Refuse what would count twice."""
    combinations = program.segments.combinations
    lists = {"segments.dimensions": program.segments.dimensions, "windows.lengths": program.windows.lengths}
    for path, words in lists.items():
        if len(set(words)) < len(words):
            raise wrong(f"{words} names something twice", path)
    for combination in combinations:
        if not combination or len(set(combination)) < len(combination) or combinations.count(combination) > 1:
            raise wrong(f"{combination} is empty or there twice; 'all' is always there", "segments.combinations")
