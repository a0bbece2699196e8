"""Reader of `[[events]]`: which fields an event has, where their values come from, and what each may be.

What a field takes follows from its record in `schemas.events`, so a field added there can be mapped at once.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from schemas.display import nearest
from schemas.event_json import TOPICS
from schemas.events import Inbound
from streams.domain.contacts import BOUNCED, CLEARED, EVERY, GRANTED, WITHDRAWN
from streams.domain.hours import zone
from streams.domain.policy import CHANNELS
from streams.intake import LONGEST_NAME_BYTES
from streams.sources import conversions, language
from streams.sources.language import (
    EventMapping,
    Expression,
    FieldMapping,
    FirstPlace,
    Fixed,
    Joined,
    Linked,
    LinkMapping,
    Picked,
    Place,
    Scalar,
    Source,
)  # fmt: skip
from streams.sources.pieces import (
    MappingFault,
    is_place,
    list_of,
    one_of,
    place_of,
    require_keys,
    requirements,
    scalar,
)  # fmt: skip
from streams.sources.positions import TomlPath, line_of

MOST_EVENT_TABLES = 100
MOST_PARTS = 100

FROM_RECORD = frozenset({"id", "time", "customer_id", "order_id", "case_id", "survey_id"})
"""Fields that tell one thing from another: a value that stands in the file would make all of them one."""

PERSONAL_WORDS = frozenset({
    "address", "birthday", "birthdate", "card", "dob", "email", "fax", "firstname", "fullname", "iban", "ip",
    "lastname", "latitude", "longitude", "mail", "mobile", "name", "passport", "password", "phone", "postcode", "ssn",
    "street", "surname", "telephone", "token", "username", "zip",
})  # fmt: skip
"""Last words of attributes that are about a person, whatever the value."""

LINK_KEYS = ("link", "when", "each", "of", "customer_id")
TABLE_KEYS = (
    "at", "of", "where", "largest", "take", "join", "is", "after", "map", "else", "as", "zone", "format", "currency",
    "scale", "default",
)  # fmt: skip
_SOURCES = ("at", "of", "join", "is")
_KINDS: Mapping[str, tuple[str, ...]] = {
    "text": conversions.TEXTS, "int": conversions.NUMBERS, "bool": conversions.TRUTHS, "time": conversions.TIMES,
}  # fmt: skip
_SCALARS: Mapping[str, type] = {"text": str, "int": int, "bool": bool}
_SAMPLE = datetime(2026, 12, 31, 23, 58, 59)


class _Scope:
    """Scope of one event: whether there are elements and an envelope, the program's types, personal attributes."""

    def __init__(self, lines: Mapping[Any, int], types: Collection[str], personal: Collection[str]) -> None:
        self.lines = dict(lines)
        self.types = types
        self.personal = personal
        self.in_element = False
        self.has_envelope = False

    def place(self, value: object, path: TomlPath, *, in_element: bool = False) -> Place:
        """Read a place that holds in this event, or in an element of an array in it."""
        return place_of(value, path, in_element=in_element or self.in_element, has_envelope=self.has_envelope)


def read_events(
    raw: object, lines: Mapping[Any, int], types: Collection[str], personal: Collection[str], *, has_envelope: bool
) -> tuple[EventMapping, ...]:
    """Read all `[[events]]`.  Raises MappingFault."""
    tables = list_of(raw, ("events",))
    if len(tables) > MOST_EVENT_TABLES:
        raise MappingFault(f"has more than {MOST_EVENT_TABLES} tables", ("events",))
    events = []
    for number, table in enumerate(tables):
        if not isinstance(table, dict):
            raise MappingFault("must be a table, written [[events]]", ("events", number))
        scope = _Scope(lines, types, personal)
        scope.has_envelope = has_envelope
        events.append(_event(table, ("events", number), scope))
    return tuple(events)


