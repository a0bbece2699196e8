"""Mapper: compiles a mapping file once, then turns each foreign record into events of ours, or says why not.

Pure: what a record becomes follows from its bytes, key, headers and timestamp alone, never from a clock or what came
before.  The work on a record is bounded, whatever its bytes and the mapping are: see `evaluation.MOST_WORK`.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from schemas.events import IDENTITY, NOTHING, ContactUpdate, Inbound, SurveyResponse
from schemas.reasons import Reason
from schemas.records import new
from streams.domain import contacts
from streams.intake import EARLIEST_MS, LATEST_MS, LONGEST_NAME_BYTES, absurd, too_long
from streams.kafka.ports import FetchedRecord
from streams.sources import language
from streams.sources.documents import DocumentDecoder, Unreadable
from streams.sources.evaluation import CustomerOf, Evaluator, Frame, Unlinked, Unmappable, Value, elements_of
from streams.sources.fields import is_optional, kinds_of, required_of
from streams.sources.language import (
    MOST_EVENTS,
    EventMapping,
    Expression,
    FieldMapping,
    FirstPlace,
    LinkMapping,
    Picked,
    Place,
)  # fmt: skip
from streams.sources.shapes import ELEMENT, Shape, Token

LARGEST_TEXTS_BYTES = 49_152
"""Upper bound of the comment and the attributes of an event, so that intake never finds it too large."""

HIGHEST_SCORE = 10
_SURELY_SHORT_CHARACTERS = LONGEST_NAME_BYTES // 4


class Unmapped(NamedTuple):
    """Reason and detail of a foreign record's dead letter; `field` is the field at fault, empty for the record.

    `links` are the keys of the links that the record waits for before it dies; none for one that does not wait.
    """

    reason: Reason
    detail: str
    field: str = ""
    links: tuple[str, ...] = ()


class TaughtLink(NamedTuple):
    """Link that a record teaches: whoever asks by `key` means this customer."""

    key: str
    customer_id: str


class Mapped(NamedTuple):
    """Result of a record: events, each after its topic, and the letter for the first that could not be made.

    Neither, for a record that is ignored, unless it teaches `links`.
    """

    events: Sequence[tuple[str, Inbound]]
    letter: Unmapped | None = None
    links: Sequence[TaughtLink] = ()


class Mapper:
    """Compiled mapping.

    `key` is that of pseudonyms; `texts_of` gets schemas of a registry by id; `is_placeholder` knows the program's
    customer ids that stand for nobody; `customer_of` finds the customer to whom the link of a key leads.  Raises
    ValueError for a mapping that needs a key where there is none.
    """

    def __init__(
        self,
        mapping: language.SourceMapping,
        *,
        key: bytes = b"",
        texts_of: Callable[[int], list[str]] | None = None,
        is_placeholder: Callable[[str], bool] = lambda customer_id: False,
        customer_of: CustomerOf = lambda link: None,
    ) -> None:
        self.mapping = mapping
        self.texts_of = texts_of
        shape = Shape()
        for event in mapping.events:
            _add_places(shape, event.each, event.when, event.expressions())
        for link in mapping.links:
            ends = [*language.expressions_of(link.of), *language.expressions_of(link.customer_id)]
            _add_places(shape, link.each, link.when, ends)
        self._decoder = DocumentDecoder(mapping, shape, texts_of)
        self._shaped, self._whole = [
            [
                *(_LinkBuilder(mapping.file, link, by, key, is_placeholder) for link in mapping.links),
                *(_EventBuilder(mapping, event, by, key, is_placeholder, customer_of) for event in mapping.events),
            ]
            for by in (shape, None)
        ]

    def map(self, record: FetchedRecord, partition: int = 0) -> Mapped:
        """Map one record.  Raises RegistryAway when its schema is needed and the registry is away."""
        file = self.mapping.file
        try:
            documents = self._decoder.documents(record)
        except Unreadable as error:
            return Mapped((), Unmapped(error.reason, f"{file}: {error.detail}"))
        run = _Run(Frame(record, self.mapping.topic, partition))
        for document in documents:
            run.frame.show(document)
            for builder in self._shaped if document.is_shaped else self._whole:
                builder.build_all(run)
        if not run.has_match and documents and self.mapping.otherwise == "bury":
            return Mapped((), Unmapped(Reason.NO_MAPPING, f"{file}: the `when` of no event holds"))
        return Mapped(run.events, run.letter, run.links)


class _Run:
    """Result of a record, while it is made."""

    __slots__ = ("events", "frame", "has_match", "letter", "links")

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.events: list[tuple[str, Inbound]] = []
        self.letter: Unmapped | None = None
        self.links: list[TaughtLink] = []
        self.has_match = False

    def refuse(self, letter: Unmapped) -> None:
        """Note what could not be made; the first such note is the letter, unless it only waits for a link."""
        if self.letter is None or (self.letter.links and not letter.links):
            self.letter = letter
        elif letter.links and self.letter.links:
            self.letter = self.letter._replace(links=(*self.letter.links, *letter.links))


class _Builder:
    """Builder of what one table of the file makes, of a record or of each element of an array in it."""

    def __init__(
        self, evaluator: Evaluator, when: Sequence[language.Requirement], each: Place | None, file: str, line: int
    ) -> None:
        self._file, self._table_line = file, line
        before = [one for one in when if not _reads_element(one)]
        self._applies = evaluator.requirements(before) if before else None
        within = [one for one in when if _reads_element(one)]
        self._fits = evaluator.requirements(within) if within else None
        self._elements = None if each is None else evaluator.place(each)

    def build_all(self, run: _Run) -> None:
        """Build what the frame's document makes, or every element of it where there is `each`."""
        try:
            if self._applies is not None and not self._applies(run.frame, None):
                return
            if self._elements is None:
                run.has_match = True
                self._build(run, None)
                return
            elements = self._elements(run.frame, None)
            for element in () if elements is None else elements_of(run.frame, elements):
                if self._fits is None or self._fits(run.frame, element):
                    run.has_match = True
                    self._build(run, element)
        except (Unmappable, ValueError) as error:
            run.has_match = True
            name = "when" if self._elements is None else "each"
            run.refuse(self._letter(error, name, self._table_line))

    def _build(self, run: _Run, element: Any) -> None:
        raise NotImplementedError

    def _letter(self, error: Exception, field: str, line: int) -> Unmapped:
        reason = error.reason if isinstance(error, Unmappable) else Reason.BAD_VALUE
        links = (error.link,) if isinstance(error, Unlinked) else ()
        return Unmapped(reason, f"{self._file}:{line}: {self._label}.{field}: {error}", field, links)

    _label = "links"
    """Name of the table in details."""


