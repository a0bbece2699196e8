"""The mapping files that ship do what their samples say, and their events mean something to the shipped program."""

from pathlib import Path

import pytest

from schemas.events import Purchase, SupportCase
from streams import program
from streams.sources.mapper import Mapper
from streams.sources.reading import load
from streams.sources.samples import Sample, differences, read_samples
from streams.sources.warnings import warnings_of

FOLDER = Path(__file__).parents[2] / "deploy" / "sources"
FILES = sorted(FOLDER.glob("*.toml"))


def samples_of(file: Path) -> list[Sample]:
    """The samples that are named after a mapping file."""
    paths = [path for path in sorted(FOLDER.glob(f"samples/{file.stem}-*.json")) if path.name.count(".") == 1]
    return [sample for path in paths for sample in read_samples(path)]


def test_two_sources_of_events_and_two_of_answers_ship() -> None:
    """Each with samples and what they become."""
    assert [file.stem for file in FILES] == ["delighted", "shopify", "typeform", "zendesk"]
    assert all(sample.expected is not None for file in FILES for sample in samples_of(file))


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_samples_become_what_is_expected(file: Path) -> None:
    """As `nps sources test --expect` would say, and without a doubt about a place."""
    mapping, samples, known = load(file), samples_of(file), dict[str, str]()
    mapper = Mapper(mapping, customer_of=known.get)
    assert samples
    for sample in samples:
        known.update(mapper.map(sample.record).links)
    assert [line for sample in samples for line in differences(mapper.map(sample.record), sample.expected)] == []
    assert warnings_of(mapping, [sample.record for sample in samples]) == []
    assert mapping.webhook is not None


@pytest.mark.parametrize(("name", "asked"), [("shopify", {"order.delivered"}), ("zendesk", {"case.solved"})])
def test_the_shipped_program_asks_after_what_they_report(name: str, asked: set[str]) -> None:
    """A delivered order and a solved case lead to a survey, a reopened case to none."""
    rules = program.load(None)
    mapper = Mapper(load(FOLDER / f"{name}.toml"))
    events = [event for sample in samples_of(FOLDER / f"{name}.toml") for _, event in mapper.map(sample.record).events]
    types = {event.type for event in events if isinstance(event, Purchase | SupportCase)}
    assert {type_ for rule in rules.rules for type_ in rule.on} & types == asked
    assert name == "shopify" or "case.reopened" in types & rules.cancel_types


def test_a_refund_waits_for_its_order() -> None:
    """It names no customer: until a record of the same shop's order is read it waits, and another shop's is no such."""
    known: dict[str, str] = {}
    mapper = Mapper(load(FOLDER / "shopify.toml"), customer_of=known.get)
    [order], [refund] = (
        read_samples(FOLDER / f"samples/shopify-{name}.json") for name in ("order-fulfilled", "refund")
    )
    other = [(name, b"another" if name == "X-Shopify-Shop-Domain" else value) for name, value in order.record.headers]
    for headers in (None, other, order.record.headers):
        letter = mapper.map(refund.record).letter
        assert letter is not None
        assert (letter.reason, letter.field, len(letter.links)) == ("unknown_customer", "customer_id", 1)
        known.update(() if headers is None else mapper.map(order.record._replace(headers=headers)).links)
    [(_, event)] = mapper.map(refund.record).events
    assert event.customer_id == "115310627314723954"
    assert refund.expected[0]["record"]["type"] in program.load(None).cancel_types