def read_links(raw: object, lines: Mapping[Any, int], *, has_envelope: bool) -> tuple[LinkMapping, ...]:
    """Read all `[[links]]`.  Raises MappingFault."""
    tables = list_of(raw, ("links",))
    if len(tables) > MOST_EVENT_TABLES:
        raise MappingFault(f"has more than {MOST_EVENT_TABLES} tables", ("links",))
    links = []
    for number, table in enumerate(tables):
        path = ("links", number)
        if not isinstance(table, dict):
            raise MappingFault("must be a table, written [[links]]", path)
        scope = _Scope(lines, (), ())
        scope.has_envelope = has_envelope
        require_keys(table, path, LINK_KEYS, ("link", "of", "customer_id"))
        each = scope.place(table["each"], (*path, "each")) if "each" in table else None
        scope.in_element = each is not None
        links.append(LinkMapping(
            link=str(one_of(table, path, "link", language.LINKS)),
            line=line_of(scope.lines, path),
            when=_when(table, path, scope),
            each=each,
            of=_link_end(table, path, "of", scope),
            customer_id=_link_end(table, path, "customer_id", scope),
        ))  # fmt: skip
    return tuple(links)


def _link_end(table: Mapping[str, Any], path: TomlPath, key: str, scope: _Scope) -> Expression:
    at = (*path, key)
    expression = _expression(table[key], at, "text", scope)
    _require_record(key, table[key], expression, at)
    return expression


def _when(table: Mapping[str, Any], path: TomlPath, scope: _Scope) -> tuple[language.Requirement, ...]:
    if "when" not in table:
        return ()
    return requirements(table["when"], (*path, "when"), in_element=scope.in_element, has_envelope=scope.has_envelope)


def kinds_of(record: type[Inbound]) -> dict[str, str]:
    """Kind of value that each field of a record takes: `text`, `int`, `bool`, `time` or `map`."""
    kinds = {}
    for name, hint in get_type_hints(record).items():
        plain = next(part for part in get_args(hint) if part is not NoneType) if is_optional(record, name) else hint
        kinds[name] = "map" if get_origin(plain) is not None else {str: "text", int: "int", bool: "bool"}[plain]
    return kinds | {"time": "time"}


def required_of(record: type[Inbound]) -> list[str]:
    """Fields of a record that every event must have."""
    return [
        name for name, kind in kinds_of(record).items() if kind in ("text", "time") and not is_optional(record, name)
    ]


def is_optional(record: type[Inbound], name: str) -> bool:
    """True for a field that may be null."""
    return NoneType in get_args(get_type_hints(record)[name])


def _event(table: Mapping[str, Any], path: TomlPath, scope: _Scope) -> EventMapping:
    every = {name for record in TOPICS.values() for name in kinds_of(record)}
    require_keys(table, path, ["to", "when", "each", *sorted(every)], ["to"])
    to = one_of(table, path, "to", tuple(TOPICS))
    record = TOPICS[str(to)]
    kinds, required = kinds_of(record), required_of(record)
    require_keys(table, path, ["to", "when", "each", *kinds], required)
    each = scope.place(table["each"], (*path, "each")) if "each" in table else None
    scope.in_element = each is not None
    return EventMapping(
        topic=f"nps.{to}",
        record=record,
        line=line_of(scope.lines, path),
        when=_when(table, path, scope),
        each=each,
        fields={
            name: _field(name, table[name], (*path, name), kind, scope)
            for name, kind in kinds.items() if kind != "map" and name in table
        },
        maps={
            name: _entries(name, table[name], (*path, name), scope)
            for name, kind in kinds.items() if kind == "map" and name in table
        },
    )  # fmt: skip


def _field(name: str, raw: object, path: TomlPath, kind: str, scope: _Scope) -> FieldMapping:
    is_linked = name == "customer_id" and isinstance(raw, dict) and "link" in raw
    expression = _linked(raw, path, scope) if is_linked else _expression(raw, path, kind, scope)
    if name in FROM_RECORD:
        _require_record(name, raw, expression, path)
    if name in ("id", "source"):
        _refuse_arrival(expression, path)
    closed = _closed(name, scope)
    if closed is not None:
        _check_words(raw, expression, path, closed)
    return FieldMapping(name, expression, line_of(scope.lines, path))


def _linked(raw: Any, path: TomlPath, scope: _Scope) -> Expression:
    """Read a customer that is found by a link."""
    require_keys(raw, path, ("link", "of"), ("link", "of"))
    link = str(one_of(raw, path, "link", language.LINKS))
    return Expression(Linked(link, _link_end(raw, path, "of", scope)), "text")


