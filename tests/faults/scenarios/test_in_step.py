"""The topics of one customer are read in step, whatever was away and whoever stamps what, on both brokers.

One worker with short delays; what came of it is read from its topics.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from schemas.codec import Codec
from schemas.deadletters import unwrap
from schemas.events import (
    Answer,
    ContactUpdate,
    Decision,
    Inbound,
    Purchase,
    SupportCase,
    SurveyDispatch,
    SurveyResponse,
)
from schemas.topics import ANSWERS, CONTACTS, DEAD_LETTERS, DECISIONS, DISPATCHES, PURCHASES, RESPONSES, SUPPORT
from streams.domain.ids import survey_id
from streams.kafka.ports import KafkaRecord
from streams.local.servers import local_broker
from tests.faults.harness.kafka import KafkaCluster
from tests.faults.harness.pipeline import Pipeline
from tests.faults.scenarios.lengths import times
from tests.support.commands import BOUND_S, Service, done, until
from tests.support.foreign_topics import make_topic, write
from tests.support.programs import program
from tests.support.retention import set_config

pytestmark = pytest.mark.kafka

CODEC = Codec()
DAY_MS = 86_400_000
DELAY_S = 20
ASK = program(
    {
        "name": "soon",
        "on": ["order.delivered"],
        "delay": f"{DELAY_S}s",
        "channels": ["email"],
        "cancel_on": ["case.opened"],
    },
    {"name": "now", "on": ["order.collected"]},
)
EACH = times(50)
BROKERS = ["local", "kafka"]


class Setting:
    """A broker with the topics, and how workers are started on it."""

    def __init__(self, brokers: str, pipeline: Pipeline, folder: Path, partitions: int, path: Path) -> None:
        self.brokers, self.pipeline, self.folder = brokers, pipeline, folder
        self.environ = {
            "NPS_BROKERS": brokers,
            "NPS_PARTITIONS": str(partitions),
            "NPS_PROGRAM": str(path),
            "NPS_INSTANCE": "the-one",
            "NPS_SESSION_TIMEOUT_MS": "6000",
        }

    def worker(self) -> Service:
        """Start a worker."""
        return Service("worker", self.environ, self.folder / "worker.log")

    def write(self, *events: tuple[int, Inbound]) -> None:
        """Write events with these Kafka timestamps."""
        self.pipeline.write([(at_ms, TOPICS[type(event)], event) for at_ms, event in events])  # type: ignore[misc]

    def dispatched(self) -> Counter[str]:
        """How often each customer was asked."""
        dispatches = (CODEC.decode(SurveyDispatch, one.value) for _, one in self.pipeline.read(DISPATCHES.name))
        return Counter(dispatch.customer_id for dispatch in dispatches)

    def decisions(self) -> Counter[tuple[str, str | None]]:
        """Final decisions, each once, by outcome and reason."""
        told = (CODEC.decode(Decision, one.value) for _, one in self.pipeline.read(DECISIONS.name))
        last = {one.decision_id: (one.outcome, one.reason) for one in told if one.outcome != "pending"}
        return Counter(last.values())

    def answers(self) -> dict[str, Answer]:
        """The last revision of each answer, by customer."""
        told = [CODEC.decode(Answer, one.value) for _, one in self.pipeline.read(ANSWERS.name)]
        return {answer.customer_id: answer for answer in sorted(told, key=lambda answer: answer.revision)}


TOPICS: Mapping[type, str] = {
    Purchase: PURCHASES.name, SupportCase: SUPPORT.name, ContactUpdate: CONTACTS.name, SurveyResponse: RESPONSES.name,
}  # fmt: skip


@contextmanager
def setting(broker: str, folder: Path, partitions: int = 3, text: str = ASK) -> Iterator[Setting]:
    """A broker of this kind with the topics."""
    path = folder / "nps.toml"
    path.write_text(text)
    with KafkaCluster(folder) if broker == "kafka" else local_broker() as server:
        brokers = server.bootstrap if isinstance(server, KafkaCluster) else server.address
        with closing(Pipeline(brokers, partitions)) as pipeline:
            made = Setting(brokers, pipeline, folder, partitions, path)
            done("topics", environ=made.environ)
            yield made


def now_ms() -> int:
    """The wall clock."""
    return time.time_ns() // 1_000_000


def bought(customer: str, at_ms: int, type_: str = "order.delivered", id_: str = "") -> tuple[int, Purchase]:
    """A purchase with its own time as timestamp."""
    id_ = id_ or f"{customer}-{type_}-{at_ms}"
    return at_ms, Purchase("shop", id_, type_, at_ms, customer, f"order {customer}", None, None, {"country": "BR"})


def contact(customer: str, at_ms: int, **said: object) -> tuple[int, ContactUpdate]:
    """A contact update that says this."""
    update = ContactUpdate("crm", f"{customer}-{at_ms}", "contact", at_ms, customer, None, None, None, {})
    return at_ms, update._replace(**said)  # type: ignore[arg-type]


def clicked(customer: str, at_ms: int, order: str, score: int) -> tuple[int, SurveyResponse]:
    """A click on the link of the survey that `order` led to."""
    survey = survey_id(customer, "shop", order, "now")
    return at_ms, SurveyResponse(
        "nps.collector",
        f"{customer}-{at_ms}",
        "survey.clicked",
        at_ms,
        customer,
        survey,
        score,
        None,
        False,
        "link",
        True,
    )


OBJECTIONS = ("out", "withdrawn", "bounced", "erased", "cancelled")


def objection(customer: str, at_ms: int) -> tuple[int, Inbound]:
    """What the customer's name says of why they must not be asked."""
    match customer.split("-")[0]:
        case "out":
            return contact(customer, at_ms, opted_out=True)
        case "withdrawn":
            return contact(customer, at_ms, consents={"feedback/email": "withdrawn"})
        case "bounced":
            return contact(customer, at_ms, bounces={"email": "bounced"})
        case "erased":
            return contact(customer, at_ms, erased=True)
    case_id = f"case {customer}"
    return at_ms, SupportCase("desk", case_id, "case.opened", at_ms, customer, f"order {customer}", {})


