"""Warnings about a valid mapping file: places that no sample has, and ids that change when a record comes again."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from streams.kafka.ports import FetchedRecord
from streams.sources import language
from streams.sources.documents import DocumentDecoder, Unreadable
from streams.sources.evaluation import Evaluator, Frame, Unmappable, elements_of
from streams.sources.language import EventMapping, SourceMapping
from streams.sources.shapes import Shape


def warnings_of(
    mapping: SourceMapping, records: Sequence[FetchedRecord], texts_of: Callable[[int], list[str]] | None = None
) -> list[str]:
    """One line for each doubt, with file, line and field."""
    whole = Shape()
    whole.add(())
    decoder = DocumentDecoder(mapping, whole, texts_of)
    return [
        f"{mapping.file}:{line}: {event.label}.{field}: {doubt}"
        for event in mapping.events
        for line, field, doubt in [*_arrivals(event), *_absences(event, mapping, records, decoder)]
    ]


def _arrivals(event: EventMapping) -> Iterator[tuple[int, str, str]]:
    """Fields that tell events apart by when a record arrived."""
    for name in ("id", "source"):
        for place in language.places_of(event.fields[name].expression):
            if place.text == "@record/timestamp":
                doubt = "rests on the record's arrival: what is delivered again later counts again"
                yield event.fields[name].line, name, doubt


def _absences(
    event: EventMapping, mapping: SourceMapping, records: Sequence[FetchedRecord], decoder: DocumentDecoder
) -> Iterator[tuple[int, str, str]]:
    """Fields whose places none of the samples has that the event is meant for."""
    evaluator = Evaluator(None, None if event.each is None else event.each.path, b"unused")
    scopes = [scope for record in records for scope in _scopes(event, mapping, record, decoder, evaluator)]
    for field in event.mappings() if scopes else ():
        places = language.places_of(field.expression)
        finds = [evaluator.place(place) for place in places]
        if places and not any(_found(find, *scope) for find in finds for scope in scopes):
            yield field.line, field.name, f"nothing at {', '.join(place.text for place in places)} in any sample"


def _scopes(
    event: EventMapping, mapping: SourceMapping, record: FetchedRecord, decoder: DocumentDecoder, evaluator: Evaluator
) -> Iterator[tuple[Frame, Any]]:
    """Frames and elements of a record for which the event's conditions hold."""
    fits = evaluator.requirements(event.when)
    each = None if event.each is None else evaluator.place(event.each)
    try:
        for document in decoder.documents(record):
            frame = Frame(record, mapping.topic, 0)
            frame.show(document)
            elements = [None] if each is None else elements_of(frame, each(frame, None) or [])
            yield from ((frame, element) for element in elements if fits(frame, element))
    except (Unreadable, Unmappable, ValueError):
        return  # the record's letter says so


def _found(find: Callable[[Frame, Any], Any], frame: Frame, element: Any) -> bool:
    try:
        return find(frame, element) is not None
    except ValueError:
        return True
