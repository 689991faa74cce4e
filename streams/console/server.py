"""The console's pages over HTTP: one page, its state once a second, an alert, a message's path, a login."""

import hashlib
import html
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Final

import orjson
from aiohttp import web

from processors.clock import Clock
from processors.errors import ConfigurationError
from streams.console.access import Access, TooManyLogins
from streams.console.shown import Json
from streams.console.view import View
from topics import limits

log = logging.getLogger("sluice.console")

_COOKIE: Final = "sluice_console"
_OPEN: Final = ("/login", "/console.css", "/icon.svg")  # to those who have not logged in
_FILES: Final = {
    "/console.css": ("console.css", "text/css"),
    "/console.js": ("console.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serve(
    view: View, access: Access, host: str, port: int, clock: Clock, *, or_another: bool = False
) -> AsyncIterator[int]:
    """Serves the console while the context is open; gives the port. `or_another`: a free one, where it is taken."""
    runner = web.AppRunner(_app(view, access, clock), access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            if not or_another:
                raise ConfigurationError(
                    f"SLUICE_CONSOLE_PORT = {port}: cannot listen on {host}:{port} ({error.strerror}). "
                    "Set another port, or 0 for a free one."
                ) from None
            await web.TCPSite(runner, host, 0).start()
        bound: int = runner.addresses[0][1]
        yield bound
    finally:
        await runner.cleanup()


def _app(view: View, access: Access, clock: Clock) -> web.Application:
    pages = _Pages(view, access, clock)

    @web.middleware
    async def guarded(request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            _admit(request, access)
            response = await handler(request)
        except web.HTTPException as error:
            _harden(error)
            raise
        _harden(response)
        return response

    app = web.Application(middlewares=[guarded], client_max_size=limits.CONSOLE_FORM_BYTES_MAX)
    app.add_routes(
        [
            web.get("/", pages.page),
            web.get("/state.json", pages.state),
            web.get("/alerts", pages.alerts),
            web.get("/alerts/{id}", pages.alert),
            web.get(r"/messages/{topic}/{partition:\d+}/{offset:\d+}", pages.message),
            web.get("/login", pages.login_page),
            web.post("/login", pages.login),
            web.post("/logout", pages.logout),
            *(web.get(path, pages.file) for path in _FILES),
        ]
    )
    return app


def _admit(request: web.Request, access: Access) -> None:
    """Raises the answer to whoever may not look."""
    if not access.admits_host(request.host):
        why = f"{request.host} is no name of this machine. Open http://localhost instead."
        raise web.HTTPForbidden(text=why)
    if request.path not in _OPEN and not access.knows(request.cookies.get(_COOKIE)):
        if request.path == "/":
            raise web.HTTPSeeOther("/login")
        raise web.HTTPUnauthorized(text="Log in first, at /login.")


def _harden(response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")


class _Pages:
    def __init__(self, view: View, access: Access, clock: Clock) -> None:
        self._view = view
        self._access = access
        self._clock = clock
        folder = files("streams.console") / "page"
        self._page = (folder / "index.html").read_bytes()
        self._login = (folder / "login.html").read_text(encoding="utf-8")
        self._files = {path: ((folder / name).read_bytes(), kind) for path, (name, kind) in _FILES.items()}
        self._state = b""
        self._state_s = -limits.CONSOLE_STATE_SECONDS

    async def page(self, request: web.Request) -> web.StreamResponse:
        return _cached(request, self._page, "text/html")

    async def file(self, request: web.Request) -> web.StreamResponse:
        content, kind = self._files[request.path]
        return _cached(request, content, kind)

    async def state(self, _: web.Request) -> web.StreamResponse:
        """Made once for all who look at it."""
        if self._clock.monotonic() - self._state_s >= limits.CONSOLE_STATE_SECONDS:
            self._state_s = self._clock.monotonic()
            self._state = orjson.dumps(self._view.state() | {"token": self._access.needs_token})
        return _json(self._state)

    async def alerts(self, request: web.Request) -> web.StreamResponse:
        given = request.query.get("offset", "0")
        if not given.isdecimal() or len(given) > 9:
            return _refused(400, f"offset = {given[:20]}: write a whole number from 0 on.")
        return _json(orjson.dumps(self._view.alerts(int(given))))

    async def alert(self, request: web.Request) -> web.StreamResponse:
        return _found(self._view.one_alert(request.match_info["id"]), "This alert is not in the inbox any more.")

    async def message(self, request: web.Request) -> web.StreamResponse:
        id_ = "/".join(request.match_info[part] for part in ("topic", "partition", "offset"))
        return _found(
            self._view.message(id_),
            "The console keeps the paths of the latest messages, and this one is not among them. "
            "Kafka has it for as long as its topics keep it: `sluice tail decisions --from-beginning --json`.",
        )

    async def login_page(self, _: web.Request) -> web.StreamResponse:
        if not self._access.needs_token:
            raise web.HTTPSeeOther("/")
        return self._login_page("", 200)

    async def login(self, request: web.Request) -> web.StreamResponse:
        given = (await request.post()).get("token", "")
        try:
            session = self._access.login(given if isinstance(given, str) else "", request.remote or "")
        except TooManyLogins as error:
            response = self._login_page(f"{error}.".capitalize(), 429)
            response.headers["Retry-After"] = str(round(error.after_s))
            return response
        if session is None:
            return self._login_page("That is not the token. It is what SLUICE_CONSOLE_TOKEN was set to.", 401)
        response = web.Response(status=303, headers={"Location": "/"})
        response.set_cookie(
            _COOKIE,
            session,
            max_age=int(limits.CONSOLE_SESSION_SECONDS),
            httponly=True,
            samesite="Strict",
            secure=request.secure,
        )
        return response

    async def logout(self, request: web.Request) -> web.StreamResponse:
        self._access.logout(request.cookies.get(_COOKIE, ""))
        response = web.Response(status=303, headers={"Location": "/login"})
        response.del_cookie(_COOKIE)
        return response

    def _login_page(self, message: str, status: int) -> web.Response:
        text = self._login.replace("{{message}}", html.escape(message))
        return web.Response(text=text, status=status, content_type="text/html")


def _cached(request: web.Request, content: bytes, kind: str) -> web.StreamResponse:
    """A file: asked for each time, sent when it has changed."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers=headers)
    return web.Response(body=content, content_type=kind, charset="utf-8", headers=headers)


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")


def _found(value: Json | None, otherwise: str) -> web.Response:
    return _refused(404, otherwise) if value is None else _json(orjson.dumps(value))


def _refused(status: int, why: str) -> web.Response:
    return web.Response(body=orjson.dumps({"error": why}), status=status, content_type="application/json")
