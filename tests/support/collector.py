"""The real `nps collector` for tests: how to start one, make links to it, and read what it wrote."""

import re
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from urllib.request import Request, urlopen

from schemas.codec import Codec
from schemas.deadletters import Death, unwrap
from schemas.events import SurveyResponse
from schemas.topics import DEAD_LETTERS, RESPONSES
from streams.domain.links import Keys, mint
from streams.kafka.ports import KafkaRecord
from streams.kafka.reader import KafkaReader
from tests.support.commands import Service

PARTITIONS = 2
LINK_KEYS = "k1:0123456789abcdef0123"
KEYS = Keys.parse(LINK_KEYS)
BEARER = "a-key-for-the-survey-tool"
FAR_MS = 4_000_000_000_000
CODEC = Codec()


def environ(brokers: str, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a collector, and a worker beside it, is told."""
    return {
        "NPS_BROKERS": brokers,
        "NPS_PARTITIONS": str(PARTITIONS),
        "NPS_SESSION_TIMEOUT_MS": "6000",
        "NPS_LINK_KEYS": LINK_KEYS,
        "NPS_COLLECTOR_KEY": BEARER,
        "NPS_COLLECTOR_PORT": "0",
        **(more or {}),
    }


class Collecting(Service):
    """A collector that listens."""

    def __init__(self, told: Mapping[str, str], log: Path, partitions: int = PARTITIONS) -> None:
        super().__init__("collector", told, log)
        self._partitions = partitions
        self.brokers = told["NPS_BROKERS"]
        self.until(lambda: "listens at" in self.said(), "the collector listens")
        (self.url,) = re.findall(r"listens at (\S+)", self.said())

    def link(self, survey: str = "s1", customer: str = "c1", expires_ms: int = FAR_MS) -> str:
        """The address of a survey's link, without a score."""
        return f"{self.url}/r/{mint(KEYS, survey, customer, expires_ms)}"

    def responses(self) -> list[SurveyResponse]:
        """What lies on nps.responses; each under its customer."""
        found = []
        for record in read(self.brokers, RESPONSES.name, self._partitions):
            response = CODEC.decode(SurveyResponse, record.value)
            assert record.key == response.customer_id.encode()
            found.append(response)
        return sorted(found, key=lambda response: response.time)

    def deaths(self) -> list[tuple[Death, KafkaRecord]]:
        """The dead letters."""
        return [(unwrap(record.headers)[1], record) for record in read(self.brokers, DEAD_LETTERS, 1)]


def read(brokers: str, topic: str, partitions: int) -> list[KafkaRecord]:
    """All records of a topic."""
    with closing(KafkaReader(brokers, {})) as reader:
        return [record for _, record in reader.read([(topic, number) for number in range(partitions)])]


def head(url: str) -> int:
    """Ask with HEAD; the status."""
    with urlopen(Request(url, method="HEAD")) as answer:
        return int(answer.status)
