"""What the hazard tests give to a stock Faust app and to ours: topics, records, trouble, and eyes on both."""

import json
import sys
import time
import uuid
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from schemas.topics import JOURNEYS, PURCHASES
from streams.kafka.reader import KafkaReader
from tests.faults.harness.patience import Group
from tests.support.commands import BOUND_S, Child, Service, done, until
from tests.support.retention import set_config

HERE = Path(__file__).parent
STOCK, OURS = "stock_worker.py", "block_worker.py"
PARTITIONS = 2


class Worker(Child):
    """A worker of either kind as a process; what it notes and says goes to files."""

    def __init__(self, program: str, options: dict[str, Any], folder: Path) -> None:
        self._notes = folder / f"{uuid.uuid4()}.jsonl"
        given = json.dumps({**options, "log": str(self._notes), "datadir": str(folder)})
        super().__init__([sys.executable, str(HERE / program), given], self._notes.with_suffix(".log"))

    def noted(self, event: str) -> list[dict[str, Any]]:
        """Its notes of one kind, in order."""
        lines = self._notes.read_text().splitlines(keepends=True) if self._notes.exists() else []
        notes = [json.loads(line) for line in lines if line.endswith("\n")]
        return [note for note in notes if note["event"] == event]

    def values(self, event: str = "done") -> list[str]:
        """The values it is done with, or has begun, in order."""
        return [note["value"] for note in self.noted(event)]


class Input:
    """One topic, which both kinds of worker read, each in a group of its own."""

    def __init__(self, brokers: str, folder: Path) -> None:
        self.brokers = brokers
        self.topic = f"hazard-{uuid.uuid4()}"
        self.admin = AdminClient({"bootstrap.servers": brokers, "log_level": 0})
        self._folder = folder
        self.make(self.topic)

    def make(self, topic: str, **config: str) -> None:
        """Make a topic."""
        named = {name.replace("_", "."): value for name, value in config.items()}
        self.admin.create_topics([NewTopic(topic, PARTITIONS, 1, config=named)])[topic].result(BOUND_S)

    def put(self, values: Iterable[int], partition: int = 0, key: str = "k", topic: str | None = None) -> None:
        """Write the values, in this order."""
        producer = Producer({"bootstrap.servers": self.brokers, "log_level": 0})
        for value in values:
            producer.produce(topic or self.topic, str(value).encode(), key.encode(), partition)
        assert producer.flush(BOUND_S) == 0

    def start(self, program: str, **options: Any) -> Worker:
        """Start a worker of this kind."""
        here = {"brokers": self.brokers, "topic": self.topic, "group": self.group(program)}
        return Worker(program, {**here, **options}, self._folder)

    def group(self, program: str) -> str:
        """The consumer group of this kind of worker."""
        return f"{self.topic}-{program.partition('_')[0]}"

    def committed(self, program: str, partition: int = 0) -> int:
        """The next offset that this kind of worker would process after a crash."""
        return committed(self.brokers, self.group(program), self.topic, partition)

    def empty(self, topic: str) -> None:
        """Delete every record of a compacted topic's first partition, as retention does once somebody allows it."""
        self.alter(topic, "cleanup.policy", "delete")
        [deleted] = self.admin.delete_records([TopicPartition(topic, 0, -1)]).values()
        deleted.result(BOUND_S)

    def alter(self, topic: str, name: str, value: str) -> None:
        """Change one setting of a topic."""
        set_config(self.brokers, name, value, [topic])


def committed(brokers: str, group: str, topic: str, partition: int = 0) -> int:
    """The next offset of a group, 0 for none; a group used for the first time has no coordinator for a moment."""
    with closing(Group(brokers, group)) as asked:
        return max(asked.committed([(topic, partition)])[topic, partition], 0)


class Shop:
    """Our pipeline's own topics on the shared Kafka, made anew, with purchases for a worker of ours."""

    def __init__(self, brokers: str, folder: Path) -> None:
        self.group = f"shop-{uuid.uuid4()}"
        self.brokers = brokers
        self._environ = {
            "NPS_BROKERS": brokers,
            "NPS_GROUP": self.group,
            "NPS_PARTITIONS": "1",
            "NPS_SESSION_TIMEOUT_MS": "4000",
        }
        self._log = folder / "worker.log"

    def make(self) -> None:
        """Make the topics."""
        done("topics", environ=self._environ)

    def order(self, *customers: str) -> None:
        """Each customer's order is delivered."""
        now_ms = time.time_ns() // 1_000_000
        common = {"source": "shop", "type": "order.delivered", "time": now_ms}
        ids = [{"id": f"p-{name[:9]}", "order_id": f"o-{name[:9]}", "customer_id": name} for name in customers]
        lines = [json.dumps({**common, **one}) for one in ids]
        done("produce", "--topic", "purchases", "-", environ=self._environ, given="\n".join(lines))

    def worker(self) -> Service:
        """Start a worker."""
        return Service("worker", self._environ, self._log)

    def committed(self) -> int:
        """How many purchases would not be read again."""
        return committed(self.brokers, f"{self.group}-worker", PURCHASES.name)

    def remembered(self) -> set[bytes | None]:
        """What there is state of in Kafka."""
        with closing(KafkaReader(self.brokers, {})) as reader:
            return {record.key for _, record in reader.read([(JOURNEYS, 0)])}

    def delete(self, admin: AdminClient) -> None:
        """Delete the topics, and wait until they are gone."""
        names = [name for name in admin.list_topics(timeout=BOUND_S).topics if name.startswith("nps.")]
        for deleted in admin.delete_topics(names).values() if names else ():
            deleted.result(BOUND_S)
        until(lambda: not admin.list_topics(timeout=BOUND_S).topics.keys() & {*names}, "the topics are gone")