def _entries(field: str, raw: object, path: TomlPath, scope: _Scope) -> list[tuple[str, FieldMapping]]:
    """Read the entries of `attributes`, `consents` or `bounces`."""
    if not isinstance(raw, dict):
        raise MappingFault("must be a table", path)
    if field == "attributes" and len(raw) > language.MOST_ATTRIBUTES:
        raise MappingFault(f"an event has {language.MOST_ATTRIBUTES} attributes at most", path)
    entries = []
    for name, value in raw.items():
        at = (*path, name)
        _check_name(field, name, at, scope)
        expression = _expression(value, at, "text", scope)
        if (closed := _CLOSED_MAPS.get(field)) is not None:
            _check_words(value, expression, at, closed)
        entries.append((name, FieldMapping(f"{field}.{name}", expression, line_of(scope.lines, at))))
    return entries


def _check_name(field: str, name: str, path: TomlPath, scope: _Scope) -> None:
    if not name.strip() or len(name.encode()) > LONGEST_NAME_BYTES:
        raise MappingFault(f"a name has 1 to {LONGEST_NAME_BYTES} bytes", path)
    if field == "attributes":
        last = name.replace("-", "_").replace(".", "_").replace(" ", "_").rpartition("_")[2].lower()
        if last in PERSONAL_WORDS and name not in scope.personal:
            raise MappingFault(
                f"{name!r} is about a person, and attributes become segments: leave it out, or list it in `personal`",
                path,
            )
    elif field == "bounces" and name not in CHANNELS:
        raise MappingFault(f"{name!r} is none of {', '.join(CHANNELS)}{nearest(name, CHANNELS)}", path)
    elif field == "consents":
        purpose, _, channel = name.rpartition("/")
        if not purpose or channel not in (*CHANNELS, EVERY):
            raise MappingFault(
                f"must be purpose/channel, as feedback/email; channels are {', '.join(CHANNELS)}, and {EVERY} for all",
                path,
            )


def _expression(raw: object, path: TomlPath, kind: str, scope: _Scope) -> Expression:
    """Read a value: text, a place, a list of parts, or a table."""
    default_conversion = {"text": "text", "int": "int", "bool": "bool", "time": "time"}[kind]
    if isinstance(raw, dict):
        return _table(raw, path, kind, default_conversion, scope)
    if isinstance(raw, list):
        return Expression(_joined(raw, path, scope), _fitting(default_conversion, path, kind))
    if isinstance(raw, str) and is_place(raw):
        return Expression(FirstPlace((scope.place(raw, path),)), default_conversion)
    return Expression(Fixed(_scalar_of_kind(raw, path, kind)), default_conversion)


def _table(raw: Mapping[str, Any], path: TomlPath, kind: str, default: str, scope: _Scope) -> Expression:
    require_keys(raw, path, TABLE_KEYS, ())
    given = [key for key in _SOURCES if key in raw]
    if len(given) != 1:
        raise MappingFault(f"needs exactly one of {', '.join(_SOURCES)}", path)
    for key in ("where", "largest", "take"):
        if key in raw and given != ["of"]:
            raise MappingFault("goes with `of` only", (*path, key))
    if "else" in raw and "map" not in raw:
        raise MappingFault("goes with `map` only", (*path, "else"))
    to = str(one_of(raw, path, "as", conversions.CONVERSIONS) or _conversion_without_as(raw, default))
    _fitting(to, (*path, "as") if "as" in raw else path, kind)
    _check_options(raw, path, to)
    return Expression(
        source=_source(raw, path, kind, scope),
        to=to,
        after=_after(raw, path),
        choices=_choices(raw["map"], (*path, "map"), kind) if "map" in raw else None,
        otherwise=_choice(raw["else"], (*path, "else"), kind) if "else" in raw else None,
        zone=_zone(raw, path),
        format=_format(raw, path),
        currency=_expression(raw["currency"], (*path, "currency"), "text", scope) if "currency" in raw else None,
        scale=_scale(raw, path),
        default=_scalar_of_kind(raw["default"], (*path, "default"), kind) if "default" in raw else None,
    )


def _conversion_without_as(raw: Mapping[str, Any], default: str) -> str:
    return "time" if "format" in raw and default == "time" else default


