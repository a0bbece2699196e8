"""Re-drive of dead letters: each is put back where it lay, with its key, headers and Kafka timestamp, at most so many.

A letter of a foreign topic goes through the mapping now in force, and what goes back are its events.

A record is put back before its fate is written.  So a crash in between puts it back once more, which counts nothing
twice: whatever reads it knows it by its source and id, or by its version.  What would only die again, ask somebody
again, or bring back a customer who was erased is not put back, and the letter waits.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol, TypeAlias

from schemas.codec import Codec, Undecodable
from schemas.deadletters import Header, put_back
from schemas.events import (
    Alert,
    Answer,
    ContactUpdate,
    Decision,
    Erasure,
    Inbound,
    LetterAction,
    Purchase,
    Record,
    SupportCase,
)
from schemas.ours import decode_ours
from schemas.reasons import Reason
from schemas.topics import (
    ALERTS,
    ANSWERS,
    BY_NAME,
    COLLECTOR,
    CONTACTS,
    DECISIONS,
    ERASURES,
    HISTORY_HEADER,
    INBOUND_RECORDS,
    LETTER_ACTIONS,
    LINKS,
    PURCHASES,
    RESPONSES,
    SUPPORT,
    key_of,
)
from streams.commands.fates import Fate, Fates
from streams.commands.letters import Letter
from streams.domain.effects import Reject
from streams.domain.journey import step
from streams.domain.policy import Program
from streams.domain.state import NEW
from streams.intake import accept
from streams.kafka.ports import KafkaRecord, Log, Output

MOST_AT_ONCE = 100_000
"""The most letters that one command acts on."""

LETTERS_PER_S = 2_000
"""Letters put back in a second, at most, so that customers who are due meanwhile are still woken in time."""

_BATCH_LETTERS = 200
_BATCH_BYTES = 16_777_216
_MOST_KINDS, _LONGEST_WORD = 1_000, 256
_OTHERS = ("...", "...", "of further topics and reasons")
_INBOUND = {PURCHASES.name, SUPPORT.name, CONTACTS.name, RESPONSES.name}
_ROWS: Mapping[str, type[Record]] = {
    ANSWERS.name: Answer, DECISIONS.name: Decision, ALERTS.name: Alert, ERASURES.name: Erasure
}  # fmt: skip
BACK_TO = _INBOUND | _ROWS.keys()
"""Topics on which letters are put back."""

ABOUT_ERASED = "is about a customer who was erased"


class PutBack(NamedTuple):
    """Verdict on a letter that goes back as these records: one, or the events that a foreign record becomes now.

    `is_missed` when it asks for a survey that is too late.
    """

    outputs: tuple[Output, ...]
    is_missed: bool = False


class Drop(NamedTuple):
    """Verdict on a letter that is given up."""


class Keep(NamedTuple):
    """Verdict on a letter that may not go back, and waits; `why` completes "kept, for it ..."."""

    why: str


Verdict: TypeAlias = PutBack | Drop | Keep
"""Verdict on a letter."""

Remap: TypeAlias = Callable[[Letter], Sequence[Output] | Keep | None]
"""Maps a foreign letter's record anew: its events, or why it has none; None where no mapping reads its topic."""


