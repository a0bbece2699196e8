"""Persons and scanners before the real page: a real Chromium, the collector, a broker and the worker behind it.

The program waits eight seconds for signs of a machine.  There is one partition, so that what one customer's answer
proves is also so for all who came before.
"""

import asyncio
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from aiohttp import web

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
LOGO = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 40"><rect width="120" height="40" rx="8" fill="#7a1fa2"/>'
    '<circle cx="22" cy="20" r="10" fill="#fff"/><path d="M44 20h60" stroke="#fff" stroke-width="8"/></svg>'
)
BRAND = """
[brand]
name = "Kaffee & <b>Söhne</b>"
about = "Söhne Lieferdienst"
logo = "logo.svg"
colour = "#7a1fa2"
"""


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


@pytest.fixture(scope="module")
def branded(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collecting]:
    """A second collector, whose program file has a brand."""
    folder = tmp_path_factory.mktemp("branded")
    (folder / "nps.toml").write_text(PROGRAM + BRAND)
    (folder / "logo.svg").write_text(LOGO)
    told = {**environ(stage.brokers), "NPS_PARTITIONS": "1", "NPS_PROGRAM": str(folder / "nps.toml")}
    with Collecting(told, folder / "log", partitions=1) as collector:
        yield collector


@pytest.mark.parametrize(("name", "size"), [("phone", PHONE), ("desktop", DESKTOP)])
@pytest.mark.parametrize(
    ("languages", "is_branded"), [(("de", "fr"), False), (("ar", "he"), False), (("de", "ar"), True)]
)
def test_the_page_fits_its_screen(
    stage: Stage, branded: Collecting, tmp_path: Path, name: str, size: tuple[int, int, bool],
    languages: tuple[str, str], is_branded: bool,
) -> None:  # fmt: skip
    """Nothing to scroll sideways, everything large enough for a thumb, no complaint, and the trap out of reach."""
    link = branded.link("fits") if is_branded else stage.ask(f"fits-{name}-{languages[0]}")
    thanks, asked = languages

    async def look() -> None:
        async with tab(tmp_path, size) as page:
            for shown, address in (("thanks", f"{link}?score=9&lang={thanks}"), ("question", f"{link}?lang={asked}")):
                await page.open(address)
                await page.screenshot(tmp_path / f"{name}-{shown}.png")
                assert await page.value("document.querySelector('header') !== null") == is_branded
                assert await page.value("document.documentElement.scrollWidth <= innerWidth")
                assert await page.value("document.documentElement.scrollHeight <= innerHeight"), "all on one screen"
                smallest = "Math.min(...[...document.querySelectorAll('button')].map(b => b.offsetHeight))"
                assert await page.value(smallest) >= 44
                assert await page.value("document.querySelector('a[hidden]').offsetParent === null")
            assert page.complaints == []

    asyncio.run(look())


def test_the_brand_is_shown_and_stays_text(branded: Collecting, tmp_path: Path) -> None:
    """Name, logo and colour; in the question what it is about; by night a shade that can be read on dark paper."""

    async def look() -> None:
        async with tab(tmp_path, PHONE) as page:
            await page.open(f"{branded.link('brand')}?lang=de")
            assert await page.value("document.querySelector('header bdi').textContent") == "Kaffee & <b>Söhne</b>"
            assert await page.value("document.querySelector('header img').naturalWidth") > 0
            assert "Sie Söhne Lieferdienst Freunden" in await page.value("document.querySelector('h1').textContent")
            assert (await page.value("document.title")).endswith(" · Kaffee & <b>Söhne</b>")
            await page.open(f"{branded.link('brand')}?score=9")
            colour = "getComputedStyle(document.querySelector('button.send')).backgroundColor"
            assert await page.value(colour) == "rgb(122, 31, 162)"
            dark = [{"name": "prefers-color-scheme", "value": "dark"}]
            await page.ask("Emulation.setEmulatedMedia", features=dark)
            assert await page.value(colour) not in ("rgb(122, 31, 162)", "rgb(127, 188, 245)")
            await page.screenshot(tmp_path / "night.png")
            assert page.complaints == []

    asyncio.run(look())


def test_words_run_in_their_own_direction(stage: Stage, tmp_path: Path) -> None:
    """Hebrew on an English page begins at the right, German on an Arabic page at the left."""
    link = stage.ask("directions")

    async def look() -> None:
        async with tab(tmp_path) as page:
            for lang, words, direction in (
                ("en", "הגיע מאוחר", "rtl"),
                ("ar", "zu spät", "ltr"),
                ("ar", "متأخر", "rtl"),
            ):
                await page.open(f"{link}?score=9&lang={lang}")
                assert await page.value("document.documentElement.dir || 'ltr'") == ("rtl" if lang == "ar" else "ltr")
                await page.click("textarea")
                await page.type(words)
                assert await page.value("getComputedStyle(document.querySelector('textarea')).direction") == direction

    asyncio.run(look())


