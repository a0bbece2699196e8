"""A real headless Chromium for tests, driven by the DevTools protocol: pages looked at, touched and typed into.

Tests that need one are skipped where there is none, and the last lines of the run say so (see `tests/conftest.py`).
"""

import asyncio
import base64
import contextlib
import itertools
import json
import re
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from streams.local import process
from tests.support.commands import BOUND_S

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--hide-scrollbars", "--remote-debugging-port=0",
)  # fmt: skip
PHONE = (390, 844, True)
DESKTOP = (1280, 800, False)


def binary() -> str | None:
    """Where Chromium is, None where there is none."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Tab:
    """One page.  Everything is real input: what is clicked is clicked with the mouse, at its place."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []
        """What the browser's console said: errors, and violations of the page's policy."""
        self._loaded = 0

    async def ask(self, method: str, **params: Any) -> Any:
        """One command of the protocol and its result."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        return await asyncio.wait_for(self._result(number), BOUND_S)

    async def start(self, width: int, height: int, mobile: bool, scripts: bool) -> None:
        """Be a phone or a desktop, with or without JavaScript."""
        for domain in ("Page", "Log", "Runtime", "DOM"):
            await self.ask(f"{domain}.enable")
        await self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile
        )
        await self.ask("Emulation.setScriptExecutionDisabled", value=not scripts)

    async def open(self, url: str) -> None:
        """Go there and wait until it is loaded."""
        before = self._loaded
        failed = (await self.ask("Page.navigate", url=url)).get("errorText")
        assert not failed, f"{failed}: {url}"
        await self._until_loaded(before)

    async def click(self, selector: str, leads_on: bool = False) -> None:
        """Click in the middle of an element; `leads_on` waits for the page that follows."""
        before = self._loaded
        node = await self._node(selector)
        await self.ask("DOM.scrollIntoViewIfNeeded", nodeId=node)
        corners = (await self.ask("DOM.getBoxModel", nodeId=node))["model"]["content"]
        at = {"x": sum(corners[0::2]) / 4, "y": sum(corners[1::2]) / 4}
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            await self.ask("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **at)
        if leads_on:
            await self._until_loaded(before)

    async def back(self) -> None:
        """Press the browser's back button and wait until the page before is there."""
        history = await self.ask("Page.getNavigationHistory")
        before = history["entries"][history["currentIndex"] - 1]
        await self.ask("Page.navigateToHistoryEntry", entryId=before["id"])
        await self.until(f"location.href === {json.dumps(before['url'])} && document.readyState === 'complete'")

    async def reload(self) -> None:
        """Press the browser's reload button and wait until the page is there again."""
        before = self._loaded
        await self.ask("Page.reload")
        await self._until_loaded(before)

    async def until(self, expression: str) -> None:
        """Wait until an expression of JavaScript is true."""
        deadline = time.monotonic() + BOUND_S
        while not await self.value(expression):
            assert time.monotonic() < deadline, f"never true: {expression}"
            await asyncio.sleep(0.05)

    async def type(self, text: str) -> None:
        """Type into what has the focus."""
        await self.ask("Input.insertText", text=text)

    async def text(self) -> str:
        """The page's HTML as it stands."""
        html: str = (await self.ask("DOM.getOuterHTML", nodeId=await self._node("html")))["outerHTML"]
        return html

    async def value(self, expression: str) -> Any:
        """What an expression of JavaScript gives."""
        got = await self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        return got["result"].get("value")

    async def screenshot(self, file: Path) -> None:
        """What one sees."""
        file.write_bytes(base64.b64decode((await self.ask("Page.captureScreenshot"))["data"]))

    async def _node(self, selector: str) -> int:
        root = (await self.ask("DOM.getDocument"))["root"]["nodeId"]
        node: int = (await self.ask("DOM.querySelector", nodeId=root, selector=selector))["nodeId"]
        assert node, f"nothing on the page is {selector}"
        return node

    async def _result(self, number: int) -> Any:
        while True:
            said = json.loads((await self._socket.receive()).data)
            self._note(said)
            if said.get("id") == number:
                assert "error" not in said, said["error"]
                return said["result"]

    async def _until_loaded(self, before: int) -> None:
        async def wait() -> None:
            while self._loaded == before:
                self._note(json.loads((await self._socket.receive()).data))

        await asyncio.wait_for(wait(), BOUND_S)

    def _note(self, said: dict[str, Any]) -> None:
        if said.get("method") == "Page.loadEventFired":
            self._loaded += 1
        elif said.get("method") == "Log.entryAdded":
            self.complaints.append(said["params"]["entry"]["text"])
        elif said.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(said["params"]["exceptionDetails"]))


@asynccontextmanager
async def tab(folder: Path, size: tuple[int, int, bool] = DESKTOP, scripts: bool = True) -> AsyncIterator[Tab]:
    """A fresh browser with one tab; it ends with its tab."""
    chromium = binary()
    assert chromium, "no Chromium"
    log = folder / "chromium.log"
    with log.open("wb") as output:
        running = process.start([chromium, *FLAGS, f"--user-data-dir={folder / 'chromium'}", "about:blank"], output)
    try:
        port = await _port(log)
        async with aiohttp.ClientSession() as client:
            async with client.get(f"http://127.0.0.1:{port}/json/list") as answer:
                (url,) = [each["webSocketDebuggerUrl"] for each in await answer.json() if each["type"] == "page"]
            async with client.ws_connect(url, max_msg_size=0) as socket:
                page = Tab(socket)
                await page.start(*size, scripts)
                yield page
    finally:
        process.kill(running)
        with contextlib.suppress(OSError):
            shutil.rmtree(folder / "chromium")


async def _port(log: Path) -> int:
    deadline = time.monotonic() + BOUND_S
    while not (found := re.search(r"DevTools listening on ws://[^:]+:(\d+)/", log.read_text(errors="replace"))):
        assert time.monotonic() < deadline, f"Chromium does not start: {log.read_text(errors='replace')[-500:]}"
        await asyncio.sleep(0.05)
    return int(found[1])
