"""Process that judges comments: answers in, themes and sentiment out, offsets last.

    consume, up to BATCH_RECORDS → judge → send → flush → commit

A group of its own on `nps.answers`: no score, page or row waits for it, and when it is away only themes are late.  A
crash repeats a batch and writes the same again.  An answer that lost its comment by a withdrawal or correction makes a
record without themes and sentiment, which takes the place of the one before.  What cannot be read on `nps.answers` the
sink makes a letter of; here it is passed over and counted.
"""

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Sequence

from confluent_kafka import Message

from schemas.codec import Codec, RegistryAway, Undecodable
from schemas.events import Answer, JudgedComment
from schemas.ours import decode_ours
from schemas.topics import ANSWERS, COMMENTS, key_of
from streams import metrics
from streams.domain.comments.judging import CommentJudge
from streams.kafka.member import GroupMember
from streams.kafka.ports import Log, Output
from streams.kafka.reader import record_of

BATCH_RECORDS = 500
POLL_S = 0.2
REGISTRY_TRY_S = 1.0

log = logging.getLogger("nps.comments")


def judged(answer: Answer, judge: CommentJudge) -> JudgedComment | None:
    """Judge an answer's comment; None for an answer that never had one, as far as its revision tells."""
    themes, sentiment, confidence = tuple[str, ...](), None, 0.0
    if answer.comment:
        found = judge.judge(answer.comment)
        themes, sentiment, confidence = found.themes, str(found.sentiment), found.confidence
    elif answer.revision == 1:
        return None
    return JudgedComment(
        survey_id=answer.survey_id,
        customer_id=answer.customer_id,
        revision=answer.revision,
        themes=themes,
        sentiment=sentiment,
        confidence=confidence,
        model=judge.hash,
        sent_ms=answer.sent_ms,
        answered_ms=answer.answered_ms,
        version=answer.version,
    )


class CommentProcess:
    """Member of the group that judges comments.  `run` judges until it is told to stop; for one thread."""

    def __init__(
        self, judge: CommentJudge, codec: Codec, member: GroupMember, producer: Log, *, patience_s: float = 60.0
    ) -> None:
        self._judge = judge
        self._codec = codec
        self._member = member
        self._producer = producer
        self._patience_s = patience_s

    def run(self, stop: threading.Event) -> None:
        """Judge until `stop` is set, then leave the group.

        Raises Undelivered, ServerAway, or KafkaException when the consumer cannot go on.
        """
        consumer = self._member.consumer
        consumer.subscribe([ANSWERS.name], on_assign=lambda *_: self._member.joined())
        try:
            while not stop.is_set():
                self._member.check()
                if messages := consumer.consume(BATCH_RECORDS, POLL_S):
                    self._handle(messages, stop)
        finally:
            consumer.close()

    def _handle(self, messages: Sequence[Message], stop: threading.Event) -> None:
        """Judge a batch, make it durable, then commit it; when told to stop before that, it comes again."""
        following: dict[tuple[str, int], int] = {}
        outputs: list[Output] = []
        outcomes = Counter[str]()
        for message in messages:
            if (error := message.error()) is not None:
                self._member.refuse(error, message.topic() or "")
                continue
            output, outcome = self._output_of(message, stop)
            if stop.is_set() and outcome == "unread":
                return
            outputs += [output] if output is not None else []
            outcomes[outcome] += 1
            following[ANSWERS.name, message.partition() or 0] = (message.offset() or 0) + 1
        self._producer.send_all(outputs)
        asyncio.run(self._producer.flush())
        for outcome, count in outcomes.items():
            metrics.COMMENTS.labels(outcome).inc(count)
        if (failure := self._member.commit(following)) is not None:
            log.warning("commit_failed: %s", failure)

    def _output_of(self, message: Message, stop: threading.Event) -> tuple[Output | None, str]:
        answer = self._decode(message, stop)
        if answer is None:
            return None, "unread"
        record = judged(answer, self._judge)
        if record is None:
            return None, "none"
        output = Output(COMMENTS.name, self._codec.encode(record), key_of(record))
        return output, record.sentiment or "withdrawn"

    def _decode(self, message: Message, stop: threading.Event) -> Answer | None:
        """Decode an answer; None for what is none, or when told to stop.  Raises RegistryAway after `patience_s`."""
        record, deadline_s = record_of(message), time.monotonic() + self._patience_s
        while not stop.is_set():
            try:
                return decode_ours(self._codec, Answer, record.key, record.value)
            except Undecodable:
                return None
            except RegistryAway as error:
                if time.monotonic() > deadline_s:
                    raise
                log.warning("registry_away: %s", error)
                stop.wait(REGISTRY_TRY_S)
        return None
