"""Law of the erased customers: as a mapping of digests, in less memory."""

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from sinks.erasure import customers
from sinks.erasure.customers import ErasedCustomers

LEARNT = st.lists(st.tuples(st.integers(0, 30), st.integers(-5, 5)), max_size=60)


def digest(number: int) -> str:
    return sha256(str(number).encode()).hexdigest()


@given(LEARNT, st.booleans())
def test_the_latest_erasure_holds_in_any_order(learnt: list[tuple[int, int]], in_order: bool) -> None:
    """Whoever was learnt is known with the highest instant, nobody else is."""
    told = [(digest(number), until_ms) for number, until_ms in learnt]
    erased, plain = ErasedCustomers(), dict[str, int]()
    for customer, until_ms in sorted(told) if in_order else told:
        erased.learn(customer, until_ms)
        plain[customer] = max(until_ms, plain.get(customer, until_ms))
    for number in range(40):
        assert erased.get(digest(number)) == plain.get(digest(number))
    assert bool(len(erased)) is bool(plain)


def test_many_take_sixteen_bytes_each() -> None:
    """Whatever the order they come in, most lie sorted in arrays, and none is lost."""
    erased, many = ErasedCustomers(), 3 * customers.MOST_RECENT
    for number in range(many):
        erased.learn(digest(number), number)
    assert len(erased._recent) < customers.MOST_RECENT
    assert erased._keys.itemsize + erased._until_ms.itemsize == 16
    assert len(erased) == many
    assert all(erased.get(digest(number)) == number for number in range(0, many, 97))
    assert erased.get(digest(-1)) is None
