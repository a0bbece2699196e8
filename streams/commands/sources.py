"""Commands of sources: `nps sources test`, `new`, `run`, `load`, `lag`."""

import argparse
import asyncio
import io
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition
from rich.progress import Progress

from schemas.codec import Codec
from schemas.errors import NpsError
from schemas.events import Inbound, Wakeup
from schemas.registry import ConfluentRegistry
from schemas.topics import ERASURES, HISTORY_HEADER, LINKS, UNLINKED, key_of
from sinks.erasure.customers import ErasedCustomers
from sinks.kafka_health import MANUAL_COMMIT, QUIET, KafkaHealth
from sinks.rows import digest
from streams import program
from streams.clock import wall_ms
from streams.commands.mappings import require_different, require_foreign_topics
from streams.commands.member import member_of, membership
from streams.commands.session import (
    cell,
    codec_of,
    out,
    read_settings,
    require_topics,
    serve_metrics,
    show,
    stop_on_signal,
    table_of,
)
from streams.commands.showing import print_event
from streams.domain.policy import Program
from streams.engine.fuse import Fuse, FuseLimits
from streams.errors import BadSettings, ExitCode
from streams.kafka.ports import KafkaRecord, Output
from streams.kafka.producer import Producer
from streams.kafka.reader import KafkaReader
from streams.kafka.topics import Retention
from streams.settings import Settings
from streams.sources.draft import draft_of
from streams.sources.evaluation import CustomerOf
from streams.sources.following import LinkFollower
from streams.sources.language import SourceMapping
from streams.sources.links import Links
from streams.sources.mapper import Mapped, Mapper
from streams.sources.process import SourceLinks, SourceProcess, log
from streams.sources.reading import load as read_mapping
from streams.sources.samples import BadSample, Sample, differences, read_samples, told
from streams.sources.waiting import WaitingRecords
from streams.sources.warnings import warnings_of

SHORTEST_KEY_CHARACTERS = 16

MOST_COMPLAINTS = 10
"""The most lines of a history that are named before the rest is only counted."""

LARGEST_CHUNK = 5_000


def test(parsed: argparse.Namespace) -> int:
    """Print what each sample becomes, or why nothing; with `--expect` only how that differs from what is expected."""
    settings = read_settings()
    known: dict[str, str] = {}
    mapper = mapper_of(settings, program.load(settings.program_path), Path(parsed.file), known.get)
    mapping = mapper.mapping
    samples = [sample for path in parsed.sample for sample in read_samples(Path(path))]
    for sample in samples if mapping.has_links else ():
        known.update(mapper.map(sample.record).links)
    results = [(sample, mapper.map(sample.record)) for sample in samples]
    wrong = 0
    for sample, mapped in results:
        if parsed.expect:
            wrong += _compare(sample, mapped)
        else:
            _print_result(sample, mapped)
    for line in warnings_of(mapping, [sample.record for sample in samples], mapper.texts_of):
        out.print(f"warning: {line}", soft_wrap=True)
    return ExitCode.UNEXPECTED if wrong else ExitCode.OK


def new(parsed: argparse.Namespace) -> int:
    """Print a draft of a mapping file from a sample, for a person to finish."""
    types = sorted(program.load(read_settings().program_path).events)
    sample = next(iter(read_samples(Path(parsed.sample))), None)
    if sample is None:
        raise BadSample(f"{parsed.sample}: no record in it")
    out.print(draft_of(parsed.name, sample, types), soft_wrap=True, end="", highlight=False)
    return ExitCode.OK


def run(parsed: argparse.Namespace) -> int:
    """Map the topics of the files until asked to stop; the first source that cannot go on ends them all."""
    settings = read_settings()
    rules = program.load(settings.program_path)
    links = Links(codec_of(settings), ErasedCustomers(), digest)
    mappers = [mapper_of(settings, rules, Path(file), links.customer_of) for file in parsed.file]
    require_different([mapper.mapping for mapper in mappers])
    require_foreign_topics(settings, [mapper.mapping for mapper in mappers])
    health = serve_metrics(settings)
    has_links = any(mapper.mapping.has_links for mapper in mappers)
    with _following(settings, links) if has_links else nullcontext(list) as follow:
        sources = [
            _source_of(settings, mapper, _links_of(settings, rules, mapper, links, follow)) for mapper in mappers
        ]
        health.unready = lambda: next((why for source in sources if (why := source.health.unready())), "")
        _run_all(sources)
    return ExitCode.OK


