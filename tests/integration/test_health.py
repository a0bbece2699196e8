"""Health on the port of the metrics: /healthz is the process, /readyz its progress, or the reason why there is none."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import urllib3
from confluent_kafka import Producer

from schemas.codec import Codec
from schemas.events import Alert
from schemas.topics import ALERTS
from streams.clock import wall_ms
from streams.engine.progress import ProgressWatch, Reading
from streams.errors import Stalled
from streams.local.servers import HOST, LocalServer, free_port, local_broker, local_clickhouse
from tests.faults.harness.receiver import Receiver
from tests.support.commands import Service, done, until

SECRET = "whsec_" + "test" * 8


class Running(Service):
    """A service whose health can be asked."""

    def __init__(self, command: str, environ: dict[str, str], log: Path) -> None:
        self.port = free_port()
        super().__init__(command, {**environ, "NPS_METRICS_PORT": str(self.port)}, log)

    def ask(self, path: str) -> tuple[int, str]:
        """Status and words of the answer; 0 while nobody listens."""
        try:
            answer = urllib3.request("GET", f"http://{HOST}:{self.port}{path}", retries=False, timeout=10)
        except urllib3.exceptions.HTTPError:
            return 0, ""
        return answer.status, answer.data.decode().strip()

    def is_ready(self) -> bool:
        return self.ask("/readyz") == (200, "ok")


@contextmanager
def frozen(server: LocalServer) -> Iterator[None]:
    """The server holds its connections and answers nothing."""
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


def test_ready_is_who_makes_progress(tmp_path: Path) -> None:
    """Worker, sink and notifier are ready once they are members, not while Kafka is away, and ready again."""
    with local_broker() as kafka, local_clickhouse(tmp_path / "clickhouse") as clickhouse, ExitStack() as stack:
        environ = {
            "NPS_BROKERS": kafka.address, "NPS_CLICKHOUSE_URL": f"{clickhouse.address}/nps", "NPS_PARTITIONS": "1",
            "NPS_SESSION_TIMEOUT_MS": "6000", "NPS_SERVER_WAIT_S": "300", "NPS_STALL_S": "300",
        }  # fmt: skip
        done("topics", environ=environ)
        done("migrate", environ=environ)
        running = {
            name: stack.enter_context(Running(name, environ, tmp_path / f"{name}.log"))
            for name in ("worker", "sink", "notify")
        }
        for service in running.values():
            service.until(service.is_ready, "it is ready")
            assert service.ask("/healthz") == (200, "ok")
            assert "# HELP nps_" in service.ask("/metrics")[1]
        with frozen(kafka):
            worker = running["worker"]
            worker.until(lambda: worker.ask("/readyz")[0] == 503, "it is not ready")
            assert worker.ask("/readyz") == (503, "no answer from Kafka")
            assert worker.ask("/healthz") == (200, "ok")
        worker.until(worker.is_ready, "it is ready again")


def test_an_alert_that_nobody_takes_is_no_progress(tmp_path: Path) -> None:
    """The notifier is not ready while it tries, and ready once the receiver is back."""
    with local_broker() as kafka, Receiver(SECRET) as receiver:
        environ = {
            "NPS_BROKERS": kafka.address, "NPS_PARTITIONS": "1", "NPS_WEBHOOK_URL": receiver.url,
            "NPS_WEBHOOK_SECRET": SECRET,
        }  # fmt: skip
        done("topics", environ=environ)
        with Running("notify", environ, tmp_path / "notify.log") as notifier:
            notifier.until(notifier.is_ready, "it is ready")
            receiver.go_down()
            producer, now_ms = Producer({"bootstrap.servers": kafka.address}), wall_ms()
            alert = Alert("a1", "s1", "open", "critical", "c1", "post", "delivered", "o1", 2, None, 1, now_ms,
                          now_ms, ["all"], "p", 7)  # fmt: skip
            producer.produce(ALERTS.name, Codec().encode(alert), b"c1")
            assert producer.flush(60) == 0
            notifier.until(lambda: "could not be delivered in" in notifier.ask("/readyz")[1], "it is not ready")
            receiver.come_up()
            notifier.until(notifier.is_ready, "it is ready again")


def test_a_sink_without_its_warehouse_is_not_ready(tmp_path: Path) -> None:
    """Rows wait for ClickHouse, and it says so."""
    with local_broker() as kafka:
        environ = {"NPS_BROKERS": kafka.address, "NPS_PARTITIONS": "1"}
        done("topics", environ=environ)
        with local_clickhouse(tmp_path / "clickhouse") as clickhouse:
            environ["NPS_CLICKHOUSE_URL"] = f"{clickhouse.address}/nps"
            done("migrate", environ=environ)
            sink = Running("sink", environ, tmp_path / "sink.log")
            sink.until(sink.is_ready, "it is ready")
        with sink:
            producer = Producer({"bootstrap.servers": kafka.address})
            producer.produce("nps.dead-letters", b"x")
            assert producer.flush(60) == 0
            until(lambda: sink.ask("/readyz")[0] == 503, "it is not ready")
            assert "wait for a try" in sink.ask("/readyz")[1]
            assert sink.ask("/healthz") == (200, "ok")


def test_a_partition_that_stands_still_is_told_before_the_worker_ends() -> None:
    """From half of the time on; and no more once it moves, or is given up."""
    watch, partition = ProgressWatch(stall_ms=10_000), ("nps.purchases", 3)
    for now_ms, standing in ((0, False), (5_000, False), (5_001, True), (9_999, True)):
        watch.look(now_ms, {partition: Reading(end=9, applied=4, asked_ms=now_ms)})
        assert (watch.standing() == f"nps.purchases partition 3 has stood still for {now_ms // 1000} s") == standing
    watch.look(9_999, {partition: Reading(end=9, applied=5, asked_ms=9_999)})
    assert watch.standing() == ""
    watch.look(16_000, {partition: Reading(end=9, applied=5, asked_ms=16_000)})
    assert watch.standing()
    with pytest.raises(Stalled):
        watch.look(20_000, {partition: Reading(end=9, applied=5, asked_ms=20_000)})
    watch.forget()
    assert watch.standing() == ""
