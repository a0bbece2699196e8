"""Persons and scanners before the real page: a real Chromium, the collector, a broker and the worker behind it.

The program waits eight seconds for signs of a machine.  There is one partition, so that what one customer's answer
proves is also so for all who came before.
"""

import asyncio
import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from schemas.codec import Codec
from schemas.events import Alert, Answer, PaneTally, Purchase, SurveyDispatch, SurveyResponse
from schemas.topics import ALERTS, ANSWERS, DISPATCHES, PANES, PURCHASES, RESPONSES
from streams.domain.clicks import confirmation
from streams.domain.state import Click
from streams.kafka.ports import Output
from streams.kafka.producer import Producer
from streams.local.servers import local_broker
from tests.support.chromium import DESKTOP, PHONE, Tab, tab
from tests.support.collector import Collecting, environ, head, read
from tests.support.commands import BOUND_S, Service, done, until
from tests.support.programs import program
from tests.support.recount import Counts, held, total

pytestmark = pytest.mark.chromium
CODEC = Codec()
WAIT_S = 8
PROGRAM = program(confirm=f"{WAIT_S}s")


class Stage:
    """A broker, a worker and a collector, and customers who were asked."""

    def __init__(self, told: dict[str, str], collector: Collecting) -> None:
        self.brokers = told["NPS_BROKERS"]
        self.collector = collector

    def ask(self, customer: str) -> str:
        """Something was delivered to this customer; the link of the survey that was sent."""
        producer = Producer(self.brokers)
        event = Purchase(
            "shop", customer, "order.delivered", int(time.time() * 1000), customer, customer, None, None,
            {"country": customer},
        )  # fmt: skip
        producer.send_all([Output(PURCHASES.name, CODEC.encode(event), customer.encode())])
        asyncio.run(producer.flush())
        until(lambda: bool(self.tokens(customer)), f"{customer} is asked")
        return f"{self.collector.url}/r/{self.tokens(customer)[0]}"

    def tokens(self, customer: str) -> list[str | None]:
        """The tokens of the surveys that were sent to this customer."""
        records = [record for record in read(self.brokers, DISPATCHES.name, 1) if record.key == customer.encode()]
        return [CODEC.decode(SurveyDispatch, record.value).token for record in records]

    def answers(self, customer: str) -> list[Answer]:
        """The revisions of this customer's answer."""
        records = [record for record in read(self.brokers, ANSWERS.name, 1) if record.key == customer.encode()]
        return [CODEC.decode(Answer, record.value) for record in records]

    def alerts(self, customer: str) -> list[str]:
        """What was alerted about this customer."""
        records = [record for record in read(self.brokers, ALERTS.name, 1) if record.key == customer.encode()]
        return [CODEC.decode(Alert, record.value).status for record in records]

    def counted(self, customer: str) -> Counts:
        """Promoters, passives and detractors of this customer's own segment, over all minutes."""
        panes = held(CODEC.decode(PaneTally, record.value) for record in read(self.brokers, PANES.name, 1))
        return total(found for cell, found in panes.items() if cell[:2] == (f"country={customer}", "minute"))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One for this module; customers are each test's own."""
    folder = tmp_path_factory.mktemp("stage")
    (folder / "nps.toml").write_text(PROGRAM)
    with local_broker() as broker:
        told = {**environ(broker.address), "NPS_PARTITIONS": "1", "NPS_PROGRAM": str(folder / "nps.toml")}
        done("topics", environ=told)
        with (
            Service("worker", told, folder / "worker.log"),
            Collecting(told, folder / "collector.log", partitions=1) as collector,
        ):
            yield Stage(told, collector)


def unwrap(url: str) -> str:
    """What a machine without a browser gets."""
    with urlopen(url) as answer:
        text: str = answer.read().decode()
    return text


def settled(stage: Stage, customer: str) -> None:
    """A person clicks after all that came before and is counted: so whatever came before has been decided."""
    unwrap(stage.ask(customer) + "?score=10")
    until(lambda: len(stage.answers(customer)) == 1, f"{customer}'s click counts")
    assert stage.answers(customer)[0].counted


@pytest.mark.parametrize(("name", "size"), [("phone", PHONE), ("desktop", DESKTOP)])
def test_the_page_fits_its_screen(stage: Stage, tmp_path: Path, name: str, size: tuple[int, int, bool]) -> None:
    """Nothing to scroll sideways, everything large enough for a thumb, no complaint, and the trap out of reach."""
    link = stage.ask(f"fits-{name}")

    async def look() -> None:
        async with tab(tmp_path, size) as page:
            for shown, address in (("thanks", f"{link}?score=9&lang=de"), ("question", f"{link}?lang=fr")):
                await page.open(address)
                await page.screenshot(tmp_path / f"{name}-{shown}.png")
                assert await page.value("document.documentElement.scrollWidth <= innerWidth")
                assert await page.value("document.documentElement.scrollHeight <= innerHeight"), "all on one screen"
                smallest = "Math.min(...[...document.querySelectorAll('button')].map(b => b.offsetHeight))"
                assert await page.value(smallest) >= 44
                assert await page.value("document.querySelector('a[hidden]').offsetParent === null")
            assert page.complaints == []

    asyncio.run(look())