def load(parsed: argparse.Namespace) -> int:
    """Send a history of foreign records, under the events' own times; all of it is mapped before the first is sent."""
    settings = read_settings()
    links = Links(codec_of(settings), ErasedCustomers(), digest)
    mapper = mapper_of(settings, program.load(settings.program_path), Path(parsed.file), links.customer_of)
    mapping = mapper.mapping
    data = Path(parsed.data)
    if mapping.has_links:
        _teach_history(settings, links, mapper, data)
    counted = _check_history(settings, mapping, mapper, data, skips=parsed.skip)
    codec = codec_of(settings)
    producer = Producer(settings.brokers, client_id="nps-sources-load", security=settings.security)
    sent = 0
    with Progress(console=out, disable=not out.is_terminal) as progress:
        try:
            for _, mapped in progress.track(_mapped(mapping, mapper, data), total=counted, description="loading"):
                producer.send_all(_history_outputs(codec, mapped))
                producer.send_all(links.restated(mapped.links, mapping.name))
                sent += len(mapped.events)
        finally:
            asyncio.run(producer.flush())
    out.print(f"{sent} events of {counted} records loaded")
    return ExitCode.OK


def lag(parsed: argparse.Namespace) -> int:
    """Print how far each source is behind its topic, by partition."""
    settings = read_settings()
    types = program.load(settings.program_path).events
    mappings = [read_mapping(Path(file), types) for file in parsed.file]
    require_foreign_topics(settings, mappings)
    table = table_of("source", "topic", "partition", "committed", "end", "lag")
    with closing(KafkaReader(settings.brokers, settings.security, settings.server_wait_s)) as reader:
        for mapping in mappings:
            partitions = reader.partitions_of(mapping.topic)
            last = {partition: record.offset + 1 for partition, record in reader.tail(partitions, 1)}
            committed = _committed(settings, mapping, partitions)
            for place in partitions:
                offset, least_end = committed[place]
                end = max(last.get(place, 0), least_end)  # either may be too low on the local broker
                told_offset = offset if offset >= 0 else "none"
                table.add_row(*map(cell, (mapping.name, *place, told_offset, end, end - max(offset, 0))))
    show(table)
    return ExitCode.OK


@dataclass(frozen=True, slots=True)
class _RunningSource:
    process: SourceProcess
    health: KafkaHealth
    name: str

    def run(self, stop: threading.Event) -> None:
        """Map until told to stop."""
        self.process.run(stop)


def _run_all(sources: Sequence[_RunningSource]) -> None:
    """Run each source in a thread of its own until a signal comes or one of them fails.  Raises its error."""
    stop, failures = stop_on_signal(), list[BaseException]()

    def run_one(source: _RunningSource) -> None:
        try:
            source.run(stop)
        except BaseException as error:
            if not isinstance(error, NpsError):
                log.exception("source_failed source=%s", source.name)
            failures.append(error)
            stop.set()

    threads = [threading.Thread(target=run_one, args=[source], name=source.name) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.2)  # so that signals are seen
    if failures:
        raise failures[0]


@contextmanager
def _following(settings: Settings, links: Links) -> Iterator[Callable[[], list[Output]]]:
    """Read all links and erasures, then go on reading whenever the function is called.  Raises BrokerAway."""
    with closing(KafkaReader(settings.brokers, settings.security, settings.server_wait_s)) as reader:
        places = [place for topic in (LINKS.name, ERASURES.name) for place in reader.partitions_of(topic)]
    consumer = Consumer({
        "bootstrap.servers": settings.brokers, **settings.security, "group.id": "nps-links",
        "auto.offset.reset": "earliest", "enable.partition.eof": True, "fetch.queue.backoff.ms": "10",
        **MANUAL_COMMIT, **QUIET, "error_cb": lambda error: None,  # the sources' own consumers tell of a broker away
    })  # fmt: skip
    with closing(consumer):
        follower = LinkFollower(consumer, links, places)
        follower.read_all(settings.server_wait_s)
        yield follower.follow


