"""Recount of the answers from the topics, in plain Python and without the pipeline's own code.

The demo and the end-to-end tests compare stream and warehouse with it.  It shares the codec and nothing else: its
rules are written down a second time on purpose.
"""

from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from typing import NamedTuple

from schemas.codec import Codec, Undecodable
from schemas.events import SurveyDispatch, SurveyResponse
from schemas.ours import decode_ours
from schemas.topics import DISPATCHES, RESPONSES
from streams.kafka.ports import Reader

DAY_MS = 86_400_000


class Rules(NamedTuple):
    """Limits that decide which answers count, in milliseconds."""

    late_ms: int
    early_ms: int
    edit_ms: int


class Counted(NamedTuple):
    """An answer that counts, at the time of its first score."""

    survey_id: str
    segments: tuple[str, ...]
    at_ms: int
    score: int


def answers(reader: Reader, partitions: int, codec: Codec, rules: Rules) -> list[Counted]:
    """Count the answers from nps.dispatches and nps.responses as they are now; returns every one that counts."""
    surveys: dict[str, SurveyDispatch] = {}
    responses_of: dict[str, dict[tuple[str, str], SurveyResponse]] = {}
    topic_partitions = [(topic, number) for topic in (DISPATCHES.name, RESPONSES.name) for number in range(partitions)]
    for (topic, _), record in reader.read(topic_partitions):
        if topic == DISPATCHES.name:
            with suppress(Undecodable):  # somebody else's
                dispatch = decode_ours(codec, SurveyDispatch, record.key, record.value)
                surveys[dispatch.survey_id] = dispatch
        elif (response := _valid(codec, record.value, record.key, record.timestamp, rules)) is not None:
            told = responses_of.setdefault(response.survey_id, {})
            name = response.source, response.id
            told[name] = min(told.get(name, response), response, key=lambda copy: copy.time)
    counted = []
    for survey_id, responses in responses_of.items():
        if survey_id in surveys:
            counted += _counted(surveys[survey_id], list(responses.values()), rules)
    return counted


def by_segment(
    counted: Iterable[Counted], start_ms: int | None = None, end_ms: int | None = None
) -> dict[str, list[int]]:
    """Tally promoters, passives and detractors by segment, of the answers in `[start_ms, end_ms)`."""
    tallies: dict[str, list[int]] = {}
    for answer in counted:
        if (start_ms is None or start_ms <= answer.at_ms) and (end_ms is None or answer.at_ms < end_ms):
            place = 0 if answer.score >= 9 else 1 if answer.score >= 7 else 2
            for segment in answer.segments:
                tallies.setdefault(segment, [0, 0, 0])[place] += 1
    return tallies


def nps(promoters: int, passives: int, detractors: int) -> float | None:
    """Net Promoter Score, 100·(promoters - detractors)/all, to two decimals, half to even; None for no answers."""
    n = promoters + passives + detractors
    return float(round(Fraction(100 * (promoters - detractors), n), 2)) if n else None


def _valid(
    codec: Codec, value: bytes | None, key: bytes | None, timestamp_ms: int, rules: Rules
) -> SurveyResponse | None:
    try:
        response = codec.decode(SurveyResponse, value)
    except Undecodable:
        return None
    in_time = -rules.early_ms <= timestamp_ms - response.time <= rules.late_ms
    has_content = response.score is not None or response.comment is not None or response.voided
    in_range = response.score is None or response.score in range(11)
    return response if key == response.customer_id.encode() and in_time and has_content and in_range else None


def _counted(survey: SurveyDispatch, responses: list[SurveyResponse], rules: Rules) -> list[Counted]:
    """Find the newest score that was not withdrawn, at the time of the first, in order of time; empty for none."""
    first_ms, score = None, 0
    for response in sorted(responses, key=lambda r: (r.time, r.voided, r.score or 0)):
        if first_ms is not None and response.time > first_ms + rules.edit_ms:
            break
        if response.voided:
            first_ms = None
        elif response.score is not None:
            first_ms, score = response.time if first_ms is None else first_ms, response.score
    if first_ms is None or first_ms >= survey.expires_ms:
        return []
    return [Counted(survey.survey_id, tuple(survey.segments), first_ms, score)]
