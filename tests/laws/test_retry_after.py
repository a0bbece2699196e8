"""Law of Retry-After: whatever a receiver says is a wait."""

from hypothesis import given
from hypothesis import strategies as st

from sinks.notify.http_post import retry_after_s


@given(st.text() | st.from_regex(r"\w{3}, \d{1,9} (Jan|Feb) \d{1,12} \d{1,9}:\d{1,9}:\d{1,9}( GMT| [+-]\d{1,20})?"))
def test_whatever_a_receiver_says_is_a_wait(header: str) -> None:
    """No header ends the notifier."""
    assert 0 <= retry_after_s(header) <= 6 * 3_600
