"""Foreign dead letters, mapped anew: their records become the events that the mapping files now in force make."""

from collections.abc import Callable, Sequence

from schemas.codec import Codec
from schemas.topics import LINKS
from streams.commands.letters import Letter
from streams.commands.redrive import Keep
from streams.kafka.ports import KafkaRecord, Output
from streams.sources.links import Links
from streams.sources.mapper import Mapper
from streams.sources.process import SourceWriter


class Remapping:
    """Mapper of foreign letters, as `Judge` needs it; `now_ms` is the time at which events are made."""

    def __init__(
        self, mappers: Sequence[Mapper], codec: Codec, now_ms: Callable[[], int], links: Links | None = None
    ) -> None:
        self._writers = [(mapper.mapping, SourceWriter(mapper, codec, links)) for mapper in mappers]
        self._now_ms = now_ms
        self._links = links

    def __call__(self, letter: Letter) -> Sequence[Output] | Keep | None:
        """Make the events of a letter, as the first mapping would have; None where no file reads its topic.

        A letter that a file would bury again keeps its place with the reason that it has now.  Raises RegistryAway.
        """
        death = letter.death
        reading = [(mapping, writer) for mapping, writer in self._writers if mapping.topic == death.topic]
        if len(reading) > 1:  # the letter's detail begins with the name of the file that buried it
            reading = [(mapping, writer) for mapping, writer in reading if death.detail.startswith(f"{mapping.file}:")]
            if len(reading) != 1:
                return Keep(f"lay on {death.topic}, which several of the files read: name one")
        if not reading:
            return None
        mapping, writer = reading[0]
        record = KafkaRecord(death.offset, death.timestamp_ms, letter.key, letter.value, letter.headers)
        outputs, mapped = writer.outputs_of(record, death.partition, self._now_ms())
        if mapped.letter is not None:
            return Keep(f"would die again: {mapped.letter.reason}: {mapped.letter.detail}")
        if self._links is not None:  # as they stand: an earlier letter that waits may have taught them to us alone
            outputs = [output for output in outputs if output.topic != LINKS.name]
            outputs += self._links.restated(mapped.links, mapping.name)
        return outputs or Keep(f"is ignored by {mapping.file} now: drop it")
