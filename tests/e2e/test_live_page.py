"""The live page in a real Chromium: on every screen, by keyboard alone, and as axe-core sees it."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from schemas import oncall
from schemas.events import OncallEvent
from schemas.topics import ONCALL
from streams.local.servers import local_broker
from tests.support.chromium import DESKTOP, Tab, tab
from tests.support.collector import read
from tests.support.commands import ROOT, done, until
from tests.support.live_page import (
    CODEC,
    COMMENT,
    CUSTOMER,
    HOUR_MS,
    RESPONDER,
    VIEWER,
    Showing,
    answer,
    case,
    delivery,
    environ,
    fall,
    fall_facts,
    incident,
    member,
    now_ms,
    put,
    row,
)

pytestmark = pytest.mark.chromium
AXE = ROOT / ".cache/axe/node_modules/axe-core/axe.min.js"
SCREENS = [(360, 740, True), (768, 1024, False), (1440, 900, False)]
SMALL = """[...document.querySelectorAll('button, a, summary, textarea, .pick')].filter((each) => each.offsetParent
    && (each.offsetHeight < 44 || each.offsetWidth < 44)).map((each) => each.outerHTML.slice(0, 80))"""
SAID = "document.querySelector('[aria-live]').textContent"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Showing]:
    """A page with something of everything."""
    with local_broker() as broker:
        told = environ(broker.address)
        done("topics", environ=told)
        now = now_ms()
        segments = ("all", "country=BR", "country=DE,category=beauty%20%26%20care")
        put(
            broker.address,
            *(row(each, window, (40 + i % 9, 30, 20), i, now - (40 - i) * HOUR_MS)
              for each in segments for window in ("1h", "24h", "7d", "30d") for i in range(1, 40)),
            fall("all"), fall("country=BR"), delivery("n1", "undelivered"),
            case("s1", "i1", now - HOUR_MS), case("s2", "i1"),
            incident("i1", [member("s1", 2), member("s2", 4, None)]),
            incident("i2", kind="fall", fall=fall_facts("country=BR"), severity="error"),
            incident("i3", state="acknowledged", severity="warning", note="They look into it", assignee="bob"),
            *(answer(f"a{i}", i, COMMENT if i % 2 else None) for i in range(11)),
        )  # fmt: skip
        with Showing(told, tmp_path_factory.mktemp("page") / "log") as showing:
            yield showing


@asynccontextmanager
async def opened(
    page: Showing, folder: Path, token: str, size: tuple[int, int, bool] = DESKTOP, scheme: str = "light"
) -> AsyncIterator[Tab]:
    """The page after somebody signed in, by keyboard, and it has drawn."""
    async with tab(folder, size) as browser:
        await prefer(browser, scheme)
        await browser.open(page.url)
        await browser.until("document.activeElement.id === 'token'")
        await browser.type(token)
        await press(browser, "Enter")
        await browser.until("document.querySelector('#hero .nps') !== null && document.querySelector('.card') !== null")
        yield browser


async def prefer(browser: Tab, scheme: str) -> None:
    """Have a screen by day or by night."""
    await browser.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])


async def press(browser: Tab, key: str) -> None:
    """Press a key."""
    text, code = {"Enter": ("\r", 13), "Escape": ("", 27)}.get(key, (key, ord(key.upper()[0])))
    await browser.ask(
        "Input.dispatchKeyEvent",
        type="keyDown",
        key=key,
        windowsVirtualKeyCode=code,
        **({"text": text} if text else {}),
    )
    await browser.ask("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)


async def violations(browser: Tab) -> Any:
    """What axe-core finds: rule and place."""
    await browser.value(AXE.read_text() + "; 0")
    script = (
        "axe.run().then((found) => JSON.stringify(found.violations.map((v) => [v.id, v.nodes.map((n) => n.html)])))"
    )
    got = await browser.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
    return json.loads(got["result"]["value"])


def actions(page: Showing) -> list[tuple[str, str, str | None]]:
    """Actions on nps.oncall: verb, incident and note."""
    found: list[tuple[str, str, str | None]] = []
    for record in read(page.brokers, ONCALL.name, 1):
        payload = oncall.payload_of(CODEC.decode(OncallEvent, record.value))
        assert isinstance(payload, oncall.Action)
        found.append((payload.verb, payload.incident_id, payload.note))
    return found


@pytest.mark.parametrize("size", SCREENS)
def test_the_page_fits_every_screen(page: Showing, tmp_path: Path, size: tuple[int, int, bool]) -> None:
    """Nothing to scroll sideways, everything large enough for a thumb, no complaint, by day and by night."""

    async def look() -> None:
        async with opened(page, tmp_path, RESPONDER, size) as browser:
            for scheme in ("light", "dark"):
                await prefer(browser, scheme)
                await browser.screenshot(tmp_path / f"{size[0]}-{scheme}.png")
                assert await browser.value("document.documentElement.scrollWidth <= innerWidth")
                assert await browser.value(SMALL) == []
            assert browser.complaints == []

    asyncio.run(look())


def test_an_answer_shows_without_reload(page: Showing, tmp_path: Path) -> None:
    """So do an incident, which a screen reader hears of, and a score."""

    async def look() -> None:
        async with opened(page, tmp_path, RESPONDER) as browser:
            await browser.value("window.isTheSamePage = true")
            news = answer("new", 3, "It arrived just now"), row(version=1_000, counts=(9, 0, 1)), incident("i9")
            await asyncio.to_thread(put, page.brokers, *news)
            await browser.until("document.querySelector('#answer-list').textContent.includes('It arrived just now')")
            await browser.until("document.querySelector('#hero .nps').textContent.endsWith('+80')")
            await browser.until(f"{SAID}.startsWith('New incident, critical')")
            assert await browser.value("window.isTheSamePage")
            await asyncio.to_thread(put, page.brokers, incident("i9", state="resolved", version=2))
            await browser.until("document.querySelector('#incident-i9') === null")

    asyncio.run(look())


def test_the_keyboard_alone_works_on_incidents(page: Showing, tmp_path: Path) -> None:
    """J and k move, a acknowledges, r asks for a word and resolves, ? explains; a typed letter is a letter."""

    async def work() -> None:
        async with opened(page, tmp_path, RESPONDER) as browser:
            for key in ("j", "j", "k"):
                await press(browser, key)
            focused = await browser.value("document.activeElement.id")
            assert focused == "incident-i1"
            await press(browser, "a")
            await browser.until(f"{SAID} === 'acknowledge sent'")
            await press(browser, "j")
            await press(browser, "r")
            await browser.until("document.querySelector('#act').open")
            for letter in "jar":
                await press(browser, letter)
            await press(browser, "Enter")
            await browser.until(f"{SAID} === 'resolve sent'")
            await press(browser, "?")
            await browser.until("document.querySelector('#keys').open")
            await press(browser, "Escape")
            await browser.until("!document.querySelector('#keys').open")
            assert browser.complaints == []

    asyncio.run(work())
    until(lambda: len(actions(page)) >= 2, "the actions")
    assert actions(page)[:2] == [("acknowledge", "i1", None), ("resolve", "i2", "jar")]


def test_a_viewers_page_has_no_customers_and_no_buttons(page: Showing, tmp_path: Path) -> None:
    """What the browser has, hidden parts included."""

    async def look() -> None:
        async with opened(page, tmp_path, VIEWER) as browser:
            await browser.until("document.querySelector('#queue-summary').textContent.includes('2 customers wait')")
            html = await browser.text()
            for word in (CUSTOMER, COMMENT, "They look into it", "bob", "Acknowledge "):
                assert word not in html
            assert browser.complaints == []

    asyncio.run(look())


@pytest.mark.skipif(not AXE.exists(), reason="needs axe-core: make .cache/axe/.ready")
@pytest.mark.parametrize(("size", "scheme"), [(SCREENS[0], "dark"), (SCREENS[2], "light")])
def test_axe_finds_nothing(page: Showing, tmp_path: Path, size: tuple[int, int, bool], scheme: str) -> None:
    """On the form, the page, with details open, and in both dialogs; and it does find what is wrong."""

    async def look() -> None:
        async with opened(page, tmp_path, RESPONDER, size, scheme) as browser:
            await browser.value("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
            assert await violations(browser) == []
            for opens, dialog in (("document.querySelector('#keys').showModal()", "#keys"),
                                  ("document.querySelector('[data-verb=resolve]').click()", "#act")):  # fmt: skip
                await browser.value(opens)
                assert await violations(browser) == []
                await browser.value(f"document.querySelector('{dialog}').close()")
            await browser.value("document.querySelector('h1').append(document.createElement('img'))")
            assert [found[0] for found in await violations(browser)] == ["image-alt"]
            await browser.ask("Network.clearBrowserCookies")
            await browser.open(page.url)
            assert await violations(browser) == []

    asyncio.run(look())
