"""Evaluation of expressions and conditions: each is compiled to a function of a record's frame and an element.

None is what is absent: null, empty text, Debezium's placeholder for a value that it does not have, a place that leads
nowhere.  ValueError is a value that does not convert; Unmappable names another reason.
"""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any, Final, ParamSpec, TypeAlias, TypeVar, cast

import msgspec

from schemas.reasons import Reason
from streams.domain.hours import zone
from streams.kafka.ports import FetchedRecord
from streams.sources import conversions, language
from streams.sources.conversions import number_of, text_of
from streams.sources.documents import Document
from streams.sources.language import (
    MOST_EVENTS,
    Expression,
    FirstPlace,
    Fixed,
    Joined,
    Linked,
    Picked,
    Place,
    Requirement,
    Scalar,
)
from streams.sources.pieces import texts
from streams.sources.shapes import ELEMENT, Getter, Shape, Token, getter

MOST_WORK = 40_000
"""The most that is done for one record: an element looked at counts one, text one for each 64 characters."""

UNAVAILABLE: Final = "__debezium_unavailable_value"
"""Text that Debezium writes for a large value that did not change and that it therefore does not have."""

_SHORT_TEXT = len(UNAVAILABLE)
_LONG_TEXT = 1_024
_WORK_CHARACTERS = 64


