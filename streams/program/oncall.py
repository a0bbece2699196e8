"""Reader of the on-call tables: `[oncall]`, `[receivers.NAME]`, `[[routes]]`, `[[silences]]`.

Refused is what would tell nobody, or could never happen: unknown receivers, steps out of order, routes behind one that
takes everything, repeats sooner than news.
"""

import re
from collections.abc import Sequence
from typing import get_args

from schemas.oncall import Kind
from streams.domain.incidents.rules import (
    DEFAULT_RULES,
    SEVERITIES,
    EscalationStep,
    Match,
    Mute,
    OncallRules,
    Option,
    Receiver,
    Route,
    Silence,
)
from streams.domain.panes import DAY_MS
from streams.program import file
from streams.program.complaint import Contradiction, error_at
from streams.program.duration import ms_at, times_ms

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_EVERYTHING = Match()


def oncall_of(tables: file.ProgramFile, program: str) -> OncallRules:
    """Make the rules of incidents; `program` is the program's hash.  Raises ValueError, which names the place."""
    table = tables.oncall
    receivers = {name: _receiver(name, options) for name, options in tables.receivers.items()}
    receivers = receivers or dict(DEFAULT_RULES.receivers)
    interval_ms, repeat_ms = ms_at(table.interval, "oncall.interval"), ms_at(table.repeat, "oncall.repeat")
    if repeat_ms < interval_ms:
        raise error_at("oncall.repeat is shorter than oncall.interval, the time between news", "oncall.repeat")
    return OncallRules(
        routes=_routes(tables, receivers),
        receivers=receivers,
        silences=tuple(_silence(one, f"silences[{index}]") for index, one in enumerate(tables.silences)),
        wait_ms=ms_at(table.wait, "oncall.wait"),
        interval_ms=_positive(interval_ms, "oncall.interval"),
        repeat_ms=repeat_ms,
        acknowledge_ms=_positive(ms_at(table.acknowledge_for, "oncall.acknowledge_for"), "oncall.acknowledge_for"),
        close_ms=_positive(ms_at(table.close_within, "oncall.close_within"), "oncall.close_within"),
        keep_ms=ms_at(tables.limits.edit, "limits.edit") + DAY_MS,
        program=program,
    )


def _receiver(name: str, options: dict[str, Option]) -> Receiver:
    path = f"receivers.{name}"
    if not _NAME.fullmatch(name):
        raise error_at(f"{name!r} is no name for a receiver: small letters, digits, - and _, at most 64", path)
    rest = dict(options)
    kind = rest.pop("kind", None)
    if not isinstance(kind, str):
        raise error_at(f'receiver {name!r} needs a kind, as in kind = "slack"', path)
    flags = {}
    for key in ("comments", "customers"):
        flags[key] = rest.pop(key, False)
        if not isinstance(flags[key], bool):
            raise error_at(f"{key} must be true or false", f"{path}.{key}")
    return Receiver(name, kind, bool(flags["comments"]), bool(flags["customers"]), rest)


def _routes(tables: file.ProgramFile, receivers: dict[str, Receiver]) -> tuple[Route, ...]:
    routes = list[Route]()
    for index, table in enumerate(tables.routes):
        path = f"routes[{index}]"
        earlier = {route.name: place for place, route in enumerate(routes)}
        if table.name in earlier:
            message = f"routes must have different names: {table.name!r} is there twice"
            raise Contradiction(message, f"{path}.name", f"routes[{earlier[table.name]}].name")
        route = _route(table, path, receivers, tables.segments.dimensions)
        for place, other in enumerate(routes):
            if other.match in (_EVERYTHING, route.match):
                message = f"route {route.name!r} is never taken: route {other.name!r} takes everything first"
                raise Contradiction(message, f"{path}.name", f"routes[{place}].name")
        routes.append(route)
    if not routes:
        return (Route("rest", _EVERYTHING, (EscalationStep(0, tuple(receivers)),)),)
    if not routes[-1].match.is_everything:
        message = f"route {routes[-1].name!r} is the last one, and must have no match: others would page nobody"
        raise error_at(message, f"routes[{len(routes) - 1}].match")
    return tuple(routes)


def _route(table: file.RouteTable, path: str, receivers: dict[str, Receiver], dimensions: Sequence[str]) -> Route:
    if not table.name.strip() or "|" in table.name:
        raise error_at("a route needs a name without '|'", f"{path}.name")
    if table.match.route:
        raise error_at("a route cannot match routes: only silences can", f"{path}.match")
    known = ("survey", *dimensions)
    if unknown := next((name for name in table.group_by if name not in known), None):
        raise error_at(f"{unknown!r} is nothing to group by: write {', '.join(known)}", f"{path}.group_by")
    steps = tuple(EscalationStep(ms_at(step.after, f"{path}.steps"), tuple(step.to)) for step in table.steps)
    _check_steps(steps, f"{path}.steps", receivers)
    mute = None if table.mute is None else _mute(table.mute, f"{path}.mute")
    return Route(table.name, _match(table.match, f"{path}.match"), steps, tuple(table.group_by), mute)


def _check_steps(steps: Sequence[EscalationStep], path: str, receivers: dict[str, Receiver]) -> None:
    if not steps:
        raise error_at('a route needs a step, as in steps = [{ after = "0s", to = ["NAME"] }]', path)
    for before, step in zip((None, *steps), steps, strict=False):
        if not step.to or len(set(step.to)) < len(step.to):
            raise error_at(f"a step tells {list(step.to)}: nobody, or somebody twice", path)
        if unknown := next((name for name in step.to if name not in receivers), None):
            raise error_at(
                f"{unknown!r} is no receiver: write {', '.join(receivers)}, or add [receivers.{unknown}]", path
            )
        if before is not None and step.after_ms <= before.after_ms:
            raise error_at("a step must come after the one before it: it would never be taken", path)


def _match(table: file.MatchTable, path: str) -> Match:
    if unknown := next((kind for kind in table.kind if kind not in get_args(Kind)), None):
        raise error_at(f"{unknown!r} is no kind of incident: write {', '.join(get_args(Kind))}", path)
    try:
        comment = None if table.comment is None else re.compile(table.comment)
    except re.error as error:
        raise error_at(f"{table.comment!r} is no regular expression: {error}", path) from None
    at_most = None if table.score is None else table.score.at_most
    return Match(frozenset(table.kind), frozenset(table.segment), at_most, comment, frozenset(table.route))


def _mute(table: file.MuteTable, path: str) -> Mute:
    if unknown := next((word for word in table.loud if word not in SEVERITIES), None):
        raise error_at(f"{unknown!r} is no severity: write {', '.join(SEVERITIES)}", path)
    try:
        return Mute(*times_ms(table.hours), table.time_zone, frozenset(table.loud))
    except ValueError as error:
        raise error_at(str(error), path) from None


def _silence(table: file.SilenceTable, path: str) -> Silence:
    match = _match(table.match, f"{path}.match")
    if match.score_at_most is not None or match.comment is not None:
        raise error_at("a silence matches kind, segment and route: an incident has no one score or comment", path)
    if table.until.tzinfo is None:
        raise error_at("until has no time zone: write 2026-01-31T12:00:00Z", f"{path}.until")
    return Silence(match, -(1 << 62), round(table.until.timestamp() * 1000))


def _positive(value_ms: int, path: str) -> int:
    if value_ms <= 0:
        raise error_at(f"{path} must be above 0", path)
    return value_ms
