"""Topics that lost records or were made anew under a pipeline that relied on them: it says so or stops, never guesses.

Real Kafka, real processes.  What is lost is lost by Kafka's own commands: records deleted, topics deleted.
"""

import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.events import PaneTally
from schemas.topics import JOURNEYS, PANES, RESPONSES
from streams.errors import ExitCode
from streams.local.servers import free_port
from tests.faults.harness.deployment import Deployment
from tests.faults.oracle.terms import PROGRAM
from tests.faults.scenarios.scenario import ALONE, conclude, metric, visits
from tests.faults.traffic.generator import generate, produce
from tests.support.commands import BOUND_S, done, until
from tests.support.recount import Counts, held, total
from tests.support.retention import set_config

pytestmark = pytest.mark.kafka

SEED = 18
ON_THE_WAY = (
    "answers, revision by revision", "answers, revisions rise with versions", "alerts, by id", "alerts, repeats alike",
    "dead letters, byte by byte",
)  # fmt: skip
"""What is told twice when all is counted anew, the second time in another order and under another epoch."""


@pytest.fixture
def nps(tmp_path: Path) -> Iterator[Deployment]:
    with Deployment(tmp_path, PROGRAM) as deployment:
        yield deployment


@pytest.mark.parametrize("topic", [JOURNEYS, PANES.name])
def test_an_emptied_state_topic_is_refused_until_all_is_counted_anew(nps: Deployment, topic: str) -> None:
    """A worker that comes back to less state than it committed on ends with 7; what its line advises mends it."""
    produce(nps.kafka.bootstrap, generate(SEED, replace(ALONE, visits=200, customers=200)))
    worker = nps.run("worker-1")
    nps.run("sink")
    nps.quiet()
    assert worker.stop() == ExitCode.OK
    before = tallies(nps)
    deleted = empty(nps, topic)
    assert deleted > 0
    worker.start()
    assert worker.ended() == ExitCode.STATE_LOST
    line = worker.said().splitlines()[-1]
    assert re.search(rf"worker stopped: .*{topic} partition \d held offsets 0 to \d+ .* raise NPS_TOPIC_EPOCH", line), (
        line
    )

    nps.members["sink"].stop()
    delete_topics(nps, JOURNEYS, PANES.name)
    delete_group(nps, "nps-worker")
    done("topics", environ=nps.environ)
    for member in nps.members.values():
        member.start(NPS_TOPIC_EPOCH="1")
    conclude(nps, f"18 {topic} emptied, all counted anew", SEED, {"offsets deleted": deleted}, excused=ON_THE_WAY)
    assert tallies(nps) == before


def test_state_lost_under_a_running_worker_stops_it(nps: Deployment) -> None:
    """Its memory is right, but nobody could take over from it: it ends with 7 rather than commit on nothing."""
    worker = nps.run("worker-1")
    produce(nps.kafka.bootstrap, visits("before", 40))
    nps.until(lambda: not nps.behind(), "all was read")
    empty(nps, JOURNEYS)
    produce(nps.kafka.bootstrap, visits("after", 10))
    assert worker.ended() == ExitCode.STATE_LOST, worker.said()
    worker.start()
    assert worker.ended() == ExitCode.STATE_LOST, worker.said()


def test_a_topic_made_anew_is_not_skipped_in_silence(nps: Deployment) -> None:
    """New records at old offsets would be taken for known ones: it ends with 2 until the epoch is raised."""
    worker = nps.run("worker-1")
    produce(nps.kafka.bootstrap, visits("old", 60))
    nps.until(lambda: not nps.behind() and answers(nps) == 60, "all was counted")
    assert worker.stop() == ExitCode.OK
    delete_topics(nps, RESPONSES.name)
    done("topics", environ=nps.environ)
    produce(nps.kafka.bootstrap, visits("new", 30, score=0))
    worker.start()
    assert worker.ended() == ExitCode.BAD_SETTINGS
    assert "nps.responses was made anew since the state was" in worker.said().splitlines()[-1]
    assert answers(nps) == 60

    worker.start(NPS_TOPIC_EPOCH="1")
    nps.until(lambda: not nps.behind(), "all was read")
    assert (answers(nps), tallies(nps)["all", "day"]) == (90, (60, 0, 30))


def test_an_emptied_inbound_topic_keeps_nobody_waiting(nps: Deployment) -> None:
    """Answers that were to be replayed first are gone, offsets too: the other topics are read all the same."""
    worker = nps.run("worker-1")
    produce(nps.kafka.bootstrap, visits("old", 20))
    nps.until(lambda: not nps.behind() and answers(nps) == 20, "all was counted")
    assert worker.stop() == ExitCode.OK
    delete_group(nps, "nps-worker")
    delete_records(nps, RESPONSES.name)
    worker.start()
    produce(nps.kafka.bootstrap, [sent for sent in visits("new", 20) if sent.topic != RESPONSES.name])
    nps.until(lambda: dispatched(nps) == 40, "the new ones were asked, too")


