"""Takes golden state through every kind of event with a field more in each record and one inbound topic more.

    python -m tests.support.evolved_state       a line for each customer; fails where a field or a version got lost

The product's own modules are loaded from their source with the additions, before anything else imports them.
"""

import ast
import asyncio
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parents[1] / "contract" / "golden"
APPENDED = "appended_later"
KEPT = "kept"


def load(name: str, edit: Callable[[ast.Module], None]) -> None:
    """Import a module from its source with additions."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    edit(tree)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    package, _, last = name.rpartition(".")
    setattr(sys.modules[package], last, module)
    exec(compile(ast.fix_missing_locations(tree), spec.origin, "exec"), module.__dict__)


def with_a_field_more(module: ast.Module) -> None:
    """Append a field to every record of the journey."""
    (field,) = ast.parse(f"{APPENDED}: str = ''").body
    records = [node for node in module.body if isinstance(node, ast.ClassDef)]
    assert len(records) > 10
    for record in records:
        last = max(place for place, node in enumerate(record.body) if isinstance(node, ast.AnnAssign))
        record.body.insert(last + 1, field)


def with_a_topic_more(module: ast.Module) -> None:
    """Append an inbound topic; what comes after sees it as any other."""
    for place, node in enumerate(module.body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "TOPICS":
            module.body[place:place] = ast.parse(
                "RETURNS = Topic('nps.returns', events.Purchase, 'customer_id', 400 * DAY_MS)\n"
                "INBOUND = (*INBOUND, RETURNS)\n"
                "INBOUND_RECORDS[RETURNS.name] = events.Purchase\n"
            ).body
            return
    raise AssertionError("no table of topics")


def marked(value: Any) -> Any:
    """A value with its appended fields set, however deep."""
    if not isinstance(value, tuple):
        return value
    parts = [marked(part) for part in value]
    if not hasattr(value, "_fields"):
        return tuple(parts)
    return type(value)(*[KEPT if name == APPENDED else part for name, part in zip(value._fields, parts, strict=True)])


def parts(journey: Any) -> dict[str, Any]:
    """The records of a journey that outlive an event, by what they are about."""
    found = {"the journey": journey, "the contact": journey.contact}
    for invitation in journey.invitations:
        found[f"invitation {invitation.survey_id}"] = invitation
        found[f"what was given to {invitation.survey_id}"] = invitation.given
        found[f"clicks of {invitation.survey_id}"] = invitation.clicks
    return {what: record for what, record in found.items() if record is not None}


def lost(before: Any, after: Any) -> list[str]:
    """The records that had what was appended to them before, are there still, and have it no longer."""
    now = parts(after)
    return [
        what
        for what, record in parts(before).items()
        if getattr(record, APPENDED) == KEPT and what in now and getattr(now[what], APPENDED) != KEPT
    ]


def events_about(journey: Any, now_ms: int) -> Iterator[tuple[str, Any]]:
    """Every kind of event, with its topic: each invitation is clicked, answered, corrected and voided.

    But for an erasure, which forgets whatever is appended on purpose.
    """
    from schemas.events import ContactUpdate, Purchase, SupportCase, SurveyResponse, Wakeup

    said = (
        (9, None, False, True), (3, None, False, False), (None, "why", False, False), (8, None, False, False),
        (None, None, True, False), (7, None, False, False),
    )  # fmt: skip
    yield "nps.wakeups", Wakeup("c1", now_ms)
    for invitation in journey.invitations:
        for kind, (score, comment, voided, provisional) in enumerate(said):
            id_, at_ms = f"{invitation.survey_id}-{kind}", now_ms + kind
            yield "nps.responses", SurveyResponse(
                "tool", id_, "survey.answered", at_ms, "c1", invitation.survey_id, score, comment, voided, None,
                provisional,
            )  # fmt: skip
    for id_, type_ in (("p1", "order.delivered"), ("p2", "order.returned")):
        yield "nps.purchases", Purchase("shop", id_, type_, now_ms, "c1", "o-new", 1, "EUR", {})
    yield "nps.support", SupportCase("desk", "k1", "case.solved", now_ms, "c1", "k1", {})
    for id_, opted_out in (("u1", None), ("u2", True)):
        yield "nps.contacts", ContactUpdate("crm", id_, "contact", now_ms, "c1", opted_out, None, "de", {})
    yield "nps.wakeups", Wakeup("c1", now_ms + 40 * 86_400_000)


def take_all(state: bytes) -> int:
    """Take every kind of event into a journey of golden bytes; how many there were.  AssertionError for a loss."""
    from schemas.codec import Codec
    from schemas.topics import INBOUND
    from streams.domain.state import NEW
    from streams.kafka.memory import MemoryLog
    from streams.kafka.ports import KafkaRecord
    from streams.processing.merge import MergedBatch
    from streams.processing.partition import PartitionProcessor
    from streams.processing.raw_record import pack
    from streams.program import load as load_program
    from streams.state.progress import Progress
    from streams.state.tables import decode, encode

    entry = decode(state)
    assert (len(entry.applied_version), entry.applied_version[-1]) == (len(INBOUND), -1)
    raw = pack(("nps.responses", 0, 1, 1, b"c1", b"", ()))
    parked = tuple(parked._replace(raw=raw) for parked in entry.journey.parked)
    journey = marked(entry.journey._replace(parked=parked))
    processor, codec = PartitionProcessor(0, load_program(), Codec(), lambda _: 0), Codec()
    processor.journeys.restore(KafkaRecord(0, 0, b"c1", encode(entry._replace(journey=journey))))
    processor.restored()
    events = list(events_about(journey, journey.clock_ms + 1_000))
    for number, (topic, event) in enumerate(events):
        at_ms = getattr(event, "due_ms", journey.clock_ms + 1_000 + number)
        before = processor.journeys.get(b"c1").journey
        record = KafkaRecord((1 << 40) + number, at_ms, b"c1", codec.encode(event))
        outputs = processor.decide(MergedBatch([(topic, record)], 1 << 60, Progress()))
        asyncio.run(processor.make_durable(outputs, MemoryLog(), lambda: None))
        after = processor.journeys.get(b"c1")
        assert len(after.applied_version) == len(INBOUND)
        if after.journey != NEW:
            assert lost(before, after.journey) == [], event
    return len(events)


def main() -> None:
    """Load the product with its additions, then take every golden journey through everything."""
    import streams.domain  # noqa: F401  # packages first: their modules are set on them

    load("schemas.topics", with_a_topic_more)
    load("streams.domain.state", with_a_field_more)
    for golden in sorted(GOLDEN.glob("journey.*.hex")):
        for number, line in enumerate(golden.read_text().split()):
            print(f"{golden.name} {number}: {take_all(bytes.fromhex(line))} events")


if __name__ == "__main__":
    main()
