"""Laws of incidents, judged by a model that walks through time a second at a time and shares no code with them."""

from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Case, Incident, Notification
from schemas.oncall import Facts, decode
from streams.oncall.fold import Fold
from tests.support.incidents import RULES, SECOND_MS, START_MS, Desk, action, alert, erase

WAIT, INTERVAL, REPEAT, LEAD, LAPSE = 3, 7, 60, 15, 120
AFTER = 300
"""Seconds that a history is followed beyond its end."""

KEYS = ("a", "b", "c")


@dataclass
class Model:
    """One group on one route, as a person would keep it on paper."""

    cases: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    graded: dict[str, bool] = field(default_factory=dict)
    is_there: bool = False
    opened: int = 0
    told: list[str] = field(default_factory=list)
    last: int = 0
    stepped: int = 0
    news: bool = False
    worst_told: bool | None = None
    worst_was: bool = False
    acknowledged: int | None = None
    by: str | None = None
    said: list[tuple[int, str, str]] = field(default_factory=list)

    def waits(self, key: str) -> bool:
        """Whether this detractor is one whose case nobody closed."""
        score = self.cases.get(key, (0, None))[1]
        return score is not None and score <= 6 and key not in self.closed

    def open_scores(self) -> list[int]:
        """Scores of the detractors that wait."""
        return [score for key, (_, score) in self.cases.items() if score is not None and self.waits(key)]

    def is_critical(self) -> bool:
        """Whether the worst of what is open is; when nothing is, as it was."""
        if self.open_scores():
            self.worst_was = any(score <= 2 for score in self.open_scores())
        return self.worst_was

    def say(self, now: int, verbs: dict[str, str]) -> None:
        """Write down what is said."""
        self.said += [(now, verb, name) for name, verb in verbs.items()]
        self.last, self.news, self.worst_told = now, False, self.is_critical()

    def alert(self, now: int, key: str, revision: int, score: int | None) -> None:
        """Hear of an answer's revision."""
        known, old = self.cases.get(key, (0, None))
        if revision <= known:
            return
        was_open = self.waits(key)
        is_open = score is not None and score <= 6
        self.cases[key] = (revision, score)
        was_critical, is_critical = self.graded.get(key, False), score is not None and score <= 2
        if is_open:
            self.graded[key] = is_critical
        if is_open and key in self.closed:
            if was_critical or not is_critical:
                return
            self.closed.discard(key)
        if is_open and not self.is_there:
            self.is_there, self.opened, self.told, self.worst_told = True, now, [], None
            self.acknowledged = self.by = None
        if is_open and (not was_open or score != old):
            self.news = True
        self.tick(now)

    def tick(self, now: int) -> None:
        """See what is due in this second."""
        if not self.is_there:
            return
        if not self.open_scores():
            self.said += [(now, "resolve", name) for name in self.told]
            self.is_there = False
            return
        if self.acknowledged is not None and now >= self.acknowledged + LAPSE:
            self.acknowledged = self.by = None
            self.news, self.worst_told, self.stepped = True, None, now
        is_worse = self.worst_told is None or (self.is_critical() and not self.worst_told)
        if not self.told:
            if self.acknowledged is None and now >= self.opened + (0 if self.is_critical() else WAIT):
                self.told = ["chat", "pager"]
                self.stepped = now
                self.say(now, {"chat": "open", "pager": "open"})
        elif self.acknowledged is not None:
            if self.news and is_worse:
                self.say(now, dict.fromkeys(self.told, "update"))
        elif "lead" not in self.told and now >= self.stepped + LEAD:
            verbs = {"chat": "update", "pager": "update"} if self.news else {}
            self.told = ["chat", "pager", "lead"]
            self.say(now, {**verbs, "lead": "open"})
        elif (self.news and now >= self.last + (0 if is_worse else INTERVAL)) or now >= self.last + REPEAT:
            self.say(now, dict.fromkeys(self.told, "update"))

    def acknowledge(self, now: int, key: str, actor: str) -> None:
        """Hear that somebody has it."""
        if not self.is_there or not self.waits(key):
            return
        if self.told and actor != self.by:
            self.said += [(now, "acknowledge", name) for name in self.told]
        self.acknowledged, self.by = now, actor
        self.tick(now)

    def close(self, now: int, key: str) -> None:
        """Hear that somebody closed a case."""
        if self.is_there and self.waits(key):
            self.closed.add(key)
            self.tick(now)