@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.parametrize("broker", BROKERS)
def test_who_objected_while_nobody_was_there_is_not_asked(broker: str, end: str, tmp_path: Path) -> None:
    """Due while the worker was away, objected before, bought again after: only those who kept still are asked."""
    with setting(broker, tmp_path) as nps:
        began = now_ms()
        customers = [f"{kind}-{number}" for kind in (*OBJECTIONS, "still") for number in range(EACH)]
        with nps.worker() as worker:
            nps.write(*[bought(name, began) for name in customers])
            until(lambda: nps.pipeline.is_through(), "the purchases were taken")
            assert now_ms() < began + DELAY_S * 1_000, "this machine is too slow for the scenario"
            if end == "kill":
                worker.kill()
            else:
                assert worker.stop() == 0
        nps.write(*[objection(name, now_ms()) for name in customers if not name.startswith("still")])
        time.sleep(max(0.0, (began + DELAY_S * 1_000 + 2_000 - now_ms()) / 1_000))
        nps.write(*[bought(name, now_ms(), "order.returned") for name in customers])
        with nps.worker() as worker:
            until(lambda: len(nps.dispatched()) >= EACH, "those who kept still are asked")
            until(lambda: nps.pipeline.is_through(), "all is done")
            assert worker.stop() == 0
        assert Counter(name.split("-")[0] for name in nps.dispatched()) == {"still": EACH}


FACTS = """name = "facts"
topic = "shop.facts"
[[events]]
to = "purchases"
when = { "/kind" = "bought" }
source = "shop"
id = "/id"
type = "/type"
time = { at = "/at", as = "millis" }
customer_id = "/who"
order_id = ["order ", "/who"]
[[events]]
to = "support"
when = { "/kind" = "opened" }
source = "desk"
id = "/id"
type = "case.opened"
time = { at = "/at", as = "millis" }
customer_id = "/who"
case_id = ["order ", "/who"]
"""