class Unmappable(Exception):
    """A record that cannot be mapped for another reason than a value that does not convert."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Unlinked(Unmappable):
    """A record whose customer is not known yet; `link` is the key of the link that it waits for."""

    def __init__(self, kind: str, link: str) -> None:
        super().__init__(Reason.UNKNOWN_CUSTOMER, f"no customer is known of this {kind}")
        self.link = link


class Frame:
    """Scope of one record: the values that its places point into, and the work that was done for it."""

    __slots__ = ("_headers", "_work", "envelope", "partition", "record", "root", "topic")

    def __init__(self, record: FetchedRecord, topic: str, partition: int) -> None:
        self.record = record
        self.topic = topic
        self.partition = partition
        self.root: Any = None
        self.envelope: Any = None
        self._headers: dict[str, bytes | None] | None = None
        self._work = 0

    def show(self, document: Document) -> None:
        """Point into this document from now on."""
        self.root, self.envelope = document.root, document.envelope

    def header(self, name: str) -> Any:
        """Text of a header, None for none, whatever the case of its name; of several the last."""
        if self._headers is None:
            self._headers = {name.lower(): value for name, value in self.record.headers or ()}
        return _decoded(self._headers.get(name))

    def work(self, amount: int) -> None:
        """Count work done.  Raises Unmappable when it is more than a record may cost."""
        self._work += amount
        if self._work > MOST_WORK:
            raise Unmappable(
                Reason.TOO_MANY_EVENTS, "the record takes too much work: too many elements, or texts too long"
            )


Value: TypeAlias = Callable[[Frame, Any], Any]
"""A value of a frame and the element in hand; None when it is absent."""

CustomerOf: TypeAlias = Callable[[str], str | None]
"""The customer to whom the link of a key leads; None for a link that is not known."""

Predicate: TypeAlias = Callable[[Frame, Any], bool]
"""True when a requirement is met."""


P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., Any])


def _with_own_code(compiler: Callable[P, F]) -> Callable[P, F]:
    """Give every function that a compiler returns a code object of its own; a decorator.

    CPython keeps in the code object what it learnt of the values' types, and all functions of one `def` share it: each
    field would undo what another has learnt, which costs a tenth of the time of a record.
    """

    def compile_function(*args: P.args, **options: P.kwargs) -> F:
        function = compiler(*args, **options)
        if not isinstance(function, FunctionType):
            return function
        code = function.__code__.replace()
        return cast(
            F, FunctionType(code, function.__globals__, function.__name__, function.__defaults__, function.__closure__)
        )

    return compile_function


class Evaluator:
    """Compiler of one event's expressions.

    `shape` is that by which roots are read, None for roots that were read whole; `each` leads to the elements; `key` is
    that of pseudonyms; `customer_of` finds the customer to whom the link of a key leads.
    """

    def __init__(
        self, shape: Shape | None, each: Sequence[str] | None, key: bytes, customer_of: CustomerOf = lambda link: None
    ) -> None:
        self._shape = shape
        self._key = key
        self._customer_of = customer_of
        self._element: Sequence[Token] = () if each is None else (*each, ELEMENT)

    @_with_own_code
    def place(self, place: Place, element: Sequence[Token] | None = None) -> Value:
        """Compile a place; `element` is the path of the elements that `./` points into, of `each` by default."""
        kind, path = place.kind, place.path
        if kind == language.ROOT:
            return _in_root(getter(path, self._shape))
        if kind == language.ITEM:
            shape = self._shape and self._shape.at(self._element if element is None else element)
            return _in_item(getter(path, shape))
        if kind == language.ENVELOPE:
            get = getter(path, None)
            return lambda frame, item: present(get(frame.envelope))
        if kind == language.HEADER:
            name = path[0]
            return lambda frame, item: frame.header(name)
        return _of_record(kind, path)

    @_with_own_code
    def requirements(self, wanted: Sequence[Requirement], element: Sequence[Token] | None = None) -> Predicate:
        """Compile conditions, all of which must hold."""
        checks = [self._requirement(one, element) for one in wanted]
        if len(checks) == 1:
            return checks[0]
        return lambda frame, item: all(check(frame, item) for check in checks)

    @_with_own_code
    def expression(self, expression: Expression) -> Value:
        """Compile a value: find it, then `after`, `map`, the conversion, and the default of what is absent."""
        if isinstance(expression.source, Fixed) and expression.choices is None and expression.after is None:
            fixed = _plain_conversion(expression, self._key)(expression.source.value)
            return lambda frame, item: fixed
        find, convert, default = self._source(expression), self._conversion(expression), expression.default
        after, choices, otherwise = expression.after, expression.choices, expression.otherwise
        if after is None and choices is None:
            if expression.to != "text":
                return _converted(find, convert, default)
            get = self._alone_in_root(expression)
            return _as_text(find, default) if get is None else _root_text(get, find, default)

        def value(frame: Frame, item: Any) -> Any:
            found = find(frame, item)
            if found is not None and after is not None:
                found = _behind(after, text_of(found))
            if found is None:
                return default
            if choices is not None:
                found = _chosen(found, choices, otherwise)
            found = convert(frame, item, found)
            return default if found == "" else found

        return value

    def _alone_in_root(self, expression: Expression) -> Getter | None:
        """Getter of an expression that is one place in the root; None for any other."""
        source = expression.source
        if isinstance(source, FirstPlace) and len(source.places) == 1 and source.places[0].kind == language.ROOT:
            return getter(source.places[0].path, self._shape)
        return None

    @_with_own_code
    def _source(self, expression: Expression) -> Value:
        source = expression.source
        if isinstance(source, Fixed):
            fixed = source.value
            return lambda frame, item: fixed
        if isinstance(source, FirstPlace):
            return _first([self.place(place) for place in source.places])
        if isinstance(source, Joined):
            return _join([_constant(part) or self.expression(part) for part in source.parts])
        if isinstance(source, Linked):
            return self._linked(source)
        return self._picked(source)

    def link_key(self, link: str, of: Expression) -> Value:
        """Compile the key of an order's, a case's or an address's link; None where there is no such thing.

        Raises ValueError for addresses without the key of pseudonyms.
        """
        if link == "address" and not self._key:
            raise ValueError("links of addresses need NPS_SOURCES_KEY")
        find, key = self.expression(of), self._key

        def value(frame: Frame, item: Any) -> Any:
            found = find(frame, item)
            return None if found is None else link_key(link, found, key)

        return value

    def _linked(self, source: Linked) -> Value:
        find, kind, customer_of = self.link_key(source.link, source.of), source.link, self._customer_of

        def value(frame: Frame, item: Any) -> Any:
            link = find(frame, item)
            if link is None:
                return None
            customer_id = customer_of(link)
            if customer_id is None:
                raise Unlinked(kind, link)
            return customer_id

        return value

    def _picked(self, source: Picked) -> Value:
        """Compile the choice of one element of an array."""
        base: Sequence[Token] = self._element if source.of.kind == language.ITEM else ()
        element = (*base, *source.of.path, ELEMENT)
        if source.of.kind not in (language.ROOT, language.ITEM):
            return Evaluator(None, None, self._key)._picked_in(source, (), self.place(source.of))
        return self._picked_in(source, element, self.place(source.of))

    @_with_own_code
    def _picked_in(self, source: Picked, element: Sequence[Token], find: Value) -> Value:
        fits = self.requirements(source.where, element) if source.where else None
        size = None if source.largest is None else self.place(source.largest, element)
        take = self.place(source.take, element)

        def value(frame: Frame, item: Any) -> Any:
            elements = find(frame, item)
            if elements is None:
                return None
            candidates = elements_of(frame, elements)
            if fits is not None:
                candidates = [one for one in candidates if fits(frame, one)]
            chosen = _largest(frame, candidates, size) if size is not None else candidates[:1]
            return take(frame, chosen[0]) if chosen else None

        return value

    @_with_own_code
    def _conversion(self, expression: Expression) -> Callable[[Frame, Any, Any], Any]:
        to = expression.to
        if to == "money":
            scale = expression.scale
            assert_currency = self.expression(expression.currency) if expression.currency else _absent

            def money(frame: Frame, item: Any, found: Any) -> int:
                currency = assert_currency(frame, item)
                if currency is None:
                    raise ValueError("an amount without a currency")
                return conversions.minor_units(found, currency, scale)

            return money
        convert = _plain_conversion(expression, self._key)
        if to not in conversions.TEXTS:
            return lambda frame, item, found: convert(found)

        def text(frame: Frame, item: Any, found: Any) -> Any:
            if type(found) is str and len(found) > _LONG_TEXT:
                frame.work(len(found) // _WORK_CHARACTERS)
            return convert(found)

        return text

    @_with_own_code
    def _requirement(self, wanted: Requirement, element: Sequence[Token] | None) -> Predicate:
        find = self.place(wanted.place, element)
        checks: list[Callable[[Frame, Any, Any], bool]] = []
        if wanted.any_of is not None:
            any_of = texts(wanted.any_of)
            return _is_any(find, any_of)  # it stands alone
        if wanted.none_of is not None:
            none_of = texts(wanted.none_of)
            checks.append(lambda frame, item, found: _word(found) not in none_of)
        if wanted.exists is not None:
            expected = wanted.exists
            checks.append(lambda frame, item, found: (found is not None) is expected)
        if wanted.at_least is not None:
            least = wanted.at_least
            checks.append(lambda frame, item, found: (number := _number(found)) is not None and number >= least)
        if wanted.starts is not None:
            starts = wanted.starts
            checks.append(lambda frame, item, found: (word := _word(found)) is not None and word.startswith(starts))
        if wanted.differs_from is not None:
            other = self.place(wanted.differs_from, element)
            checks.append(lambda frame, item, found: _differ(found, other(frame, item)))
        if len(checks) == 1:
            check = checks[0]
            return lambda frame, item: check(frame, item, find(frame, item))

        def holds(frame: Frame, item: Any) -> bool:
            found = find(frame, item)
            return all(check(frame, item, found) for check in checks)

        return holds


def link_key(link: str, text: str, key: bytes) -> str:
    """Key of a link, 64 hex digits: of orders and cases their SHA-256, of addresses in any case an HMAC under `key`."""
    if link == "address":
        return hmac.new(key, f"link\0{text.strip().lower()}".encode(), "sha256").hexdigest()
    return hashlib.sha256(f"{link}\0{text}".encode()).hexdigest()


def present(value: Any) -> Any:
    """The value, or None for one that stands for none."""
    if value is msgspec.UNSET or (type(value) is str and (not value or value == UNAVAILABLE)):
        return None
    return value


def elements_of(frame: Frame, value: Any) -> list[Any]:
    """Elements of an array, counted as work.  Raises ValueError for anything else, Unmappable for too many."""
    if type(value) is not list:
        raise ValueError("not an array")
    if len(value) > MOST_EVENTS:
        raise Unmappable(Reason.TOO_MANY_EVENTS, f"an array of {len(value)} elements, at most {MOST_EVENTS}")
    frame.work(len(value))
    return value


def _in_root(get: Getter) -> Value:
    """A value in the root.  Its first lines are those of `present`, once more, for they run for every field."""

    def value(frame: Frame, item: Any) -> Any:
        try:
            found = get(frame.root)
        except AttributeError:  # something else than an object on the way
            return None
        if found.__class__ is str:
            return found if found and found != UNAVAILABLE else None
        return None if found is msgspec.UNSET else found

    return value


def _in_item(get: Getter) -> Value:
    def value(frame: Frame, item: Any) -> Any:
        try:
            return present(get(item))
        except AttributeError:
            return None

    return value


def _as_text(find: Value, default: Scalar | None) -> Value:
    """A value as text, by far the most frequent of expressions."""

    def value(frame: Frame, item: Any) -> Any:
        found = find(frame, item)
        if found.__class__ is str:
            if len(found) > _LONG_TEXT:
                frame.work(len(found) // _WORK_CHARACTERS)
            return found
        return default if found is None else text_of(found)

    return value


def _root_text(get: Getter, find: Value, default: Scalar | None) -> Value:
    """A short text at a place in the root, found at once; anything else as any place's."""
    usual = _as_text(find, default)

    def value(frame: Frame, item: Any) -> Any:
        try:
            found = get(frame.root)
        except AttributeError:
            return default
        if found.__class__ is str and found and len(found) < _SHORT_TEXT:
            return found
        return usual(frame, item)

    return value


