"""State made from topics that are no more is not taken over in silence."""

import pytest

from streams.errors import BadTopics
from streams.state.lineage import KEY, Lineage, decode, encode

FIRST = Lineage(0, {"nps.purchases": "a", "nps.responses": "b"})
ANEW = {"nps.purchases": "a", "nps.responses": "c"}


def test_the_same_topics_are_followed() -> None:
    """Nothing changed, the epoch was raised for topics made anew, or a topic or its id is not known."""
    for later in (FIRST, Lineage(1, ANEW), Lineage(0, {}), Lineage(0, {**FIRST.topics, "nps.support": "d"})):
        later.follow(FIRST)


def test_a_topic_made_anew_under_the_same_epoch_is_refused() -> None:
    """The line names the topic and the setting."""
    with pytest.raises(BadTopics, match=r"^nps\.responses was made anew .* set NPS_TOPIC_EPOCH=1$"):
        Lineage(0, ANEW).follow(FIRST)


def test_an_epoch_that_fell_is_refused() -> None:
    """Everything would be older than what is there."""
    with pytest.raises(BadTopics, match=r"made under 3.* set NPS_TOPIC_EPOCH=3"):
        FIRST.follow(FIRST._replace(epoch=3))


def test_an_origin_survives_its_record() -> None:
    """What is written is read; anything else is a ValueError; its key is no customer's."""
    assert decode(encode(FIRST)) == FIRST
    with pytest.raises(ValueError, match="does not say"):
        decode(b"junk")
    with pytest.raises(UnicodeDecodeError):
        KEY.decode()