def _source(raw: Mapping[str, Any], path: TomlPath, kind: str, scope: _Scope) -> Source:
    if "is" in raw:
        return Fixed(_scalar_of_kind(raw["is"], (*path, "is"), kind))
    if "join" in raw:
        return _joined(raw["join"], (*path, "join"), scope)
    if "at" in raw:
        at = raw["at"]
        if not isinstance(at, list):
            return FirstPlace((scope.place(at, (*path, "at")),))
        elements = enumerate(list_of(at, (*path, "at")))
        return FirstPlace(tuple(scope.place(element, (*path, "at", number)) for number, element in elements))
    return Picked(
        of=scope.place(raw["of"], (*path, "of")),
        where=requirements(raw["where"], (*path, "where"), in_element=True, has_envelope=scope.has_envelope)
        if "where" in raw else (),
        largest=scope.place(raw["largest"], (*path, "largest"), in_element=True) if "largest" in raw else None,
        take=scope.place(raw["take"], (*path, "take"), in_element=True) if "take" in raw
        else Place(language.ITEM, (), "."),
    )  # fmt: skip


def _joined(raw: object, path: TomlPath, scope: _Scope) -> Joined:
    parts = list_of(raw, path)
    if len(parts) > MOST_PARTS:
        raise MappingFault(f"has more than {MOST_PARTS} parts", path)
    if any(isinstance(part, list) for part in parts):
        raise MappingFault("a list inside a list of parts: write one list", path)
    return Joined(tuple(_expression(part, (*path, number), "text", scope) for number, part in enumerate(parts)))


def _fitting(to: str, path: TomlPath, kind: str) -> str:
    """Check that a conversion makes what the field takes."""
    if to not in _KINDS[kind]:
        raise MappingFault(f"takes {', '.join(_KINDS[kind])}, not {to}", path)
    return to


def _check_options(raw: Mapping[str, Any], path: TomlPath, to: str) -> None:
    for keys, wanted in ((("zone", "format"), "time"), (("currency", "scale"), "money")):
        for key in keys:
            if key in raw and to != wanted:
                raise MappingFault(f'goes with as = "{wanted}" only', (*path, key))
    if to == "money" and "currency" not in raw:
        raise MappingFault("money needs `currency`: its place, or its code", path)
    if "default" in raw and path[-1] in ("id", "time", "customer_id"):
        raise MappingFault("an event without it is no event: it takes no default", (*path, "default"))
    if to == "money" and isinstance(code := raw["currency"], str) and not is_place(code):
        _check_currency(code, (*path, "currency"))


def _check_currency(code: str, path: TomlPath) -> None:
    if code.upper() not in conversions.DECIMALS:
        raise MappingFault(f"{code!r} is no currency of ISO 4217{nearest(code.upper(), conversions.DECIMALS)}", path)


def _after(raw: Mapping[str, Any], path: TomlPath) -> str | None:
    after = raw.get("after")
    if after is not None and (not isinstance(after, str) or not after):
        raise MappingFault("must be text", (*path, "after"))
    return after


def _choices(raw: object, path: TomlPath, kind: str) -> dict[str, Scalar]:
    if not isinstance(raw, dict) or not raw:
        raise MappingFault("must be a table of words and what they mean", path)
    return {word: _choice(meaning, (*path, word), kind) for word, meaning in raw.items()}


def _choice(raw: object, path: TomlPath, kind: str) -> Scalar:
    """A value that stands for another, before it is converted: of numbers and truths also as text."""
    return scalar(raw, path) if kind in ("text", "time") else _scalar_of_kind(raw, path, kind)


def _scalar_of_kind(raw: object, path: TomlPath, kind: str) -> Scalar:
    """A value of the file itself, which must be of the field's kind."""
    if kind == "time":
        raise MappingFault("the time must be at a place in the record: { at = ... }", path)
    value = scalar(raw, path)
    if kind == "text" and isinstance(value, str):
        return value
    if kind != "text" and type(value) is _SCALARS[kind]:
        return value
    raise MappingFault(
        f"must be {'text' if kind == 'text' else 'a whole number' if kind == 'int' else 'true or false'}", path
    )