@pytest.mark.parametrize("sign", ["look", "words", "button"])
def test_a_person_after_the_head_of_safe_links_counts(stage: Stage, tmp_path: Path, sign: str) -> None:
    """HEAD, then the person within seconds: the page is looked at, written on or pressed, and the answer counts."""
    customer = f"safe-links-{sign}"
    link = stage.ask(customer)
    head(f"{link}?score=3")
    head(link)

    async def visit() -> None:
        async with tab(tmp_path, PHONE, scripts=sign == "look") as page:
            await asyncio.sleep(1)
            await page.open(f"{link}?score=3")
            if sign == "look":
                await asyncio.sleep(6)
                return
            await page.click("textarea")
            await page.type("at last")
            await page.click("button.send" if sign == "words" else 'button[value="3"]', leads_on=True)

    asyncio.run(visit())
    settled(stage, f"after-{customer}")
    last = stage.answers(customer)[-1]
    assert (last.score, last.comment, last.counted) == (3, None if sign == "look" else "at last", True)
    assert stage.counted(customer) == (0, 0, 1)
    assert stage.alerts(customer)[-1] == "open"


@pytest.mark.parametrize("scripts", [True, False])
@pytest.mark.parametrize("way", ["back", "reload"])
def test_a_page_come_back_to_is_no_new_click(stage: Stage, tmp_path: Path, scripts: bool, way: str) -> None:
    """3 by the link, 9 on its page, back, perhaps a reload and a long look: it stays 9, and the page says so."""
    customer = f"{way}-{scripts}"
    link = stage.ask(customer)

    async def visit() -> None:
        async with tab(tmp_path, DESKTOP, scripts) as page:
            await page.open(f"{link}?score=3")
            await page.click('button[value="9"]', leads_on=True)
            await page.back()
            if way == "reload":
                await page.reload()
            if scripts:
                await page.until("document.querySelector('button[aria-current]').value === '9'")
            await page.click("h1")
            await asyncio.sleep(6)
            assert page.complaints == []

    asyncio.run(visit())
    settled(stage, f"after-{customer}")
    assert (stage.answers(customer)[-1].score, stage.counted(customer)) == (9, (1, 0, 0))
    assert stage.alerts(customer)[-1:] in ([], ["resolved"])


def test_another_link_after_a_page_is_a_change_of_mind(stage: Stage, tmp_path: Path) -> None:
    """3 by the link, 9 on its page, then the mail's link of 3 again, looked at: the person means 3."""
    link = stage.ask("means-3")

    async def visit() -> None:
        async with tab(tmp_path) as page:
            await page.open(f"{link}?score=3")
            await page.click('button[value="9"]', leads_on=True)
            await page.open(f"{link}?score=3")
            await page.click("h1")
            await asyncio.sleep(1)

    asyncio.run(visit())
    settled(stage, "after-means-3")
    assert (stage.answers("means-3")[-1].score, stage.counted("means-3")) == (3, (0, 0, 1))


def test_a_browser_that_prefetches_takes_nothing_until_somebody_comes(stage: Stage, tmp_path: Path) -> None:
    """A page elsewhere has every score prefetched, as a web mail may; the link that is clicked is the only answer."""
    customer = "prefetched"
    link = stage.ask(customer)
    links = [f"{link}?score={score}" for score in range(11)]
    rules = json.dumps({"prefetch": [{"urls": links, "eagerness": "immediate"}]})
    body = f'<script type="speculationrules">{rules}</script><a id="nine" href="{links[9]}">9</a>'
    asked = []

    async def visit() -> None:
        async def mail(_: web.Request) -> web.Response:
            return web.Response(text=f"<!doctype html><title>mail</title>{body}", content_type="text/html")

        app = web.Application()
        app.router.add_get("/", mail)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            async with tab(tmp_path) as page:
                await page.open(f"http://127.0.0.1:{runner.addresses[0][1]}/")
                await asyncio.sleep(3)
                asked.append([r for r in stage.collector.responses() if r.customer_id == customer])
                await page.click("#nine", leads_on=True)
                await page.click("h1")
                await asyncio.sleep(1)
        finally:
            await runner.cleanup()

    asyncio.run(visit())
    assert asked == [[]]
    settled(stage, f"after-{customer}")
    assert (stage.answers(customer)[-1].score, stage.counted(customer)) == (9, (1, 0, 0))


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
    """The beacon comes after five seconds in sight, or at once when somebody touches the page."""
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
