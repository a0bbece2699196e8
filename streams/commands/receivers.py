"""Receivers of incidents' news: `nps notify` delivers to all of them, `nps notify test NAME` sends one test page."""

import os
import threading
import time
from collections.abc import Callable, Mapping
from uuid import uuid4

from schemas.codec import Codec
from schemas.display import nearest
from schemas.oncall import Facts
from sinks.notify.configuration import ReceiverConfig
from sinks.notify.delivery_log import DeliveryLog
from sinks.notify.notifier import DeliveryError
from sinks.notify.process import ReceiverProcess
from sinks.notify.receiver import News
from sinks.notify.receivers import configured, made
from streams import program
from streams.clock import wall_ms
from streams.commands.session import out, read_settings
from streams.errors import BadSettings, ExitCode
from streams.settings import Settings

JOIN_S = 60.0


def read_receivers(settings: Settings) -> dict[str, ReceiverConfig]:
    """Read the receivers of the program file with their secrets; empty for none.  Raises BadInput."""
    return configured(program.load_receivers(settings.program_path), os.environ)


def test(name: str) -> int:
    """Send one marked test page to a receiver, and print in one line what the service answered."""
    settings = read_settings()
    configs = read_receivers(settings)
    if name not in configs:
        there = f"there are {', '.join(configs)}" if configs else "the program file has no [receivers.NAME]"
        raise BadSettings(f"{name!r} is no receiver{nearest(name, configs)}; {there}")
    try:
        receipt = made(configs[name]).send(test_news(wall_ms()))
    except DeliveryError as error:
        out.print(f"{name}: not delivered: {error}", soft_wrap=True)
        return ExitCode.UNEXPECTED
    out.print(f"{name}: {receipt.answer}", soft_wrap=True)
    return ExitCode.OK


def test_news(now_ms: int) -> News:
    """Make the news of a test, of an incident of its own."""
    facts = Facts(
        title="a test of this receiver by nps notify test: nothing is wrong",
        kind="test",
        severity="info",
        state="open",
        route="test",
        opened_ms=now_ms,
        updated_ms=now_ms,
    )
    incident_id = str(uuid4())
    return News(incident_id, f"test-{incident_id}", 1, "open", now_ms, facts)


class ReceiverProcesses:
    """All receivers, each with a thread, a consumer and a group of its own; `run` ends when the first one fails."""

    def __init__(
        self,
        configs: Mapping[str, ReceiverConfig],
        consumer: Mapping[str, str],
        producer: Mapping[str, str],
        codec_of: Callable[[], Codec],
        patience_s: float,
    ) -> None:
        self._processes = {}
        for number, (name, config) in enumerate(sorted(configs.items())):
            codec = codec_of()
            group = {**consumer, "group.id": f"{consumer['group.id']}-{name}"}
            self._processes[name] = ReceiverProcess(
                name, made(config), config.permission, group, producer, codec,
                DeliveryLog(consumer, producer, codec, patience_s), buries=number == 0, patience_s=patience_s,
            )  # fmt: skip
        self._errors: list[BaseException] = []

    def run(self, stop: threading.Event) -> None:
        """Deliver until `stop` is set.  Raises what ended the first receiver that failed."""
        threads = [
            threading.Thread(target=self._run_one, args=(process, stop), name=name, daemon=True)
            for name, process in self._processes.items()
        ]
        for thread in threads:
            thread.start()
        stop.wait()
        until_s = time.monotonic() + JOIN_S
        for thread in threads:
            thread.join(max(0.0, until_s - time.monotonic()))
        if self._errors:
            raise self._errors[0]

    def unready(self) -> str:
        """Say why a receiver gets nothing; empty while all do, or there is nothing.  From any thread."""
        return next(filter(None, (process.unready() for process in self._processes.values())), "")

    def _run_one(self, process: ReceiverProcess, stop: threading.Event) -> None:
        try:
            process.run(stop)
        except BaseException as error:
            self._errors.append(error)
        finally:
            stop.set()