class ErasedBefore(Protocol):
    """Instants in milliseconds until which customers are erased, by the SHA-256 of their id in hex."""

    def get(self, customer: str, /) -> int | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Judge:
    """Judge of the letters that may be put back at `now_ms`, by the program and the erasures in force.

    `digest` makes the key of `erased` of a customer's id; `as_history` asks also where it is too late by now.
    `remap` makes the events of a foreign letter.
    """

    program: Program
    codec: Codec
    erased: ErasedBefore
    digest: Callable[[object], str]
    now_ms: int
    as_history: bool = False
    remap: Remap = lambda letter: None

    def __call__(self, letter: Letter) -> PutBack | Keep:
        """Judge a letter.  Raises RegistryAway."""
        events = self.remap(letter) if _is_foreign(letter) else None
        if isinstance(events, Keep):
            return events
        if events is not None:
            return self._events(letter, events)
        if why := _no_way_back(letter):
            return Keep(why)
        return self._judged(letter, put_back(letter.headers, letter.identity))

    def _events(self, letter: Letter, events: Sequence[Output]) -> PutBack | Keep:
        """Judge the events of a foreign letter: all go back, but those about customers who were erased.

        Links that its record teaches go along; the sources' process ends those of erased customers.
        """
        links = tuple(event for event in events if event.topic == LINKS.name)
        verdicts = [
            self._judged(_as_letter(letter, event), [*event.headers]) for event in events if event.topic != LINKS.name
        ]
        for verdict in verdicts:
            if isinstance(verdict, Keep) and verdict.why != ABOUT_ERASED:
                return verdict
        going = [verdict for verdict in verdicts if isinstance(verdict, PutBack)]
        if verdicts and not going:
            return Keep(ABOUT_ERASED)
        outputs = tuple(output for verdict in going for output in verdict.outputs)
        return PutBack((*outputs, *links), any(verdict.is_missed for verdict in going))

    def _judged(self, letter: Letter, headers: list[Header]) -> PutBack | Keep:
        """Judge a record of a topic of ours that goes back with these headers."""
        topic = letter.death.topic
        if self._is_forgotten(letter):
            return Keep("is so old that a copy of it would not be known any more")
        event = self._inbound(letter) if topic in _INBOUND else self._row(letter)
        if isinstance(event, Reject):
            return Keep(f"would die again: {event.reason}")
        if self.is_erased(letter, event):
            return Keep(ABOUT_ERASED)
        if self.as_history and isinstance(event, Purchase | SupportCase):
            headers.append((HISTORY_HEADER, b"1"))
        output = Output(topic, letter.value, key_of(event), -1, max(0, letter.death.timestamp_ms), headers)
        is_history = any(name == HISTORY_HEADER for name, _ in headers)
        return PutBack((output,), not is_history and self._is_missed(letter, event))

    def _is_forgotten(self, letter: Letter) -> bool:
        """True when what the record is about may be forgotten; contacts are known for ever."""
        limits, topic = self.program.limits, letter.death.topic
        if topic == CONTACTS.name:
            return False
        kept_ms = limits.remember_ms - limits.late_ms if topic in _INBOUND else BY_NAME[topic].retention_ms or 0
        return self.now_ms - _at_ms(letter) > kept_ms

    def _inbound(self, letter: Letter) -> Inbound | Reject:
        """Take the record as the worker will, on a blank journey: its event, or the reason for which it dies again."""
        cls, program = INBOUND_RECORDS[letter.death.topic], self.program
        key = self._own_key(cls, letter)
        record = KafkaRecord(0, max(0, letter.death.timestamp_ms), key, letter.value, letter.headers)
        event = accept(self.codec, cls, record, self.now_ms + program.limits.early_ms, program.is_placeholder)
        if isinstance(event, Reject):
            return event
        _, effects = step(NEW, event, program, min(_at_ms(letter), self.now_ms))
        return next((effect for effect in effects if isinstance(effect, Reject)), event)

    def _own_key(self, cls: type[Inbound], letter: Letter) -> bytes | None:
        """The key that the record should have; another one may not be the only reason for which it died."""
        try:
            return key_of(self.codec.decode(cls, letter.value))
        except Undecodable:
            return letter.key

    def _row(self, letter: Letter) -> Record | Reject:
        try:
            record: Record = decode_ours(self.codec, _ROWS[letter.death.topic], letter.key, letter.value)
        except Undecodable as error:
            return Reject(error.reason, str(error))
        return record

    def is_erased(self, letter: Letter, event: Record | None) -> bool:
        """True when the letter names a customer, in its key too, whose erasure covers it; never for an erasure."""
        if isinstance(event, Erasure) or (isinstance(event, ContactUpdate) and event.erased):
            return False
        names = {letter.key or b"", str(getattr(event, "customer_id", "")).encode()} - {b""}
        happened_ms = min(_at_ms(letter), getattr(event, "time", _at_ms(letter)))
        until_ms = [self.erased.get(self.digest(name)) for name in names]
        return any(until is not None and happened_ms <= until for until in until_ms)

    def _is_missed(self, letter: Letter, event: Record) -> bool:
        """True when the survey that a trigger asks for is due for longer than its rule's `send_within` by now."""
        if not isinstance(event, Purchase | SupportCase):
            return False
        rule = self.program.rule_for(event.type, self.program.read(event))
        if rule is None or rule.send_within_ms is None:
            return False
        due_ms = max(event.time + rule.delay_ms, _at_ms(letter))
        return self.now_ms - due_ms > rule.send_within_ms


def _is_foreign(letter: Letter) -> bool:
    """True for a record that lay on none of our topics, and says where it did."""
    topic = letter.death.topic
    return topic not in BY_NAME and topic != COLLECTOR and letter.death.reason != Reason.UNLABELLED


def _as_letter(letter: Letter, event: Output) -> Letter:
    """The letter as if it were that of one of its events."""
    death = replace(letter.death, topic=event.topic, timestamp_ms=event.timestamp_ms)
    return letter._replace(death=death, key=event.key, value=event.value, headers=tuple(event.headers))


