"""A headless Chromium for tests, spoken to in its own protocol: no library between, and none to install."""

import asyncio
import base64
import contextlib
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
SECONDS_MAX = 30.0
_KEYS = {"Tab": 9, "Enter": 13, "Escape": 27}


@dataclass
class Page:
    """One tab. `requests` and `errors` gather what the page asked for and complained of."""

    socket: aiohttp.ClientWebSocketResponse
    session_id: str = ""
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _answers: dict[int, asyncio.Future[Any]] = field(default_factory=dict)

    async def call(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        told: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self.session_id:
            told["sessionId"] = self.session_id
        await self.socket.send_json(told)
        return await asyncio.wait_for(answer, SECONDS_MAX)

    async def listen(self) -> None:
        async for message in self.socket:
            told = message.json()
            if (answer := self._answers.pop(told.get("id"), None)) is not None:
                if "error" in told:
                    answer.set_exception(AssertionError(told["error"]))
                else:
                    answer.set_result(told.get("result"))
                continue
            match told.get("method"), told.get("params", {}):
                case "Network.requestWillBeSent", params:
                    self.requests.append(params["request"]["url"])
                case "Runtime.exceptionThrown", params:
                    self.errors.append(str(params["exceptionDetails"]))
                case "Runtime.consoleAPICalled", {"type": "error" | "warning"} as params:
                    self.errors.append(str(params["args"]))
                case "Log.entryAdded", {"entry": {"level": "error"} as entry}:
                    self.errors.append(f"{entry['text']} {entry.get('url', '')}")

    async def open(self, url: str, width: int = 1280, height: int = 900, *, dark: bool = False) -> None:
        """At a size, in a colour scheme; returns when the page is loaded."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.call("Emulation.setEmulatedMedia", features=scheme)
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        await self.call("Page.navigate", url=url)
        await self.until("document.readyState === 'complete'")

    async def value(self, expression: str) -> Any:
        """What an expression comes to in the page, as JSON."""
        ran = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in ran, ran["exceptionDetails"]
        return ran["result"].get("value")

    async def until(self, expression: str, seconds: float = SECONDS_MAX) -> None:
        """Until an expression is true in the page."""
        try:
            async with asyncio.timeout(seconds):
                while not await self._quietly(expression):  # noqa: ASYNC110 (a page tells nobody)
                    await asyncio.sleep(0.05)
        except TimeoutError:
            shown = await self.value("document.body ? document.body.innerText : ''")
            raise AssertionError(f"never true: {expression}\nthe page says:\n{shown}") from None

    async def _quietly(self, expression: str) -> bool:
        """False while a navigation is on its way."""
        with contextlib.suppress(AssertionError):
            return bool(await self.value(f"Boolean({expression})"))
        return False

    async def press(self, key: str, *, shift: bool = False) -> None:
        told = {"key": key, "code": key, "windowsVirtualKeyCode": _KEYS[key], "modifiers": 8 if shift else 0}
        text = {"text": "\r"} if key == "Enter" else {}
        await self.call("Input.dispatchKeyEvent", type="keyDown", **told, **text)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **told)

    async def write(self, text: str) -> None:
        await self.call("Input.insertText", text=text)

    async def screenshot(self, path: Path, *, whole: bool = False) -> None:
        shot = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        await asyncio.to_thread(path.write_bytes, base64.b64decode(shot["data"]))


@contextlib.asynccontextmanager
async def browser() -> AsyncIterator[Page]:
    """A fresh browser with one empty tab; gone at the end."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(prefix="sluice-chromium-", ignore_cleanup_errors=True) as folder:
        process = await asyncio.create_subprocess_exec(
            CHROMIUM,
            *("--headless=new", "--remote-debugging-port=0", f"--user-data-dir={folder}", "--no-first-run"),
            *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions"),
            *("--disable-background-networking", "--hide-scrollbars", "about:blank"),
            stderr=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            address = await _address(Path(folder) / "DevToolsActivePort", process)
            async with aiohttp.ClientSession() as session, session.ws_connect(address, max_msg_size=64 << 20) as socket:
                page = Page(socket)
                listening = asyncio.create_task(page.listen())
                try:
                    target = await page.call("Target.createTarget", url="about:blank")
                    attached = await page.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
                    page.session_id = attached["sessionId"]
                    for domain in ("Page", "Runtime", "Network", "Log"):
                        await page.call(f"{domain}.enable")
                    yield page
                finally:
                    listening.cancel()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


async def _address(told: Path, process: asyncio.subprocess.Process) -> str:
    """Chromium writes where it listens into a file of its folder."""

    def lines() -> list[str]:
        return told.read_text().split() if told.exists() else []

    async with asyncio.timeout(SECONDS_MAX):
        while len(found := await asyncio.to_thread(lines)) < 2:  # port and path
            assert process.returncode is None, f"chromium ended with {process.returncode}"
            await asyncio.sleep(0.05)
    return f"ws://127.0.0.1:{found[0]}{found[1]}"