SCORES = st.sampled_from([0, 2, 3, 6, 9, None])
HAPPENING = st.one_of(
    st.tuples(st.just("alert"), st.sampled_from(KEYS), st.integers(1, 4), SCORES),
    st.tuples(st.just("acknowledge"), st.sampled_from(KEYS), st.sampled_from(["ana", "bob"])),
    st.tuples(st.just("close"), st.sampled_from(KEYS)),
)
PAUSES = st.sampled_from([0, 1, 2, 3, 4, 6, 7, 8, 15, 59, 61, 120])
HISTORIES = st.lists(st.tuples(PAUSES, HAPPENING), min_size=1, max_size=12)
History = list[tuple[int, tuple[str | int | None, ...]]]


def played(history: History) -> Desk:
    """A desk that has seen a history, and what follows."""
    desk, now_ms = Desk(), START_MS
    for pause, (kind, key, *more) in history:
        now_ms += pause * SECOND_MS
        if kind == "alert":
            revision, score = more
            desk.take(now_ms, alert(str(key), int(revision or 0), score if score is None else int(score), now_ms))
        elif kind == "acknowledge":
            desk.take(now_ms, action("acknowledge", key=str(key), actor=str(more[0])))
        else:
            desk.take(now_ms, action("resolve", key=str(key)))
    desk.wait(now_ms + AFTER * SECOND_MS)
    return desk


def modelled(history: History) -> Model:
    """The model of the same history."""
    model, events, now = Model(), list[tuple[int, tuple[str | int | None, ...]]](), 0
    for pause, happening in history:
        now += pause
        events.append((now, happening))
    for second in range(now + AFTER + 1):
        model.tick(second)
        for at, (kind, key, *more) in events:
            if at != second:
                continue
            if kind == "alert":
                model.alert(second, str(key), int(more[0] or 0), more[1] if more[1] is None else int(more[1]))
            elif kind == "acknowledge":
                model.acknowledge(second, str(key), str(more[0]))
            elif kind == "close":
                model.close(second, str(key))
    return model


@given(HISTORIES)
def test_people_hear_what_the_model_says(history: History) -> None:
    """Second, verb and receiver of everything that is said: waits, news, repeats, steps, acknowledgements, resolves."""
    assert played(history).said() == modelled(history).said


REVISIONS = st.lists(st.tuples(st.sampled_from(KEYS), SCORES), min_size=1, max_size=8)


@given(REVISIONS, st.randoms(use_true_random=False))
def test_revisions_in_any_order_and_twice_make_the_same_case(
    scores: list[tuple[str, int | None]], random: object
) -> None:
    """The highest revision holds, however it came."""
    numbered = [alert(key, number + 1, score) for number, (key, score) in enumerate(scores)]
    shuffled = numbered * 2
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # a random.Random of Hypothesis's
    cases = []
    for order in (numbered, shuffled):
        desk = Desk()
        for one in order:
            desk.take(START_MS, one)
        cases.append({
            key: (case.state, case.state == "open" and case.severity, case.score, case.revision, case.reason)
            for key, case in desk.cases.items()
        })  # fmt: skip
    assert cases[0] == cases[1]


