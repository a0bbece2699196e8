"""Whatever a service answers and wherever a process dies: no page is lost, none rings twice, and ends are told.

news ──► [attempting] ──► call ──► [outcome] ──► commit        a crash at any of them, any number of times
"""

from collections import Counter
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import Notification
from sinks.notify.notifier import TryLater
from sinks.notify.receiver import Doubt, InDoubt, News, Receipt
from tests.support.couriers import POINTS, Machine
from tests.support.laws import examples
from tests.support.oncall import notification

INCIDENTS = ("i1", "i2", "i3")
LIFE = ("open", "update", "update", "acknowledge", "update", "resolve")
"""News of an incident, in order, of which a run has as many as it comes to."""


class Pager:
    """Service that knows an incident again while it is open, and can be asked for news by their id."""

    per_minute = 10_000

    def __init__(self, doubt: Doubt, answers: Sequence[str]) -> None:
        self.doubt = doubt
        self.pages: Counter[str] = Counter()
        self.open: set[str] = set()
        self._answers = list(answers)
        self._taken: dict[str, Receipt] = {}

    def send(self, news: News) -> Receipt:
        answer = self._answers.pop() if self._answers else "taken"
        if answer == "later":
            raise TryLater("not now", 30.0)
        if answer != "lost":
            self._take(news)
        if answer != "taken":
            raise InDoubt("no answer")
        return self._taken[news.notification_id]

    def find(self, news: News) -> Receipt | None:
        return self._taken.get(news.notification_id)

    def _take(self, news: News) -> None:
        self._taken[news.notification_id] = Receipt("taken", news.incident_id)
        if news.verb == "resolve":
            self.open.discard(news.incident_id)
        elif news.verb != "acknowledge" and news.incident_id not in self.open:
            self.open.add(news.incident_id)
            self.pages[news.incident_id] += 1


STEPS = st.lists(
    st.one_of(
        st.sampled_from(INCIDENTS),
        st.tuples(st.sampled_from(POINTS), st.integers(1, 3)),
        st.just("wait"),
    ),
    max_size=25,
)
ANSWERS = st.lists(st.sampled_from(["taken", "later", "lost", "taken, unsaid"]), max_size=20)


def lived(machine: Machine, steps: Sequence[str | tuple[str, int]]) -> dict[str, str]:
    """Let all steps happen, then let everything come to rest; the last verb of each incident."""
    told: Counter[str] = Counter()
    last: dict[str, str] = {}
    for step in steps:
        if isinstance(step, tuple):
            machine.crash_at(*step)
        elif step == "wait":
            revive(machine)
            machine.wait(5_000)
        elif told[step] < len(LIFE):
            last[step] = LIFE[told[step]]
            told[step] += 1
            if not machine.run([news_of_life(step, told[step])]):
                machine.start()
    machine.start()
    machine.run()
    machine.wait()
    return last


def news_of_life(incident_id: str, seq: int) -> Notification:
    return notification(incident_id, seq, LIFE[seq - 1])


def revive(machine: Machine) -> None:
    machine.start()
    machine.run()


@settings(max_examples=examples(500))
@given(STEPS, ANSWERS, st.sampled_from([Doubt.REPEAT, Doubt.LOOK_UP]))
def test_no_page_is_lost_and_none_rings_twice(
    steps: Sequence[str | tuple[str, int]], answers: Sequence[str], doubt: Doubt
) -> None:
    """An incident rings once; it rang if it is still open, and is over at the service if it is over here."""
    pager = Pager(doubt, answers)
    machine = Machine(pager)
    last = lived(machine, steps)
    for incident_id, verb in last.items():
        assert pager.pages[incident_id] <= 1, machine.log
        if verb in ("open", "update"):
            assert incident_id in pager.open, machine.log
        if verb == "resolve":
            assert incident_id not in pager.open, machine.log
    assert machine.courier.lowest_offset() is None
    assert machine.committed == len(machine.notified)
    assert "attempting" not in machine.states().values()