class _LinkBuilder(_Builder):
    """Builder of the links that one `[[links]]` teaches; a record without the one end or the other teaches none."""

    def __init__(
        self,
        file: str,
        link: LinkMapping,
        shape: Shape | None,
        key: bytes,
        is_placeholder: Callable[[str], bool],
    ) -> None:
        evaluator = Evaluator(shape, None if link.each is None else link.each.path, key)
        super().__init__(evaluator, link.when, link.each, file, link.line)
        self._key = evaluator.link_key(link.link, link.of)
        self._customer = evaluator.expression(link.customer_id)
        self._is_placeholder = is_placeholder

    def _build(self, run: _Run, element: Any) -> None:
        key, customer_id = self._key(run.frame, element), self._customer(run.frame, element)
        if key is None or customer_id is None or customer_id.isspace() or self._is_placeholder(customer_id):
            return
        if len(customer_id.encode()) <= LONGEST_NAME_BYTES and len(run.links) < MOST_EVENTS:
            run.links.append(TaughtLink(key, customer_id))


class _EventBuilder(_Builder):
    """Builder of the events of one `[[events]]`, from roots that were read by `shape` or, without one, whole."""

    def __init__(
        self,
        mapping: language.SourceMapping,
        event: EventMapping,
        shape: Shape | None,
        key: bytes,
        is_placeholder: Callable[[str], bool],
        customer_of: CustomerOf,
    ) -> None:
        evaluator = Evaluator(shape, None if event.each is None else event.each.path, key, customer_of)
        super().__init__(evaluator, event.when, event.each, mapping.file, event.line)
        self._event = event
        self._label = event.label
        self._personal = mapping.personal
        self._is_placeholder = is_placeholder
        self._fields = [_Field(event, name, kind, evaluator) for name, kind in kinds_of(event.record).items()]
        self._blank: list[Any] = [field.absent for field in self._fields]
        self._mapped = [
            (at, field.value, field.is_required) for at, field in enumerate(self._fields) if field.value is not None
        ]

    def _build(self, run: _Run, element: Any) -> None:
        if len(run.events) >= MOST_EVENTS:
            raise Unmappable(Reason.TOO_MANY_EVENTS, f"more than {MOST_EVENTS} events")
        event = self._event_or_letter(run.frame, element)
        if isinstance(event, Unmapped):
            run.refuse(event)
        else:
            run.events.append((self._event.topic, event))

    def _event_or_letter(self, frame: Frame, element: Any) -> Inbound | Unmapped:
        values = self._blank.copy()
        at = 0
        try:
            for at, value, is_required in self._mapped:
                values[at] = found = value(frame, element)
                if found is None and is_required:
                    field = self._fields[at]
                    error = Unmappable(Reason.MISSING_FIELD, field.nothing)
                    return self._letter(error, field.name, field.line)
        except (Unmappable, ValueError) as error:
            return self._letter(error, *self._fields[at].at_fault)
        return self._checked(new(self._event.record, values))

    def _checked(self, event: Inbound) -> Inbound | Unmapped:
        """The event, or the letter for what it says, which intake or a journey would refuse later without its bytes."""
        objection = _objection(event, self._is_placeholder)
        if objection is not None:
            name, reason, detail = objection
            return self._letter(Unmappable(reason, detail), name, self._line(name))
        for name, text in getattr(event, "attributes", {}).items():
            if "@" in text and name not in self._personal:
                field = f"attributes.{name}"
                error = Unmappable(Reason.PERSONAL_DATA, "an @, as in an e-mail address")
                return self._letter(error, field, self._line(field))
        return event

    def _line(self, field: str) -> int:
        """Line of a field, or of the event where no line of the file gives the field."""
        return self._event.line_of(field)


