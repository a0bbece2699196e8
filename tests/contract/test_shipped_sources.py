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
    mapping, samples = load(file), samples_of(file)
    mapper = Mapper(mapping)
    assert samples
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


def test_a_refund_needs_a_link() -> None:
    """It names no customer: the file says so, and such a record is ignored rather than mapped wrongly."""
    text = (FOLDER / "shopify.toml").read_text()
    assert "refunds/create" in text.splitlines()[-1]
    [refund] = read_samples(Path(__file__).parent / "sources" / "shopify" / "refunds_create.json")
    assert Mapper(load(FOLDER / "shopify.toml")).map(refund.record) == ([], None)