@given(HISTORIES, st.lists(st.integers(1, 6), min_size=1, max_size=6), st.data())
def test_a_crash_before_any_write_changes_nothing(history: History, sizes: list[int], data: st.DataObject) -> None:
    """Whatever part of a batch was durable, the next life writes the same notifications, cases and incidents."""
    whole = played(history)
    fold, at, turn = Fold(RULES), 0, 0
    notifications, cases = dict[str, Notification](), dict[str, Case]()
    states = dict[str, Incident]()
    crashes = 0
    while at < len(whole.log):
        batch = whole.log[at : at + sizes[turn % len(sizes)]]
        turn += 1
        for number, (at_ms, event) in enumerate(batch):
            fold.take(at + number, at_ms, event)
        effects, rows = fold.effects(), fold.states()
        crash = data.draw(st.integers(0, len(effects) + len(rows) + 1)) if crashes < 6 else len(effects) + len(rows) + 1
        for record in effects[:crash]:
            if isinstance(record, Notification):
                assert notifications.setdefault(record.notification_id, record) == record
            else:
                cases[record.dedup_key] = record
        states |= {row.incident_id: row for row in rows[: max(0, crash - len(effects))]}
        if crash > len(effects) + len(rows):
            at += len(batch)
            continue
        crashes += 1
        fold = Fold(RULES)
        for row in states.values():
            fold.restore(row)
    assert list(notifications.values()) == whole.notifications
    assert states == whole.incidents
    assert cases == whole.cases


@given(HISTORIES)
def test_only_those_who_were_told_hear_of_the_end(history: History) -> None:
    """Each once, after their opening; and nothing of an incident after its end."""
    told, ended = set[tuple[str, str]](), set[tuple[str, str]]()
    for one in played(history).notifications:
        place = one.incident_id, one.receiver
        assert place not in ended
        if one.verb == "resolve":
            assert place in told
            ended.add(place)
        assert (one.verb == "open") == (place not in told)
        told.add(place)
    resolved = {one.incident_id for one in played(history).incidents.values() if one.state == "resolved"}
    assert ended == {place for place in told if place[0] in resolved}


@given(HISTORIES)
def test_what_is_acknowledged_is_never_repeated(history: History) -> None:
    """Between an acknowledgement and its lapse nothing is said twice over but worse news."""
    said = [(one, decode(Facts, one.facts)) for one in played(history).notifications if one.receiver == "chat"]
    for (before, earlier), (after, later) in pairwise(said):
        if before.incident_id == after.incident_id and later.state == "acknowledged" and after.verb == "update":
            assert (earlier.severity, later.severity) == ("warning", "critical")


def test_two_hundred_detractors_at_once_make_one_page() -> None:
    """One notification to each receiver after the wait, and one more with the whole count after the interval."""
    desk = Desk()
    for number in range(200):
        desk.take(START_MS + number * 30, alert(f"s{number}", at_ms=START_MS))
    desk.wait(START_MS + 10 * SECOND_MS)
    assert desk.said() == [(at, verb, who) for at, verb in ((3, "open"), (10, "update")) for who in ("chat", "pager")]
    counts = [decode(Facts, one.facts) for one in desk.notifications]
    assert [one.count for one in counts] == [100, 100, 200, 200]
    assert {(len(one.members), one.more + len(one.members) - one.count) for one in counts} == {(10, 0)}
    assert len(desk.incidents) == 1


def test_an_erased_customer_is_nowhere() -> None:
    """Neither in the incident nor in the case; whose only case it was is resolved."""
    desk = Desk()
    for key in KEYS:
        desk.take(START_MS, alert(key, comment=f"I am customer-{key}"))
    desk.take(START_MS + SECOND_MS, erase("customer-a"))
    (incident,) = desk.incidents.values()
    assert "customer-a" not in incident.members
    assert "customer-b" in incident.members
    assert (desk.cases["a"].customer_id, desk.cases["a"].state, desk.cases["a"].reason) == (None, "resolved", "erased")
    for key in ("b", "c"):
        desk.take(START_MS + SECOND_MS, erase(f"customer-{key}"))
    assert {one.state for one in desk.incidents.values()} == {"resolved"}
