"""Ids made from their cause."""

import uuid
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.domain.ids import alert_id, confirmation_id, decision_id, erasure_id, survey_id, uuid5

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
NAMES = st.tuples(TEXT, TEXT, TEXT, TEXT)
"""Customer, source, id and rule."""

IDS: dict[str, Callable[[str, str, str, str], str]] = {
    "survey": survey_id,
    "decision": lambda customer, source, id_, _: decision_id(customer, source, id_),
    "erasure": lambda customer, source, id_, _: erasure_id(customer, source, id_),
    "alert": lambda *names: alert_id(survey_id(*names), 1),
    "confirmation": lambda *names: confirmation_id(survey_id(*names), 5, 9),
}


@given(st.uuids(), st.text(st.characters(codec="utf-8")))
def test_ids_are_name_based_uuids(namespace: uuid.UUID, name: str) -> None:
    """An id is the version 5 UUID that the standard library makes of the same namespace and name."""
    assert uuid5(namespace.bytes, name) == str(uuid.uuid5(namespace, name))


@pytest.mark.parametrize("kind", IDS)
@given(NAMES, TEXT)
def test_one_event_id_under_two_customers_is_two_facts(kind: str, names: tuple[str, str, str, str], other: str) -> None:
    """Every id tells customers apart, also where texts flow into one another, and repeats itself for the same cause."""
    make, (customer, source, id_, rule) = IDS[kind], names
    first = make(customer, source, id_, rule)
    assert first == make(customer, source, id_, rule)
    assert (first == make(other, source, id_, rule)) == (other == customer)
    if other:
        assert first != make(customer + other, source, id_, rule)
        assert first != make(customer, source + other, id_, rule)
        assert first != make(customer, source, id_ + other, rule)


def test_ids_are_for_ever_the_same() -> None:
    """What was published once has this name; a worker of a later release must give it the same."""
    assert {kind: make("c1", "shop", "p", "r") for kind, make in IDS.items()} == {
        "survey": "8e3bbfc3-efef-547e-9533-e83128c2d5db",
        "decision": "573495b2-2ae3-590a-8634-0d5c48119546",
        "erasure": "797966c7-7e4f-57d9-8f5f-767fe7fea4e2",
        "alert": "4e364ade-8eca-5f1a-b273-a0e4465e9855",
        "confirmation": "c0370895-6002-5c24-979a-415ce987f03b",
    }