class _Field:
    """A field of an event, compiled: its value, or what stands for none where the mapping has no such field."""

    def __init__(self, event: EventMapping, name: str, kind: str, evaluator: Evaluator) -> None:
        self.name = name
        self.is_required = name in required_of(event.record)
        self.line = event.line_of(name)
        self.nothing = ""
        self.absent: Any = NOTHING if kind == "map" else None
        if kind == "bool" and not is_optional(event.record, name):
            self.absent = False
        self.value: Value | None = None
        self._entry = name, self.line
        if kind == "map" and name in event.maps:
            self.value = self._entries(event.maps[name], evaluator)
        elif name in event.fields:
            expression = event.fields[name].expression
            self.nothing = f"nothing at {_places(expression)}"
            self.value = _or_else(evaluator.expression(expression), self.absent)

    @property
    def at_fault(self) -> tuple[str, int]:
        """Name and line of the field that was evaluated last: of a map that of its entry."""
        return self._entry

    def _entries(self, entries: Sequence[tuple[str, FieldMapping]], evaluator: Evaluator) -> Value:
        compiled = [
            (name, (mapping.name, mapping.line), evaluator.expression(mapping.expression)) for name, mapping in entries
        ]

        def value(frame: Frame, item: Any) -> dict[str, str]:
            found = {}
            for name, self._entry, entry in compiled:
                if (text := entry(frame, item)) is not None:
                    found[name] = text
            return found

        return value


def _or_else(value: Value, absent: Any) -> Value:
    return value if absent is None else lambda frame, item: value(frame, item) or absent


def _add_places(
    shape: Shape,
    elements: Place | None,
    when: Sequence[language.Requirement],
    expressions: Sequence[Expression],
) -> None:
    """Add every place that one table of the file reads to the shape by which roots are read."""
    each: Sequence[Token] = ()
    if elements is not None:
        each = (*elements.path, ELEMENT)
        if elements.kind == language.ROOT:
            shape.add(each, is_read=False)
    for requirement in when:
        _add_requirement(shape, requirement, each)
    for expression in expressions:
        _add_source(shape, expression.source, each)