def test_a_scanner_leaves_no_answer_and_no_alert(stage: Stage, tmp_path: Path) -> None:
    """Every score, the trap that is on each page, HEAD of all; by plain HTTP, and in a real browser."""
    plain, browser, headed = (stage.ask(f"scanned-{how}") for how in ("plain", "browser", "head"))
    for score in range(11):
        (trap,) = re.findall(r'<a href="([^"]+)"', unwrap(f"{plain}?score={score}"))
    unwrap(stage.collector.url + trap)

    async def scan() -> None:
        async with tab(tmp_path) as page:
            for score in range(11):
                await page.open(f"{browser}?score={score}")
            await page.open(f"{browser}/more")

    asyncio.run(scan())
    head(f"{headed}?score=0")
    unwrap(f"{headed}?score=0")
    settled(stage, "after-the-scan")
    for how in ("plain", "browser", "head"):
        customer = f"scanned-{how}"
        assert [answer.counted for answer in stage.answers(customer)[-1:]] in ([], [False])
        assert stage.counted(customer) == (0, 0, 0)
        assert stage.alerts(customer)[-1:] in ([], ["resolved"])
    assert stage.answers("scanned-plain") == stage.answers("scanned-head") == []
    assert stage.alerts("scanned-plain") == stage.alerts("scanned-head") == []


@pytest.mark.parametrize("scripts", [True, False])
def test_a_person_who_changes_the_mind_and_comments(stage: Stage, tmp_path: Path, scripts: bool) -> None:
    """Clicks 3, then 9, then writes: one answer, a promoter with those words, with and without JavaScript."""
    customer = f"person-{scripts}"
    link = stage.ask(customer)

    async def visit() -> None:
        async with tab(tmp_path, PHONE, scripts) as page:
            await page.open(f"{link}?score=3&lang=es")
            await page.open(f"{link}?score=9&lang=es")
            await page.click("textarea")
            await page.type("Llegó antes de lo previsto 🙂")
            await page.screenshot(tmp_path / "typed.png")
            await page.click("button.send", leads_on=True)
            assert "Gracias por su comentario" in await page.text()
            assert page.complaints == []

    asyncio.run(visit())
    settled(stage, f"after-{customer}")
    last = stage.answers(customer)[-1]
    assert (last.score, last.comment, last.counted) == (9, "Llegó antes de lo previsto 🙂", True)
    assert stage.counted(customer) == (1, 0, 0)
    assert stage.alerts(customer)[-1:] in ([], ["resolved"])


def test_another_score_on_the_page_is_a_correction(stage: Stage, tmp_path: Path) -> None:
    """A button of the page sends that score and the words that were typed; 9 becomes 2, and somebody is told."""
    link = stage.ask("corrected")

    async def visit() -> None:
        async with tab(tmp_path) as page:
            await page.open(f"{link}?score=9")
            await page.click("textarea")
            await page.type("wrong button")
            await page.click('button[value="2"]', leads_on=True)

    asyncio.run(visit())
    until(lambda: stage.alerts("corrected") == ["open"], "the alert")
    settled(stage, "after-corrected")
    last = stage.answers("corrected")[-1]
    assert (last.score, last.comment) == (2, "wrong button")
    assert stage.counted("corrected") == (0, 0, 1)


def test_a_page_that_is_looked_at_confirms_before_the_wait_is_over(stage: Stage, tmp_path: Path) -> None:
    """The beacon comes after three seconds in sight, or at once when somebody touches the page."""
    link = stage.ask("looked-at")

    async def look(page: Tab) -> None:
        await page.open(f"{link}?score=8")
        await page.click("h1")
        deadline = time.monotonic() + BOUND_S
        while not any(r.customer_id == "looked-at" and not r.provisional for r in stage.collector.responses()):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)

    async def visit() -> None:
        async with tab(tmp_path) as page:
            await look(page)
            assert page.complaints == []

    asyncio.run(visit())
    until(lambda: len(stage.answers("looked-at")) == 1, "the answer")
    clicked, told, *_ = [r for r in read(stage.brokers, RESPONSES.name, 1) if r.key == b"looked-at"]
    assert told.timestamp < clicked.timestamp + WAIT_S * 1_000, "the page told it, not the clock"
    click = CODEC.decode(SurveyResponse, clicked.value)
    assert CODEC.decode(SurveyResponse, told.value) == confirmation(click.survey_id, "looked-at", Click(click.time, 8))
    assert stage.answers("looked-at")[0].answered_ms == click.time
