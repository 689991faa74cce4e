"""The console as a person has it: in a browser, by keyboard, on a phone."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from tests import browser
from tests.browser import Page
from tests.kafka.bus import Bus
from tests.kafka.consoles import console, story, write
from tests.unit.console import build
from topics import catalog

pytestmark = pytest.mark.skipif(
    browser.CHROMIUM is None, reason="there is no Chromium here (Debian, Ubuntu: apt install chromium)"
)
TOKEN = "0123456789abcdef-right"
FOCUSED = "document.activeElement"


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """Whatever a test does with it, it complains of nothing and asks nobody else."""
    async with browser.browser() as page:
        yield page
        assert page.errors == []
        assert {urlsplit(url).hostname for url in page.requests if url != "about:blank"} <= {"localhost"}


async def texts(page: Page, selector: str) -> str:
    found: str = await page.value(f"[...document.querySelectorAll({selector!r})].map((n) => n.innerText).join('\\n')")
    return found


async def fits(page: Page) -> bool:
    """Whether nothing has to be scrolled sideways."""
    wide = "Math.max(document.documentElement.scrollWidth, document.querySelector('#detail').scrollWidth)"
    return bool(await page.value(f"{wide} <= window.innerWidth"))


async def test_it_shows_live_numbers(bus: Bus, page: Page) -> None:
    await story(bus)
    async with console(bus) as url:
        await page.open(url)
        await page.until("document.querySelector('#decided-count').innerText.startsWith('19 decisions')")
        await page.until("document.querySelector('#a-firing .big').innerText === '1'")
        await page.until("document.querySelector('#simulated').innerText.includes('50 %')")
        assert "undecodable" in await texts(page, "#letters")
        assert "74 %" in await texts(page, "#means")  # nano: 14 of 19
        said = await texts(page, "#say")
        await write(bus, catalog.DECISIONS, *(build.decision(n) for n in range(100, 111)))
        await page.until("document.querySelector('#decided-count').innerText.startsWith('30 decisions')")
        assert build.SECRET not in await texts(page, "body")
        assert await texts(page, "#say") == said  # a screen reader is not told of every number


async def test_by_keyboard_from_the_inbox_to_a_messages_path_and_back(bus: Bus, page: Page) -> None:
    await story(bus)
    async with console(bus, content=True) as url:
        await page.open(url)
        await page.until("document.querySelector('#alerts a')")
        await page.press("Tab")
        assert await page.value(f"{FOCUSED}.className") == "skip"
        await page.press("Enter")
        await page.until(f"{FOCUSED}.id === 'inbox'")
        await page.press("Tab")
        assert await page.value(f"{FOCUSED}.getAttribute('href').startsWith('#/alerts/')")
        await page.press("Enter")
        await page.until(f"{FOCUSED}.id === 'detail-title'")
        for _ in range(6):
            await page.press("Tab")
            if await page.value(f"({FOCUSED}.getAttribute('href') || '').startsWith('#/messages/')"):
                break
        await page.press("Enter")
        await page.until("document.querySelector('.path')?.innerText.includes('Flagship resolved: outage')")
        path = await texts(page, ".path h3")
        order = ["Input", "Decided: outage", "Climbed to mini", "Climbed to flagship", "Flagship resolved", "Alert"]
        assert [path.index(step) for step in order] == sorted(path.index(step) for step in order)
        assert build.SECRET in await texts(page, "#detail")
        await page.press("Escape")
        await page.until("!document.querySelector('#detail').open")
        assert await page.value(f"{FOCUSED}.getAttribute('href').startsWith('#/alerts/')")


async def test_an_address_opens_what_it_names(bus: Bus, page: Page) -> None:
    await story(bus)
    async with console(bus) as url:
        await page.open(url)
        await page.until("document.querySelector('#climbed a')")
        await page.open(f"{url}/#/messages/logs/0/18")
        await page.until("document.querySelector('#detail').open")
        assert "SLUICE_CONSOLE_CONTENT=1" in await texts(page, "#detail")


@pytest.mark.parametrize("dark", [False, True])
async def test_on_a_phone_nothing_has_to_be_scrolled_sideways(bus: Bus, page: Page, dark: bool) -> None:
    await story(bus)
    async with console(bus, content=True) as url:
        await page.open(url, 390, 844, dark=dark)
        await page.until("document.querySelector('#alerts a') && document.querySelector('#climbed a')")
        assert await fits(page)
        await page.value("document.querySelector('#climbed a').click()")
        await page.until("document.querySelector('#detail').open")
        assert await fits(page)
        paper = await page.value("getComputedStyle(document.body).backgroundColor")
        assert paper == ("rgb(20, 24, 23)" if dark else "rgb(251, 250, 247)")


async def test_the_token_logs_in_and_a_wrong_one_is_refused(bus: Bus, page: Page) -> None:
    await story(bus)
    async with console(bus, token=TOKEN) as url:
        await page.open(url)
        await page.until("location.pathname === '/login' && document.activeElement.id === 'token'")
        await page.write("not the token at all")
        await page.press("Enter")
        await page.until("document.querySelector('#message').innerText.includes('not the token')")
        page.errors.clear()  # the browser notes the 401
        await page.until("document.activeElement.id === 'token'")
        await page.write(TOKEN)
        await page.press("Enter")
        await page.until("document.querySelector('#a-firing .big')?.innerText === '1'")
        assert await page.value("document.cookie") == ""
        await page.value("document.querySelector('#logout button').click()")
        await page.until("location.pathname === '/login'")