def _no_way_back(letter: Letter) -> str:
    """Say why letters of this origin are never put back; empty where they may be."""
    topic = letter.death.topic
    if letter.death.reason == Reason.UNLABELLED:
        return "does not say where it lay"
    if topic == COLLECTOR:
        return "was a request to the collector, which is answered"
    if topic in BACK_TO:
        return ""
    if topic not in BY_NAME:
        return f"lay on {topic}: name the mapping file of its source by --mapping"
    return f"lay on {topic}, where an old record would take the place of newer ones, or ask a customer again"


def _at_ms(letter: Letter) -> int:
    """Instant of the record: its Kafka timestamp, or when it died where it had none."""
    return letter.death.timestamp_ms if letter.death.timestamp_ms > 0 else letter.at_ms


@dataclass(slots=True)
class ActedOn:
    """Figures of a command: letters by (topic, reason, what became of them); `missed` of those put back ask too late.

    `is_cut` when the budget was used up, so that more may wait.
    """

    letters: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    acted: int = 0
    missed: int = 0
    is_cut: bool = False

    def count(self, *kind: str) -> None:
        """Count a letter of this topic, reason and outcome; strangers may have written more kinds than are held."""
        known = tuple(word[:_LONGEST_WORD] for word in kind)
        topic, reason, told = known if known in self.letters or len(self.letters) < _MOST_KINDS else _OTHERS
        self.letters[topic, reason, told] += 1


class Actor:
    """Actor on letters: puts back or drops what a judge says, at most `limit`; without a log it only counts."""

    def __init__(self, log: Log | None, codec: Codec, now_ms: Callable[[], int], limit: int) -> None:
        self._log, self._codec, self._now_ms, self._limit = log, codec, now_ms, limit
        self._batch: list[tuple[Letter, PutBack | Drop]] = []
        self._bytes = 0
        self.pause_s = _BATCH_LETTERS / LETTERS_PER_S
        """Seconds after each full batch."""

    async def act(self, letters: Iterable[Letter], fates: Fates, judge: Callable[[Letter], Verdict]) -> ActedOn:
        """Act on the letters that wait.  Raises Undelivered; what was done until then is done.

        A letter that was written twice, or that died again meanwhile, is acted on once.
        """
        figures, known = ActedOn(), set[str]()
        for letter in letters:
            if letter.identity.letter_id in known or fates.of(letter.identity) is not Fate.WAITING:
                continue
            if figures.acted >= self._limit:
                figures.is_cut = True
                break
            verdict = judge(letter)
            figures.count(letter.death.topic, letter.death.reason, _told(verdict))
            if isinstance(verdict, Keep):
                continue
            known.add(letter.identity.letter_id)
            figures.acted += 1
            figures.missed += isinstance(verdict, PutBack) and verdict.is_missed
            await self._add(letter, verdict)
        await self._write()
        return figures

    async def _add(self, letter: Letter, verdict: PutBack | Drop) -> None:
        if self._log is None:
            return
        self._batch.append((letter, verdict))
        outputs = verdict.outputs if isinstance(verdict, PutBack) else ()
        self._bytes += sum(len(output.value or b"") for output in outputs)
        if len(self._batch) >= _BATCH_LETTERS or self._bytes >= _BATCH_BYTES:
            await self._write()
            await asyncio.sleep(self.pause_s)

    async def _write(self) -> None:
        """Write the batch in hand, the records before their fates."""
        if self._log is None or not self._batch:
            return
        outputs = [one for _, verdict in self._batch if isinstance(verdict, PutBack) for one in verdict.outputs]
        if outputs:
            self._log.send_all(outputs)
            await self._log.flush()
        self._log.send_all([self._action(letter, verdict) for letter, verdict in self._batch])
        await self._log.flush()
        self._batch, self._bytes = [], 0

    def _action(self, letter: Letter, verdict: PutBack | Drop) -> Output:
        death, identity = letter.death, letter.identity
        action = LetterAction(
            letter_id=identity.letter_id,
            death=identity.number,
            action=_FATES[type(verdict)],
            reason=death.reason,
            origin_topic=death.topic,
            origin_partition=death.partition,
            origin_offset=death.offset,
            time=self._now_ms(),
        )
        return Output(LETTER_ACTIONS.name, self._codec.encode(action), key_of(action))


_FATES: Mapping[type[PutBack | Drop], Fate] = {PutBack: Fate.REDRIVEN, Drop: Fate.DROPPED}


def _told(verdict: Verdict) -> str:
    match verdict:
        case PutBack():
            return "put back"
        case Drop():
            return "dropped"
        case Keep(why):
            return f"kept, for it {why}"