def _converted(find: Value, convert: Callable[[Frame, Any, Any], Any], default: Scalar | None) -> Value:
    def value(frame: Frame, item: Any) -> Any:
        found = find(frame, item)
        if found is None:
            return default
        found = convert(frame, item, found)
        return default if found == "" else found

    return value


def _of_record(kind: str, path: Sequence[str]) -> Value:
    if kind == language.KEY:
        return lambda frame, item: _decoded(frame.record.key)
    if path[0] == "timestamp":
        return lambda frame, item: frame.record.timestamp if frame.record.timestamp >= 0 else None
    if path[0] == "offset":
        return lambda frame, item: frame.record.offset
    return (lambda frame, item: frame.topic) if path[0] == "topic" else (lambda frame, item: frame.partition)


def _first(finds: Sequence[Value]) -> Value:
    if len(finds) == 1:
        return finds[0]

    def value(frame: Frame, item: Any) -> Any:
        for find in finds:
            if (found := find(frame, item)) is not None:
                return found
        return None

    return value


def _constant(part: Expression) -> str | None:
    """Text of a part that stands in the file as it is; None for any other."""
    is_plain = isinstance(part.source, Fixed) and part == Expression(part.source, "text")
    return str(part.source.value) if is_plain and isinstance(part.source, Fixed) else None


