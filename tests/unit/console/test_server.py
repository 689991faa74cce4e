"""The console over HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from processors.clock import SystemClock
from processors.errors import ConfigurationError
from streams.console import server
from streams.console.access import Access
from tests.fakes import ManualClock
from tests.unit.console import build
from topics import limits

TOKEN = "0123456789abcdef-right"
HOST = "127.0.0.1"


@asynccontextmanager
async def served(token: str | None = None) -> AsyncIterator[aiohttp.ClientSession]:
    """A session whose cookies are kept, and which follows no redirect."""
    view = build.view(ManualClock())
    view.decision(build.decision(severity="critical"), 1)
    view.alert("", build.alert(), 1)
    access = Access(HOST, token, SystemClock(), lambda: "session")
    async with server.serve(view, access, HOST, 0, SystemClock()) as port:
        jar = aiohttp.CookieJar(unsafe=True)  # of an address, not a name
        async with aiohttp.ClientSession(f"http://{HOST}:{port}", cookie_jar=jar) as session:
            yield session


async def test_state_alerts_and_paths_are_json_that_nobody_keeps() -> None:
    async with served() as session:
        for path in ("/state.json", "/alerts?offset=0", f"/alerts/{build.alert()['id']}", "/messages/logs/0/0"):
            async with session.get(path) as response:
                assert response.status == 200, path
                assert response.headers["Cache-Control"] == "no-store"
                assert response.content_type == "application/json"
                assert await response.json()


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/messages/logs/0/7", 404, "sluice tail decisions"),
        ("/alerts/none", 404, "not in the inbox"),
        ("/alerts?offset=-1", 400, "offset = -1"),
        ("/alerts?offset=many", 400, "write a whole number"),
    ],
)
async def test_what_is_not_there_is_told(path: str, status: int, told: str) -> None:
    async with served() as session, session.get(path) as response:
        assert response.status == status
        assert told in (await response.json())["error"]


@pytest.mark.parametrize("path", ["/../server.py", "/page/index.html", "/messages/logs/x/0", "/console.py"])
async def test_nothing_else_is_served(path: str) -> None:
    async with served() as session, session.get(path) as response:
        assert response.status == 404
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]


async def test_the_page_loads_nothing_from_elsewhere_and_is_sent_once() -> None:
    async with served() as session:
        async with session.get("/") as response:
            page, tag = await response.text(), response.headers["ETag"]
            policy = response.headers["Content-Security-Policy"]
        assert "http" not in page
        assert "unsafe" not in policy
        assert "*" not in policy
        assert all(source in ("'self'", "'none'") for part in policy.split("; ") for source in part.split()[1:])
        async with session.get("/", headers={"If-None-Match": tag}) as response:
            assert (response.status, await response.read()) == (304, b"")


async def test_a_name_that_was_pointed_here_is_refused() -> None:
    async with served() as session:
        async with session.get("/state.json", headers={"Host": "evil.example"}) as response:
            assert response.status == 403
            assert "evil.example is no name of this machine" in await response.text()
        async with session.get("/state.json", headers={"Host": "localhost:1234"}) as response:
            assert response.status == 200


async def test_with_a_token_nothing_is_shown_before_login() -> None:
    async with served(TOKEN) as session:
        async with session.get("/", allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (303, "/login")
        for path in ("/state.json", "/alerts", "/messages/logs/0/0", "/console.js"):
            async with session.get(path) as response:
                assert response.status == 401, path
                assert "logs" not in await response.text()
        async with session.get("/state.json", cookies={"sluice_console": "made-up"}) as response:
            assert response.status == 401


async def test_the_token_logs_in_and_logging_out_ends_it() -> None:
    async with served(TOKEN) as session:
        async with session.post("/login", data={"token": "wrong"}) as response:
            assert response.status == 401
            assert "That is not the token" in await response.text()
        async with session.post("/login", data={"token": TOKEN}, allow_redirects=False) as response:
            cookie = response.headers["Set-Cookie"]
            assert response.status == 303
            assert "HttpOnly" in cookie
            assert "SameSite=Strict" in cookie
            assert TOKEN not in cookie
        async with session.get("/state.json") as response:
            assert (await response.json())["token"] is True
        async with session.post("/logout", allow_redirects=False):
            pass
        async with session.get("/state.json", cookies={"sluice_console": "session"}) as response:
            assert response.status == 401


async def test_guessing_is_bounded() -> None:
    async with served(TOKEN) as session:
        for _ in range(limits.CONSOLE_LOGINS_WRONG_MAX):
            async with session.post("/login", data={"token": "wrong"}) as response:
                assert response.status == 401
        async with session.post("/login", data={"token": TOKEN}) as response:
            assert response.status == 429
            assert 0 < int(response.headers["Retry-After"]) <= 60
        async with session.post("/login", data={"token": "a" * 10_000}) as response:
            assert response.status == 413


async def test_a_port_that_is_taken_is_told_or_another_is_taken() -> None:
    view, access = build.view(ManualClock()), Access(HOST, None, SystemClock(), str)
    async with server.serve(view, access, HOST, 0, SystemClock()) as port:
        with pytest.raises(ConfigurationError, match=rf"SLUICE_CONSOLE_PORT = {port}: cannot listen"):
            async with server.serve(view, access, HOST, port, SystemClock()):
                pass
        async with server.serve(view, access, HOST, port, SystemClock(), or_another=True) as other:
            assert other not in (0, port)