def fact(kind: str, who: str, at_ms: int, type_: str = "order.delivered") -> KafkaRecord:
    """A record of the foreign topic at its own time, all of them in one partition."""
    told = {"kind": kind, "who": who, "at": at_ms, "id": f"{kind} {who}", "type": type_}
    return KafkaRecord(0, at_ms, b"one", json.dumps(told).encode())


@pytest.mark.parametrize("broker", BROKERS)
def test_what_a_source_was_behind_with_cancels_what_is_due(broker: str, tmp_path: Path) -> None:
    """Deliveries of ten minutes ago, 12,000 other facts, and cases opened before the surveys were due, mapped now."""
    with setting(broker, tmp_path) as nps, nps.worker() as worker:
        (tmp_path / "facts.toml").write_text(FACTS)
        make_topic(nps.brokers, "shop.facts")
        at_ms, names = (
            now_ms() - 600_000,
            [f"{kind}-{number}" for kind in ("still", "opened") for number in range(EACH)],
        )
        write(nps.brokers, "shop.facts", [
            *[fact("bought", name, at_ms) for name in names],
            *[fact("bought", f"other-{number}", at_ms + 1, "order.returned") for number in range(12_000)],
            *[fact("opened", name, at_ms + 1_000 * (DELAY_S // 2)) for name in names if name.startswith("opened")],
        ])  # fmt: skip
        nps.write(bought("now", now_ms(), "order.collected"))
        until(lambda: "now" in nps.dispatched(), "the worker is at the present")
        log = tmp_path / "source.log"
        with Service(["sources", "run", str(tmp_path / "facts.toml")], nps.environ, log) as source:
            until(lambda: bool(nps.pipeline.read(SUPPORT.name)), "it has begun to map the cases")
            source.kill()
        with Service(["sources", "run", str(tmp_path / "facts.toml")], nps.environ, log) as source:
            until(lambda: sum(nps.dispatched().values()) >= EACH + 1, "those who kept still are asked")
            until(lambda: nps.pipeline.is_through(), "all is done")
            assert source.stop() == 0
        assert Counter(name.split("-")[0] for name in nps.dispatched().elements()) == {"still": EACH, "now": 1}
        decisions = nps.decisions()
        assert (decisions["sent", None], decisions["suppressed", "cancelled"]) == (EACH + 1, EACH)
        assert worker.stop() == 0


@pytest.mark.parametrize("broker", BROKERS)
def test_neither_the_past_nor_the_future_starves_anybody(broker: str, tmp_path: Path) -> None:
    """Records always 11 s old, and one 299 s ahead: due surveys leave within 5 s, none early, every click counts."""
    with setting(broker, tmp_path) as nps, nps.worker() as worker:
        began = now_ms()
        nps.write(*[bought(f"due-{number}", began) for number in range(20)])
        nps.write(bought("ahead", began + 299_000), bought("ahead", began, "order.collected", "a"))
        nps.write(bought("plain", began, "order.collected", "p"))
        until(lambda: set(nps.dispatched()) >= {"ahead", "plain"}, "both are asked")
        nps.write(bought("ahead", now_ms() + 100_000, "order.returned"))
        clicked_ms = now_ms()
        nps.write(clicked("ahead", clicked_ms, "a", 9), clicked("plain", clicked_ms, "p", 9))
        number = 0
        while now_ms() < clicked_ms + 36_000:
            nps.write(bought(f"old-{number}", now_ms() - 11_000, "order.returned"))
            number += 1
            time.sleep(2)
        dispatches = [
            (one.timestamp, CODEC.decode(SurveyDispatch, one.value)) for _, one in nps.pipeline.read(DISPATCHES.name)
        ]
        due = [(at_ms, sent) for at_ms, sent in dispatches if sent.customer_id.startswith("due-")]
        assert len(due) == 20
        assert all(sent.due_ms <= at_ms <= sent.due_ms + 5_000 for at_ms, sent in due)
        assert nps.dispatched()["ahead"] == 1, "the one from the future is not due"
        answers = nps.answers()
        assert {name: answers[name].counted for name in ("ahead", "plain")} == {"ahead": True, "plain": True}
        assert worker.stop() == 0


@pytest.mark.parametrize("broker", BROKERS)
def test_a_history_decides_alike_for_everybody(broker: str, tmp_path: Path) -> None:
    """A purchase, a case 50 days later and one 98 days later, of each customer, in one file: one outcome for all."""
    text = program(
        {"name": "bought"}, {"name": "solved", "on": ["case.solved"]}, quarantine="90d",
    )  # fmt: skip
    count = times(500)
    with setting(broker, tmp_path, text=text) as nps:
        start_ms = now_ms() - 120 * DAY_MS
        lines = []
        for number in range(count):
            name = f"c{number}"
            for day, type_ in ((0, "purchase"), (50, "case"), (98, "case")):
                at_ms = start_ms + day * DAY_MS + number
                event = {"source": "s", "id": f"{name}-{day}", "time": at_ms, "customer_id": name, "attributes": {}}
                event |= (
                    {"topic": PURCHASES.name, "type": "order.delivered", "order_id": name}
                    if type_ == "purchase"
                    else {"topic": SUPPORT.name, "type": "case.solved", "case_id": f"{name}-{day}"}
                )
                lines.append(json.dumps(event))
        (tmp_path / "history.jsonl").write_text("\n".join(lines))
        done("produce", str(tmp_path / "history.jsonl"), "--history", environ=nps.environ)
        with nps.worker() as worker:
            until(lambda: sum(nps.decisions().values()) >= 3 * count, "all is decided")
            assert worker.stop() == 0
        assert nps.decisions() == {("sent", None): 2 * count, ("suppressed", "asked_recently"): count}


def is_deleted(brokers: str, group: str) -> bool:
    """Delete a consumer group; False while it has a member."""
    admin = AdminClient({"bootstrap.servers": brokers})  # which answers for as long as it is referred to
    (gone,) = admin.delete_consumer_groups([group]).values()
    try:
        gone.result(BOUND_S)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.NON_EMPTY_GROUP:
            return False
        raise
    return True


@pytest.mark.parametrize("broker", BROKERS)
def test_without_the_groups_offsets_nothing_is_sent_twice(broker: str, tmp_path: Path) -> None:
    """The group is gone, as after seven idle days: the worker reads on from its own state."""
    with setting(broker, tmp_path) as nps:
        names = [f"c{number}" for number in range(20)]
        with nps.worker() as worker:
            nps.write(*[bought(name, now_ms(), "order.collected") for name in names])
            until(lambda: len(nps.dispatched()) == 20, "all are asked")
            assert worker.stop() == 0
        if broker == "kafka":
            until(lambda: is_deleted(nps.brokers, "nps-worker"), "the group is gone, once its member's session ended")
        else:
            nps.environ["NPS_GROUP"] = "another"
        with nps.worker() as worker:
            nps.write(bought("last", now_ms(), "order.collected"))
            until(lambda: "last" in nps.dispatched(), "it goes on")
            assert worker.stop() == 0
        assert nps.dispatched() == Counter({**dict.fromkeys(names, 1), "last": 1})


@pytest.mark.parametrize("broker", BROKERS)
def test_another_partitioner_loses_nothing(broker: str, tmp_path: Path) -> None:
    """Librdkafka's default spreads otherwise than Java's: every answer counts, and one line says what to set."""
    with setting(broker, tmp_path, partitions=12) as nps, nps.worker() as worker:
        producer, at_ms = Producer({"bootstrap.servers": nps.brokers}), now_ms()
        names = [f"c{number}" for number in range(60)]
        for name in names:
            event = bought(name, at_ms, "order.collected", name)[1]
            producer.produce(PURCHASES.name, CODEC.encode(event), name.encode(), timestamp=at_ms)
        assert producer.flush(BOUND_S) == 0
        for name in names:
            survey = survey_id(name, "shop", name, "now")
            said = SurveyResponse("tool", name, "answered", at_ms, name, survey, 9, None, False, "email")
            producer.produce(RESPONSES.name, CODEC.encode(said), name.encode(), timestamp=at_ms)
        assert producer.flush(BOUND_S) == 0
        until(lambda: len(nps.answers()) == len(names), "every answer is taken")
        assert all(answer.counted for answer in nps.answers().values())
        assert worker.stop() == 0
        warnings = [line for line in worker.said().splitlines() if "murmur2_random" in line]
        assert sorted(line.split("streams.partitioner ")[1].split(":")[0] for line in warnings) == [
            PURCHASES.name,
            RESPONSES.name,
        ]


@pytest.mark.parametrize("broker", BROKERS)
def test_a_customer_without_measure_ends_no_worker(broker: str, tmp_path: Path) -> None:
    """150 purchases with 60 kB of attributes, 3,000 of one guest, 1,000 due at once: others leave on time."""
    with setting(broker, tmp_path) as nps, nps.worker() as worker:
        at_ms = now_ms()
        heavy = [bought("heavy", at_ms, "order.delivered", f"h{number}")[1] for number in range(150)]
        long = {f"key{number}": "x" * 900 for number in range(60)}
        nps.write(*[(at_ms, event._replace(attributes={**event.attributes, **long})) for event in heavy])
        nps.write(*[bought("guest", at_ms + number, "order.delivered", f"g{number}") for number in range(times(3_000))])
        nps.write(*[bought("other", now_ms(), "order.collected")])
        until(lambda: nps.dispatched()["other"] == 1, "another is asked")
        until(lambda: nps.pipeline.is_through(), "all is done")
        until(lambda: nps.dispatched()["guest"] >= 1, "the guest is asked")
        assert worker.stop() == 0
        assert nps.decisions()["suppressed", "too_many_triggers"] > 0


@pytest.mark.parametrize("broker", BROKERS)
def test_a_record_larger_than_any_of_ours_is_buried(broker: str, tmp_path: Path) -> None:
    """9 MB where the broker allows it: a dead letter with its beginning; whoever comes after it is asked."""
    with setting(broker, tmp_path, partitions=1) as nps, nps.worker() as worker:
        if broker == "kafka":
            set_config(nps.brokers, "max.message.bytes", "10000000", [PURCHASES.name])
        for number in range(3):
            until(lambda number=number: is_taken(nps.brokers, bytes([number]) * 9_000_000), "the broker allows it")  # type: ignore[misc]
        nps.write(bought("after", now_ms(), "order.collected"))
        until(lambda: nps.dispatched()["after"] == 1, "whoever comes after it is asked")
        letters = [(record, unwrap(record.headers)[1]) for _, record in nps.pipeline.read(DEAD_LETTERS)]
        assert [(record.key, death.offset) for record, death in letters] == [(b"large", number) for number in range(3)]
        for number, (record, death) in enumerate(letters):
            assert death.reason == "too_large"
            assert record.value is not None
            assert 0 < len(record.value) < 9_000_000
            assert set(record.value) == {number}
        assert worker.stop() == 0


def is_taken(brokers: str, value: bytes) -> bool:
    """True when the broker takes a purchase of this many bytes."""
    failed: list[object] = []
    producer = Producer({"bootstrap.servers": brokers, "message.max.bytes": 10_000_000})
    producer.produce(
        PURCHASES.name, value, b"large", on_delivery=lambda error, _: failed.append(error) if error else None
    )
    return producer.flush(BOUND_S) == 0 and not failed