def _join(parts: Sequence[str | Value]) -> Value:
    """Join texts; one that is found between two that stand in the file is by far the most frequent."""
    finds = [(at, part) for at, part in enumerate(parts) if not isinstance(part, str)]
    if len(finds) == 1:
        at, find = finds[0]
        before, behind = ("".join(map(str, some)) for some in (parts[:at], parts[at + 1 :]))

        def one(frame: Frame, item: Any) -> Any:
            found = find(frame, item)
            return None if found is None else before + found + behind

        return one

    def value(frame: Frame, item: Any) -> Any:
        found = [part if isinstance(part, str) else part(frame, item) for part in parts]
        return None if None in found else "".join(found)

    return value


def _is_any(find: Value, any_of: frozenset[str]) -> Predicate:
    def holds(frame: Frame, item: Any) -> bool:
        found = find(frame, item)
        return (found if found.__class__ is str else _word(found)) in any_of

    return holds


def _absent(frame: Frame, item: Any) -> Any:
    return None


def _plain_conversion(expression: Expression, key: bytes) -> Callable[[Any], Any]:
    """The conversion of a value that needs nothing else of the record."""
    to, form = expression.to, expression.format
    where = zone(expression.zone) if expression.zone else None
    if to == "time":
        if form is not None:
            return lambda found: conversions.formatted_time(found, form, where)
        return lambda found: conversions.iso_time(found, where)
    if to in ("seconds", "millis", "micros", "nanos"):
        return lambda found: conversions.epoch_time(found, to)
    if to == "pseudonym":
        if not key:
            raise ValueError("pseudonyms need NPS_SOURCES_KEY")
        return lambda found: conversions.pseudonym(found, key)
    return {
        "text": text_of, "plain": conversions.plain, "digest": conversions.digest, "int": conversions.whole,
        "bool": conversions.truth, "rfc2822": conversions.mail_time,
        "lower": lambda found: text_of(found).lower(), "upper": lambda found: text_of(found).upper(),
    }[to]  # fmt: skip


def _behind(mark: str, text: str) -> str | None:
    """The text behind the last mark; None where there is no mark, or nothing behind it."""
    _, found, rest = text.rpartition(mark)
    return rest if found and rest else None


def _chosen(found: Any, choices: Any, otherwise: Scalar | None) -> Scalar:
    chosen = choices.get(text_of(found), otherwise)
    if chosen is None:
        raise Unmappable(Reason.UNMAPPED_VALUE, "a word that `map` does not have")
    return chosen  # type: ignore[no-any-return]


def _largest(frame: Frame, candidates: Sequence[Any], size: Value) -> list[Any]:
    """The first of the candidates with the largest number; those without a number are none."""
    best, largest = [], None
    for candidate in candidates:
        number = _number(size(frame, candidate))
        if number is not None and (largest is None or number > largest):
            best, largest = [candidate], number
    return best


def _number(found: Any) -> Any:
    """The number that a value is; None for one that is none."""
    if found is None:
        return None
    try:
        return number_of(found)
    except ValueError:
        return None


def _word(found: Any) -> str | None:
    """The text of a value; None for an object and for what is absent."""
    if type(found) is str:
        return found
    try:
        return None if found is None else text_of(found)
    except ValueError:
        return None


def _differ(one: Any, other: Any) -> bool:
    """True when two values are not the same, one of them may be absent."""
    if one is None or other is None:
        return one is not other
    word, other_word = _word(one), _word(other)
    return one != other if word is None or other_word is None else word != other_word


def _decoded(data: bytes | None) -> str | None:
    """Text of a key or header.  Raises ValueError for bytes that are no UTF-8."""
    if not data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