def _links_of(
    settings: Settings, rules: Program, mapper: Mapper, links: Links, follow: Callable[[], list[Output]]
) -> SourceLinks | None:
    """Make the parts of a source that its links need; None for one without links."""
    if not mapper.mapping.has_links:
        return None

    def read_waiting() -> Iterator[KafkaRecord]:
        with closing(KafkaReader(settings.brokers, settings.security, settings.server_wait_s)) as reader:
            yield from (record for _, record in reader.read(reader.partitions_of(UNLINKED.name)))

    return SourceLinks(links, WaitingRecords(mapper.mapping.name, rules.limits.park_ms), follow, read_waiting)


def read_links(reader: KafkaReader, links: Links) -> None:
    """Read all links, and all erasures that end some.  Raises BrokerAway, RegistryAway."""
    places = [place for topic in (LINKS.name, ERASURES.name) for place in reader.partitions_of(topic)]
    for found in reader.read(places):
        links.take([found])


def mapper_of(settings: Settings, rules: Program, file: Path, customer_of: CustomerOf = lambda link: None) -> Mapper:
    """Read and compile a mapping file.  Raises BadMapping and, where it needs the key of pseudonyms, BadSettings."""
    mapping = read_mapping(file, rules.events)
    if settings.sources_key and len(settings.sources_key) < SHORTEST_KEY_CHARACTERS:
        raise BadSettings(f"NPS_SOURCES_KEY must have {SHORTEST_KEY_CHARACTERS} characters or more")
    registry = ConfluentRegistry(settings.registry_url, settings.registry) if settings.registry_url else None
    try:
        return Mapper(
            mapping,
            key=settings.sources_key.encode(),
            texts_of=None if registry is None else registry.texts_of,
            is_placeholder=rules.is_placeholder,
            customer_of=customer_of,
        )
    except ValueError as error:
        raise BadSettings(f"{mapping.file}: {error}") from None


def _source_of(settings: Settings, mapper: Mapper, links: SourceLinks | None) -> _RunningSource:
    health = KafkaHealth(settings.server_wait_s)
    member = member_of(settings, _role(mapper.mapping), health, log)
    producer = Producer(settings.brokers, client_id=f"nps-source-{mapper.mapping.name}", security=settings.security)
    fuse = Fuse(FuseLimits(in_a_row=settings.fuse_in_a_row, ratio=settings.fuse_ratio))
    process = SourceProcess(mapper, codec_of(settings), member, producer, fuse, wall_ms, links)
    return _RunningSource(process, health, mapper.mapping.name)


def _role(mapping: SourceMapping) -> str:
    return f"source-{mapping.name}"


def _committed(
    settings: Settings, mapping: SourceMapping, partitions: Iterable[tuple[str, int]]
) -> dict[tuple[str, int], tuple[int, int]]:
    """Offset that a source's group has committed, negative for none, and the end that the broker tells, at least."""
    places = list(partitions)
    consumer = Consumer({**membership(settings, _role(mapping)), **QUIET})
    with closing(consumer):
        found = consumer.committed([TopicPartition(*place) for place in places], timeout=settings.server_wait_s)
        return {
            (one.topic, one.partition): (
                one.offset,
                max(one.offset, consumer.get_watermark_offsets(one, timeout=settings.server_wait_s)[1]),
            )
            for one in found
        }


# samples


def _print_result(sample: Sample, mapped: Mapped) -> None:
    """Print a record's events field by field, and its letter."""
    out.print(f"{cell(sample.name)}:", soft_wrap=True)
    if not mapped.events and mapped.letter is None:
        out.print("  ignored")
    for topic, event in mapped.events:
        print_event(topic, event)
    if mapped.letter is not None:
        out.print(
            f"  dead letter {mapped.letter.reason}: {cell(mapped.letter.detail)}", soft_wrap=True, highlight=False
        )


def _compare(sample: Sample, mapped: Mapped) -> bool:
    """Print how a result differs from what was expected; True when it does.  Raises BadSample without expectation."""
    if sample.expected is None:
        text = json.dumps(told(mapped), ensure_ascii=False)
        raise BadSample(f"{sample.name}: no .expected.json beside it; what it becomes now: {text}")
    lines = differences(mapped, sample.expected)
    out.print(f"{cell(sample.name)}: {'as expected' if not lines else 'differs'}", soft_wrap=True)
    for line in lines:
        out.print(f"  {cell(line)}", soft_wrap=True, highlight=False)
    return bool(lines)


