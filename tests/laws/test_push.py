"""Law of the push door: what it takes the worker finds no fault with, and what it refuses the worker would have."""

import json
from contextlib import nullcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import Codec
from schemas.events import SurveyResponse
from schemas.topics import RESPONSES
from streams.collector import push
from streams.collector.responses import Unusable, as_record
from streams.domain.bounds import LARGEST_COMMENT_BYTES
from streams.domain.links import mint
from streams.intake import LONGEST_NAME_BYTES
from streams.kafka.ports import KafkaRecord
from streams.processing.partition import PartitionProcessor
from tests.support.histories import PROGRAM, START_MS
from tests.support.laws import examples
from tests.support.links import KEYS
from tests.support.partition import batch_of

CODEC = Codec()
NAMES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.builds(lambda letter, count: letter * count, st.sampled_from("xé€\U0001f600"), st.integers(60, 300)),
)
RESPONSE = st.builds(
    SurveyResponse,
    source=NAMES,
    id=NAMES,
    type=NAMES,
    time=st.one_of(
        st.integers(START_MS - 10**9, START_MS + 10**6),
        st.sampled_from([0, -1, START_MS // 1000, 946_684_799_999, 946_684_800_000, 4_102_444_800_000, 2**63 - 1]),
    ),
    customer_id=NAMES,
    survey_id=NAMES,
    score=st.one_of(st.none(), st.integers(-2, 12), st.sampled_from([-(2**31), 2**31 - 1])),
    comment=st.one_of(
        st.none(), NAMES, st.builds(lambda count: "é" * count, st.integers(LARGEST_COMMENT_BYTES // 2 - 2, 40_000))
    ),
    voided=st.booleans(),
    channel=st.one_of(st.none(), NAMES),
    provisional=st.booleans(),
)


@settings(max_examples=examples(300))
@given(RESPONSE)
def test_the_door_refuses_what_the_worker_would(response: SurveyResponse) -> None:
    """Whatever the answer: no record of a fault, and no refusal without one but for a comment that would be cut."""
    value = CODEC.encode(response)
    found = faults(response.customer_id.encode(), value)
    if not found and len((response.comment or "").encode()) <= LARGEST_COMMENT_BYTES:
        record = as_record(CODEC, PROGRAM, response, START_MS)
        assert (record.key, record.value) == (response.customer_id.encode(), value)
    else:
        with pytest.raises(Unusable, match=r"at `\$\.\w+`$"):
            as_record(CODEC, PROGRAM, response, START_MS)


def faults(key: bytes, value: bytes) -> int:
    """How many faults the worker finds in a record."""
    processor = PartitionProcessor(0, PROGRAM, CODEC, lambda _: 0)
    record = KafkaRecord(0, START_MS, key, value)
    return len(processor.decide(batch_of(RESPONSES.name, [record], wall_ms=START_MS)).bad)


@settings(max_examples=examples(200))
@given(NAMES, NAMES)
def test_ids_that_are_taken_fit_a_link(survey: str, customer: str) -> None:
    """A link of whatever ids the door takes opens, and an answer that is pushed with its token is taken."""
    survey = survey.replace(":", ".")
    token = mint(KEYS, survey, customer, START_MS + 1)
    said = {"source": "tool", "id": "a", "customer_id": customer, "survey_id": survey, "score": 9, "token": token}
    has_bounds = all(text.strip() and len(text.encode()) <= LONGEST_NAME_BYTES for text in (survey, customer))
    with nullcontext() if has_bounds else pytest.raises(push.BadPush, match=r"_id"):
        (answer,) = push.parse(
            json.dumps(said).encode(), KEYS, START_MS, lambda one: as_record(CODEC, PROGRAM, one, START_MS)
        )
        assert answer.refusal is None
