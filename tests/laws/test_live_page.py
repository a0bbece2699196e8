"""Laws of the live page: whatever comes, however slowly it is read, memory is bounded and the reader is right."""

import json
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.topics import Topic
from streams.kafka.ports import KafkaRecord
from streams.page import shown
from streams.page.access import Role
from streams.page.board import LiveBoard
from streams.page.broadcast import MOST_WAITING, Broadcast, Subscriber
from streams.page.shelf import Shelf
from tests.support import live_page
from tests.support.laws import examples

NAMES = st.sampled_from("abc")
VERSIONS = st.integers(1, 5)
RECORDS = st.one_of(
    st.builds(lambda name, version: live_page.row(name, version=version), NAMES, VERSIONS),
    st.builds(lambda name, version: live_page.fall(name, version), NAMES, VERSIONS),
    st.builds(
        lambda name, version, state: live_page.incident(name, [live_page.member(name, 3)], state, version),
        NAMES, VERSIONS, st.sampled_from(["waiting", "open", "acknowledged", "resolved"]),
    ),
    st.builds(
        lambda name, state: live_page.case(name, "a")._replace(state=state), NAMES,
        st.sampled_from(["open", "contacted", "resolved"]),
    ),
    st.builds(lambda name, score, version: live_page.answer(name, score, None, name, version), NAMES,
              st.integers(0, 10), VERSIONS),
)  # fmt: skip
TICK, READ = "tick", "read"


def read(subscriber: Subscriber, board: LiveBoard, known: Any) -> None:
    """Take what waits as a browser does: the snapshot, or the changes."""
    if subscriber.needs_snapshot:
        subscriber.begin()
        piece = shown.snapshot(board, subscriber.role)
    else:
        piece = subscriber.take()
    for told in piece.decode().split("\n\n"):
        if told:
            event, data = told.split("\n")
            live_page.take(known, event.removeprefix("event: "), json.loads(data.removeprefix("data: ")))


@settings(max_examples=examples(200))
@given(
    st.lists(st.one_of(RECORDS, st.sampled_from([TICK, TICK, READ])), max_size=60), st.sampled_from(list(Role)),
    st.integers(0, 2 * MOST_WAITING),
)  # fmt: skip
def test_a_reader_knows_what_the_page_knows(steps: list[Any], role: Role, idle_ticks: int) -> None:
    """Whenever a reader reads, and however many changes it slept through, it ends with the state of a new snapshot."""
    board, broadcast = LiveBoard(live_page.now_ms), Broadcast()
    subscriber, known = broadcast.join(role), SimpleNamespace(state={}, health={}, queue={})
    read(subscriber, board, known)
    busy = [live_page.row("busy", version=version) for version in range(1, idle_ticks + 1)]
    for step in (*steps, *(each for row in busy for each in (row, TICK)), TICK, READ):
        if step == READ:
            read(subscriber, board, known)
        elif step == TICK:
            for to, piece in shown.changes(board, Role).items():
                if piece:
                    broadcast.send(to, piece)
        else:
            board.take((Topic("", None, "", 0), KafkaRecord(0, 0, None, b""), step))
        assert len(subscriber) <= MOST_WAITING
    fresh = SimpleNamespace(state={}, health={}, queue={})
    read(broadcast.join(role), board, fresh)
    assert known.state == fresh.state
    assert role is Role.RESPONDER or not (known.state["cases"] or known.state["answers"])


@settings(max_examples=examples(200))
@given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from(["put", "drop", "take"]))), st.integers(1, 10))
def test_a_shelf_is_bounded_and_tells_every_change(steps: list[tuple[int, str]], most: int) -> None:
    """Whoever applies the changes has what lies there; neither the values nor the changes outgrow their keys."""
    shelf: Shelf[int] = Shelf(most)
    known: dict[str, int] = {}
    for number, (key, step) in enumerate((*steps, (0, "take"))):
        if step == "put":
            shelf.put(str(key), number)
        elif step == "drop":
            shelf.drop(str(key))
        else:
            for name, value in shelf.take_changes():
                if value is None:
                    known.pop(name, None)
                else:
                    known[name] = value
            assert known == dict(shelf)
        assert len(shelf) <= most