def _add_source(shape: Shape, source: language.Source, each: Sequence[Token]) -> None:
    if isinstance(source, FirstPlace):
        for place in source.places:
            _add_place(shape, place, each)
    elif isinstance(source, Picked):
        base = each if source.of.kind == language.ITEM else ()
        element = (*base, *source.of.path, ELEMENT)
        inner = [source.take, *([source.largest] if source.largest else [])]
        if source.of.kind in (language.ROOT, language.ITEM):
            shape.add(element, is_read=False)
        for place in inner:
            _add_place(shape, place, element)
        for requirement in source.where:
            _add_requirement(shape, requirement, element)


def _add_requirement(shape: Shape, requirement: language.Requirement, element: Sequence[Token]) -> None:
    _add_place(shape, requirement.place, element)
    if requirement.differs_from is not None:
        _add_place(shape, requirement.differs_from, element)


def _add_place(shape: Shape, place: Place, element: Sequence[Token]) -> None:
    if place.kind == language.ROOT:
        shape.add(place.path)
    elif place.kind == language.ITEM and element:
        shape.add((*element, *place.path))


def _reads_element(requirement: language.Requirement) -> bool:
    other = requirement.differs_from
    return language.ITEM in (requirement.place.kind, other.kind if other else "")


def _places(expression: Expression) -> str:
    """The places of an expression for people; all of them must be there, or one of several."""
    return ", ".join(place.text or "the record" for place in language.places_of(expression)) or "its place"


def _objection(event: Inbound, is_placeholder: Callable[[str], bool]) -> tuple[str, Reason, str] | None:
    """The field, reason and detail for which an event would be refused later; None for one that is fine."""
    if event.customer_id.isspace() or event.source.isspace() or event.id.isspace():  # type: ignore[union-attr]
        name = next(name for name in IDENTITY if getattr(event, name).isspace())
        return name, Reason.INVALID_EVENT, "nothing but space"
    is_erasure = isinstance(event, ContactUpdate) and event.erased
    if is_placeholder(event.customer_id) and not is_erasure:
        return "customer_id", Reason.PLACEHOLDER, "one of events.placeholders"
    if not EARLIEST_MS <= event.time < LATEST_MS:  # type: ignore[union-attr]  # no source makes wakeups
        return "time", Reason.ABSURD_TIME, absurd(event.time).partition(" ")[2]  # type: ignore[union-attr]
    if _may_be_long(event) and (long := too_long(event)) is not None:  # type: ignore[arg-type]
        return long, Reason.TOO_LONG, "more than 256 bytes"
    if isinstance(event, SurveyResponse):
        return _objection_to_response(event)
    if isinstance(event, ContactUpdate) and (fault := contacts.fault(event, None) or contacts.zone_fault(event)):
        return "consents" if event.consents else "time_zone", fault.reason, "no such channel, consent, bounce or zone"
    return _objection_to_size("attributes", "".join(event.attributes.values()))  # type: ignore[union-attr]


def _may_be_long(event: Inbound) -> bool:
    """True for an event with a text of so many characters that it may have more bytes than a name may."""
    return max([len(text) for text in event if text.__class__ is str]) > _SURELY_SHORT_CHARACTERS


def _objection_to_response(event: SurveyResponse) -> tuple[str, Reason, str] | None:
    if event.score is not None and not 0 <= event.score <= HIGHEST_SCORE:
        return "score", Reason.INVALID_SCORE, "not from 0 to 10"
    if event.score is None and event.comment is None and not event.voided:
        return "score", Reason.EMPTY_RESPONSE, "neither score nor comment nor withdrawal"
    return _objection_to_size("comment", event.comment or "")


def _objection_to_size(name: str, text: str) -> tuple[str, Reason, str] | None:
    if len(text) * 4 > LARGEST_TEXTS_BYTES and len(text.encode()) > LARGEST_TEXTS_BYTES:
        return name, Reason.TOO_LARGE, f"more than {LARGEST_TEXTS_BYTES} bytes"
    return None
