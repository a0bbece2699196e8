"""The watch over partitions: lag is told, and one that stands still ends the process with a line that says which."""

import pytest
from prometheus_client import REGISTRY

from streams.engine.progress import ProgressWatch, Reading
from streams.errors import ExitCode, Stalled, exit_code

PANES = ("nps.panes", 1)
STALL_MS = 60_000


def lag() -> float | None:
    """What the metric says."""
    return REGISTRY.get_sample_value("nps_lag_records", {"topic": PANES[0], "partition": str(PANES[1])})


def looks(*readings: Reading, every_ms: int = 20_000) -> ProgressWatch:
    """One look after the other."""
    watch = ProgressWatch(STALL_MS)
    for number, reading in enumerate(readings):
        watch.look(number * every_ms, {PANES: reading})
    return watch


def test_records_of_which_none_is_applied_end_the_process() -> None:
    """After a minute and not before, with partition, number and what to do."""
    standing = [Reading(110, 100, at * 20_000) for at in range(4)]
    looks(*standing[:3])
    assert lag() == 10
    with pytest.raises(Stalled, match=r"^nps.panes partition 1 stands still: 10 records are there and none .* 60 s"):
        looks(*standing)
    assert exit_code(Stalled("")) is ExitCode.STALLED


def test_what_moves_or_has_nothing_to_do_goes_on() -> None:
    """One record a look is progress; nothing there is no standstill, however long."""
    looks(*[Reading(1_000_000, at, at * 20_000) for at in range(100)])
    looks(*[Reading(7, 7, at * 20_000) for at in range(100)])
    idle = [Reading(7, 7, at * 20_000) for at in range(50)]
    looks(*idle, *[Reading(8, 7, at * 20_000) for at in range(50, 52)])


def test_a_topic_that_waits_for_another_of_its_partition_goes_on() -> None:
    """Answers wait behind an hour of purchases; not behind those of another partition, nor behind another agent's."""
    inbound = ("nps.purchases", "nps.responses")

    def look(moving: tuple[str, int], waiting: tuple[str, int] = ("nps.responses", 1), end: int = 99) -> None:
        watch = ProgressWatch(STALL_MS, inbound)
        for at in range(20):
            readings = {moving: Reading(1_000, at, at * 20_000), waiting: Reading(end, 7, at * 20_000)}
            watch.look(at * 20_000, readings)

    look(("nps.purchases", 1))
    for moving in (("nps.purchases", 0), PANES):
        with pytest.raises(Stalled, match=r"^nps.responses partition 1 stands still: 92 records"):
            look(moving)
    with pytest.raises(Stalled, match=r"^nps.panes partition 1 stands still"):
        look(("nps.purchases", 1), PANES)
    with pytest.raises(Stalled, match="was the topic made anew"):
        look(("nps.purchases", 1), end=5)


def test_a_fetch_without_an_answer_ends_the_process() -> None:
    """Though nothing is known to be there: nobody would know."""
    with pytest.raises(Stalled, match="no fetch of it was answered for 60 s"):
        looks(*[Reading(7, 7, 0) for _ in range(4)])


def test_a_topic_that_got_shorter_ends_the_process() -> None:
    """Whoever reads on beyond its end waits for ever."""
    with pytest.raises(Stalled, match="it ends at offset 5, and 7 were applied"):
        looks(*[Reading(5, 7, at * 20_000) for at in range(4)])


def test_partitions_that_are_given_up_have_no_lag() -> None:
    """Their figures are another worker's now."""
    looks(Reading(9, 7, 0)).forget()
    assert lag() is None
