"""What must have come of the inbound topics, worked out anew from their records and the program file.

Shares the codec with the pipeline and nothing else.  There is one right outcome: that of all records in order of time.
Records that the pipeline wrote itself (wakeups, responses that it put back, clicks that it confirmed) are inputs as all
others are, read where they lie; that each of them should be there, and none else, is checked besides.

While producers write, order of time is known only as far as records are on time: who lives sees what is there.  So what
comes of live traffic may also be that of one topic read `slack_ms` behind the others, or of one record written up to
`slack_ms` behind its time or read ahead of it, customer by customer.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby

from tests.faults.harness.reading import World
from tests.faults.oracle.customer import Customer
from tests.faults.oracle.found import found_by_customer
from tests.faults.oracle.inputs import ORDER, RESPONSES, Place, Taken, judge
from tests.faults.oracle.numbers import Cell, Tally, panes
from tests.faults.oracle.order import TOGETHER, Timed, in_step, timed
from tests.faults.oracle.outcome import Outcome, copy_of
from tests.faults.oracle.outputs import Outputs
from tests.faults.oracle.terms import Terms


@dataclass(frozen=True, slots=True)
class Expected:
    """All that must be there, and what is, with the records that it comes of; `written` are the pipeline's own."""

    outcome: Outcome
    found: Outcome
    read: Mapping[Place, Taken]
    written: frozenset[Place]
    panes: Mapping[tuple[Cell, int], Tally]


def expect(world: World, outputs: Outputs, terms: Terms, settled_ms: int, slack_ms: int = 0) -> Expected:
    """What must be there once all that lies in the inbound topics is read, and all done that was due at `settled_ms`.

    Of several ways in which live records may have been read, it is the first by which nothing is left undone and
    nothing was written for no reason.
    """
    too_early = {place for place, death in outputs.deaths.items() if "too_early" in death}
    records = sorted(judge(world.topics, terms, world.now_ms, too_early), key=lambda one: one.place[1:])
    read, written = {one.place: one for one in records}, _written(records)
    found = found_by_customer(outputs, read, written)
    outcome = Outcome()
    for _, partition in groupby(records, key=lambda one: one.place[1]):
        replay = Replay(timed(partition), written, terms)
        outcome.add(replay.nobodys)
        for name, customer in replay.customers.items():
            theirs = found.get(name, Outcome())
            late = replay.alternatives(name, slack_ms) if slack_ms else ()
            right = (one for one in chain([customer.outcome], late) if one == theirs and one.is_whole(settled_ms))
            outcome.add(next(right, customer.outcome))
    everything = Outcome()
    for theirs in found.values():
        everything.add(theirs)
    return Expected(outcome, everything, read, written, panes(outcome.votes.values()))


class Replay:
    """One partition, read in order of time; `nobodys` is what comes of records without a customer."""

    def __init__(self, records: Sequence[Timed], written: frozenset[Place], terms: Terms) -> None:
        self._written, self._terms = written, terms
        self._records: dict[str, list[Timed]] = {}
        for one in records:
            if one.taken.event is not None:
                self._records.setdefault(one.taken.event.customer_id, []).append(one)
        self.nobodys = Outcome()
        self.customers: dict[str, Customer] = {}
        for taken in in_step(records, self._is_caused(self.customers)):
            self._take(taken, self.customers)
        for customer in self.customers.values():
            customer.outcome.left += customer.left()

    def alternatives(self, name: str, slack_ms: int) -> Iterable[Outcome]:
        """What may come of one customer's records where a topic was read late, or a record written late or read early.

        Early are the pipeline's own after an outage: what producers held back in it is late, all of it together.  Then
        it is in order, but time has gone on: what falls due meanwhile is done before the next of them is taken.

        First what comes of them alone: where another's record was put back for reasons of lateness, all that lies
        behind it waited in the replay of the partition.
        """
        records = self._records[name]
        yield self._alone(name, records)
        for topic in ORDER:
            yield self._alone(name, records, {topic: slack_ms})
        for place, (time_ms, taken) in enumerate(records):
            near_ms = {
                other.time_ms
                for other in records
                if other.taken.place[0] != taken.place[0] and abs(other.time_ms - time_ms) <= slack_ms
            }
            for at_ms in sorted(near_ms):
                moved = Timed(at_ms + 1 if at_ms >= time_ms else at_ms - 1, taken)
                yield self._alone(name, [*records[:place], moved, *records[place + 1 :]])
        for time_ms, taken in records:
            for at_ms in sorted({other.time_ms - 1 for other in records if 0 < other.time_ms - time_ms <= slack_ms}):
                yield self._alone(name, records, gone_on=(taken.place, at_ms))

    def _alone(
        self,
        name: str,
        records: Sequence[Timed],
        late_ms: Mapping[str, int] = TOGETHER,
        gone_on: tuple[Place, int] | None = None,
    ) -> Outcome:
        """What comes of one customer's records; `gone_on` is one of them and the time that it is when it is taken."""
        alone: dict[str, Customer] = {}
        for taken in in_step(records, self._is_caused(alone), late_ms):
            if gone_on is not None and taken.place == gone_on[0]:
                alone.setdefault(name, Customer(name, self._terms)).advance(gone_on[1])
            self._take(taken, alone)
        alone[name].outcome.left += alone[name].left()
        return alone[name].outcome

    def _take(self, taken: Taken, customers: dict[str, Customer]) -> None:
        if taken.event is None:
            self.nobodys.dead[taken.place] = taken.fault
            return
        name = taken.event.customer_id
        customer = customers.setdefault(name, Customer(name, self._terms))
        if not self._is_caused(customers)(taken):
            customer.outcome.uncaused.append(taken.place)
        customer.take(taken)

    def _is_caused(self, customers: Mapping[str, Customer]) -> Callable[[Taken], bool]:
        """True for what came from outside, and for what the pipeline wrote for a reason that was read before."""

        def is_caused(taken: Taken) -> bool:
            if taken.place not in self._written or taken.event is None:
                return True
            customer = customers.get(taken.event.customer_id)
            if customer is None:
                return False
            return copy_of(taken.row) in customer.outcome.put_back or taken.confirms in customer.outcome.confirmed

        return is_caused


def _written(records: Iterable[Taken]) -> frozenset[Place]:
    """The responses that the pipeline put on the topic: second copies, alike in everything, and confirmations."""
    seen, found = set(), set()
    for taken in records:
        if taken.place[0] != RESPONSES or taken.event is None:
            continue
        copy = copy_of(taken.row)
        if copy in seen or taken.confirms:
            found.add(taken.place)
        seen.add(copy)
    return frozenset(found)