# histories


def _teach_history(settings: Settings, links: Links, mapper: Mapper, data: Path) -> None:
    """Take all links that there are and those that a history teaches, so that they hold for all of its records.

    They are as old as their record's events, so that none outlives an erasure that came after them.
    """
    require_topics(settings, {LINKS.name, ERASURES.name})
    with closing(KafkaReader(settings.brokers, settings.security, settings.server_wait_s)) as reader:
        read_links(reader, links)
    for _, mapped in _mapped(mapper.mapping, mapper, data):
        at_ms = max(0, min((_time_ms(event) for _, event in mapped.events), default=0))
        links.teach(mapped.links, mapper.mapping.name, at_ms)


def _check_history(settings: Settings, mapping: SourceMapping, mapper: Mapper, data: Path, *, skips: bool) -> int:
    """Map a whole history, and count its records.  Raises BadSample for letters, BadTopics for what is too old."""
    complaints: list[str] = []
    counted, dead = Counter[str](), 0
    require_topics(settings, {event.topic for event in mapping.events})
    retention = Retention(settings.brokers, settings.security, settings.server_wait_s)
    oldest_ms: dict[str, int] = {}
    for name, mapped in _mapped(mapping, mapper, data):
        counted["records"] += 1
        for topic, event in mapped.events:
            time_ms = _time_ms(event)
            oldest_ms[topic] = min(time_ms, oldest_ms.get(topic, time_ms))
        if mapped.letter is not None:
            dead += 1
            if len(complaints) < MOST_COMPLAINTS:
                complaints.append(f"{name}: {mapped.letter.reason}: {mapped.letter.detail}")
    for line in complaints:
        out.print(cell(line), soft_wrap=True, highlight=False)
    if dead and not skips:
        raise BadSample(
            f"{data}: {dead} of {counted['records']} records cannot be mapped; nothing was sent; --skip leaves them out"
        )
    retention.require(list(oldest_ms.items()), wall_ms())
    return counted["records"]


def _mapped(mapping: SourceMapping, mapper: Mapper, data: Path) -> Iterator[tuple[str, Mapped]]:
    for name, value in _history(mapping, data):
        yield name, mapper.map(KafkaRecord(0, -1, None, value))  # a line of a file has neither key nor time


def _history(mapping: SourceMapping, data: Path) -> Iterator[tuple[str, bytes]]:
    """Records of a file, each after its place: lines or, of CSV, lines behind the header line."""
    try:
        with data.open("rb") as file:
            yield from _csv_records(data, file) if mapping.format == "csv" else _lines(data, file)
    except OSError as error:
        raise BadSample(f"{data}: cannot be read ({error.strerror})") from None


def _lines(data: Path, file: io.BufferedReader) -> Iterator[tuple[str, bytes]]:
    for number, line in enumerate(file, 1):
        if line.strip():
            yield f"{data.name}:{number}", line.rstrip(b"\r\n")


def _csv_records(data: Path, file: io.BufferedReader) -> Iterator[tuple[str, bytes]]:
    """Rows of CSV, each with the header line before it; a row goes on while a quotation is open."""
    head, row, start = b"", b"", 1
    for number, line in enumerate(file, 1):
        row += line
        if row.count(b'"') % 2 and len(row) < 1 << 20:
            continue
        if not head:
            head = row
        elif row.strip():
            yield f"{data.name}:{start}", head + row
        row, start = b"", number + 1
    if row.strip() and head:
        yield f"{data.name}:{start}", head + row


def _history_outputs(codec: Codec, mapped: Mapped) -> list[Output]:
    headers = ((HISTORY_HEADER, b"1"),)
    return [
        Output(topic, codec.encode(event), key_of(event), timestamp_ms=max(_time_ms(event), 1), headers=headers)
        for topic, event in mapped.events
    ]


def _time_ms(event: Inbound) -> int:
    return event.due_ms if isinstance(event, Wakeup) else event.time