def _zone(raw: Mapping[str, Any], path: TomlPath) -> str | None:
    if "zone" not in raw:
        return None
    name = raw["zone"]
    if not isinstance(name, str) or zone(name) is None:
        raise MappingFault(f"{name!r} is no IANA or Windows zone, as 'Europe/Berlin' is one", (*path, "zone"))
    return name


def _format(raw: Mapping[str, Any], path: TomlPath) -> str | None:
    """Read a format of `strptime`, which must tell a day."""
    if "format" not in raw:
        return None
    form = raw["format"]
    try:
        if not isinstance(form, str) or len(form) > conversions.LONGEST_NUMBER:
            raise ValueError("must be text of strptime, as %d.%m.%Y %H:%M")
        told = datetime.strptime(_SAMPLE.astimezone().strftime(form), form)
    except (ValueError, LookupError, re.error) as error:  # a directive that is there twice is a fault of its pattern
        raise MappingFault(f"no format of strptime: {error}", (*path, "format")) from None
    if told.date() != _SAMPLE.date():
        raise MappingFault("the format tells no year, month and day", (*path, "format"))
    return form


def _scale(raw: Mapping[str, Any], path: TomlPath) -> int | None:
    scale = raw.get("scale")
    if scale is not None and (type(scale) is not int or not 0 <= scale <= 18):
        raise MappingFault("must be a whole number, 0 to 18", (*path, "scale"))
    return scale


def _require_record(name: str, raw: object, expression: Expression, path: TomlPath) -> None:
    """Refuse a field that would have the same value in every event."""
    sources = [part.source for part in language.expressions_of(expression)]
    if not any(isinstance(source, FirstPlace | Picked) for source in sources):
        hint = f"; did you mean '/{raw}'?" if isinstance(raw, str) else ""
        raise MappingFault(f"must come from a place in the record: every event would have the same {name}{hint}", path)


def _refuse_arrival(expression: Expression, path: TomlPath) -> None:
    for place in language.places_of(expression):
        if place.kind == language.RECORD and place.path[0] in ("offset", "partition"):
            raise MappingFault(f"{place.text} changes when the record is sent again: one fact would count twice", path)


def _closed(name: str, scope: _Scope) -> Callable[[str], str] | None:
    """The check of a field's words that stand in the file: a function that says what is wrong with one, or ''."""
    if name == "type" and scope.types:
        return lambda word: _not_among(word, scope.types, "no event type of the program (events.types)")
    if name == "currency":
        known = conversions.DECIMALS
        return lambda word: _not_among(word, known, "no currency of ISO 4217")
    if name == "preferred_channel":
        return lambda word: _not_among(word, CHANNELS, f"none of {', '.join(CHANNELS)}")
    return None


_CLOSED_MAPS: Mapping[str, Callable[[str], str]] = {
    "consents": lambda word: _not_among(word, (GRANTED, WITHDRAWN), f"neither {GRANTED} nor {WITHDRAWN}"),
    "bounces": lambda word: _not_among(word, (BOUNCED, CLEARED), f"neither {BOUNCED} nor {CLEARED}"),
}


def _not_among(word: str, known: Iterable[str], fault: str) -> str:
    known = list(known)
    return "" if word in known else f"{word!r} is {fault}{nearest(word, known)}"


def _check_words(raw: object, expression: Expression, path: TomlPath, fault_of: Callable[[str], str]) -> None:
    """Check every value that stands in the file and may become the field's; converted ones are checked as converted."""
    convert = {"lower": str.lower, "upper": str.upper}.get(expression.to, str)
    for value, at in _words(raw, expression, path):
        if fault := fault_of(convert(str(value))):
            raise MappingFault(fault, at)


def _words(raw: object, expression: Expression, path: TomlPath) -> Iterable[tuple[Scalar, TomlPath]]:
    if isinstance(expression.source, Fixed) and expression.choices is None:
        yield expression.source.value, (*path, "is") if isinstance(raw, dict) else path
    for word, meaning in (expression.choices or {}).items():
        yield meaning, (*path, "map", word)
    if expression.otherwise is not None:
        yield expression.otherwise, (*path, "else")
    if expression.default is not None:
        yield expression.default, (*path, "default")