def test_retention_that_overtook_a_reader_is_loud(nps: Deployment) -> None:
    """What was deleted before it was read is said in an error line, counted in a metric, and the rest is counted."""
    port = free_port()
    worker = nps.run("worker-1", NPS_METRICS_PORT=str(port))
    produce(nps.kafka.bootstrap, visits("first", 40))
    nps.until(lambda: not nps.behind() and answers(nps) == 40, "all was counted")
    assert worker.stop() == ExitCode.OK
    begun = sum(nps.lag.ends({RESPONSES.name}).values())
    produce(nps.kafka.bootstrap, visits("lost", 50))
    lost = delete_records(nps, RESPONSES.name) - begun
    assert lost == 50
    produce(nps.kafka.bootstrap, visits("last", 30))
    worker.start()
    nps.until(lambda: not nps.behind() and answers(nps) == 70, "the rest was counted")
    told = [int(n) for n in re.findall(r"ERROR .*nps\.responses\[\d\]: (\d+) records were deleted", worker.said())]
    assert sum(told) == lost
    assert metric(port, "nps_missed_records_total", {"topic": RESPONSES.name}) == lost

    worker.freeze()
    produce(nps.kafka.bootstrap, visits("lost too", 50))
    delete_records(nps, RESPONSES.name)
    produce(nps.kafka.bootstrap, visits("very last", 30))
    worker.thaw()
    nps.until(lambda: not nps.behind() and answers(nps) == 100, "the rest was counted again")
    told = [int(n) for n in re.findall(r"ERROR .*nps\.responses\[\d\]: (\d+) records were deleted", worker.said())]
    assert sum(told) == lost + 50


def tallies(nps: Deployment) -> dict[tuple[str, str], Counts]:
    """Promoters, passives and detractors of each segment and resolution, from the newest record of each pane."""
    values = [record.value for _, record in nps.topics.read(PANES.name) if record.value is not None]
    panes = held(nps.topics.codec.decode(PaneTally, value) for value in values)
    sums: dict[tuple[str, str], Counts] = {}
    for (segment, resolution, _), counts in panes.items():
        sums[segment, resolution] = total([sums.get((segment, resolution), (0, 0, 0)), counts])
    return sums


def answers(nps: Deployment) -> int:
    """How many answers are counted."""
    return sum(tallies(nps).get(("all", "day"), (0, 0, 0)))


def dispatched(nps: Deployment) -> int:
    """How many surveys were sent."""
    return sum(1 for _ in nps.topics.read("nps.dispatches"))


def empty(nps: Deployment, topic: str) -> int:
    """What somebody does who sets a retention on a compacted topic; how many offsets are gone."""
    set_config(nps.kafka.bootstrap, "cleanup.policy", "compact,delete", [topic])
    return delete_records(nps, topic)


def delete_records(nps: Deployment, topic: str) -> int:
    """Delete all that a topic holds; how many offsets are gone since it was made."""
    ends = nps.lag.ends({topic}) if topic != JOURNEYS else journeys_ends(nps)
    parts = [TopicPartition(*partition, end) for partition, end in ends.items()]
    admin, deadline = admin_of(nps), time.monotonic() + BOUND_S
    for part in parts:
        while True:  # a policy that was changed a moment ago may not have reached every place in the broker
            try:
                done_all(admin, admin.delete_records([part]))
                break
            except KafkaException:
                assert time.monotonic() < deadline, f"cannot delete from {part}"
    return sum(ends.values())


def journeys_ends(nps: Deployment) -> dict[tuple[str, int], int]:
    consumer = Consumer({"bootstrap.servers": nps.kafka.bootstrap, "group.id": "ends", "log_level": 0})
    try:
        parts = [(JOURNEYS, number) for number in range(nps.partitions)]
        return {part: consumer.get_watermark_offsets(TopicPartition(*part), BOUND_S)[1] for part in parts}
    finally:
        consumer.close()


def delete_topics(nps: Deployment, *topics: str) -> None:
    """Delete topics, and wait until they are gone."""
    admin = admin_of(nps)
    done_all(admin, admin.delete_topics(list(topics)))
    until(lambda: not set(topics) & admin.list_topics(timeout=BOUND_S).topics.keys(), "they are gone")


def delete_group(nps: Deployment, group: str) -> None:
    """Forget what a group committed, once Kafka waits no longer for a member that left under a name of its own."""
    admin, deadline = admin_of(nps), time.monotonic() + BOUND_S
    while True:
        try:
            return done_all(admin, admin.delete_consumer_groups([group]))
        except KafkaException:
            assert time.monotonic() < deadline, f"{group} is not empty"


def done_all(admin: AdminClient, asked: Mapping[Any, Future[Any]]) -> None:
    """Wait for what a client was asked, keeping the client for so long."""
    for one in asked.values():
        one.result(BOUND_S)
    admin.poll(0)


def admin_of(nps: Deployment) -> AdminClient:
    return AdminClient({"bootstrap.servers": nps.kafka.bootstrap, "log_level": 0})
