"""The stand-in as an HTTP server on the loopback interface."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Self

import orjson
from aiohttp import BodyPartReader, web

from local.standin import batches_api, chat_api, decisions_api, files_api, responses_api
from local.standin.faults import Fault
from local.standin.problems import Problem, invalid
from local.standin.service import Api, ConnectionCut, Reply, Service, json_object
from local.standin.settings import StandInSettings
from processors.clock import Clock, SystemClock

HOST = "127.0.0.1"
BODY_BYTES_MAX = 64 * 1024 * 1024
_MARK = {"x-sluice-simulated": "true", "openai-version": "2020-10-01"}
_ABOUT = (
    "Sluice's stand-in provider. Every answer from here is simulated: no language model is behind it.\n"
    "It speaks POST /v1/responses, POST /v1/chat/completions, POST /v1/decisions, GET /v1/models, and /v1/files and "
    "/v1/batches of OpenAI's API.\n"
    "GET /_standin/stats says what it served; POST and DELETE /_standin/faults make it fail.\n"
)


class StandIn:
    """A running stand-in: `async with StandIn(settings) as standin: standin.base_url`."""

    def __init__(self, settings: StandInSettings | None = None, clock: Clock | None = None) -> None:
        """Loads gold and errors. Raises ValueError where a file is not what it should be."""
        self._service = Service(settings or StandInSettings(), clock or SystemClock())
        self._runner = web.AppRunner(
            self._app(), access_log=None, handler_cancellation=True, shutdown_timeout=1.0, handle_signals=False
        )
        self._port = 0

    @property
    def base_url(self) -> str:
        """What OPENAI_BASE_URL is set to."""
        return f"http://{HOST}:{self._port}/v1"

    @property
    def profile_hash(self) -> str:
        """Of the parameters of its errors; reports name it."""
        return self._service.profile.hash

    async def __aenter__(self) -> Self:
        """Listens. Raises OSError where the port is taken."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self._service.settings.port, backlog=1024)
        try:
            await site.start()
        except OSError:
            await self._runner.cleanup()
            raise
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._service.batches.close()
        await self._runner.cleanup()

    def fault(self, fault: Fault) -> None:
        """From now on, until its count is used up or `clear_faults`."""
        self._service.faults.add(fault)

    def clear_faults(self) -> None:
        self._service.faults.clear()

    def stats(self) -> dict[str, Any]:
        """Calls, tokens and USD by model, match rate, highest concurrency, faults; what GET /_standin/stats gives."""
        return self._service.report()

    def paid(self) -> dict[str, int]:
        """How often each line of Batch jobs was answered, by custom_id; what GET /_standin/paid gives."""
        return dict(self._service.statistics.paid)

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        file, batch = files_api.PATH + "/{id}", batches_api.PATH + "/{id}"
        app.add_routes(
            [
                web.post(responses_api.PATH, self._model_path(responses_api)),
                web.post(chat_api.PATH, self._model_path(chat_api)),
                web.post(decisions_api.PATH, self._model_path(decisions_api)),
                web.get("/v1/models", self._models),
                web.get("/v1/models/{name}", self._models),
                web.post(files_api.PATH, self._upload),
                web.get(files_api.PATH, self._objects("files", lambda it, request: it.files.page(request.query))),
                web.get(file, self._objects("files", lambda it, request: it.files.get(_id(request)).rendered())),
                web.get(file + "/content", self._objects("files", lambda it, request: it.files.get(_id(request)).data)),
                web.delete(file, self._objects("files", lambda it, request: it.files.delete(_id(request)))),
                web.post(batches_api.PATH, self._create_batch),
                web.get(batches_api.PATH, self._objects("batches", lambda it, request: it.batches.page(request.query))),
                web.get(batch, self._objects("batches", lambda it, request: it.batches.get(_id(request)))),
                web.post(
                    batch + "/cancel", self._objects("batches", lambda it, request: it.batches.cancel(_id(request)))
                ),
                web.get("/", self._about),
                web.get("/_standin/stats", self._stats),
                web.get("/_standin/paid", self._paid),
                web.post("/_standin/faults", self._add_fault),
                web.delete("/_standin/faults", self._remove_faults),
            ]
        )
        return app

    def _model_path(self, api: Api) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        return partial(self._call, api)

    async def _call(self, api: Api, request: web.Request) -> web.StreamResponse:
        try:
            reply = await self._service.serve(api, await request.read(), _authorization(request))
        except ConnectionCut:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        return _response(reply)

    def _objects(
        self, kind: str, act: Callable[[Service, web.Request], Any]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """A path of `files` or `batches` whose request has no body."""

        async def answer(request: web.Request) -> web.StreamResponse:
            return self._object(kind, request, lambda: act(self._service, request))

        return answer

    async def _create_batch(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        return self._object("batches", request, lambda: self._service.batches.create(json_object(body)))

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        form: dict[str, str] = {}
        name, data = None, bytearray()
        problem: Problem | None = None
        if not request.content_type.startswith("multipart/"):
            problem = invalid("Expected a body of multipart/form-data.")
        else:
            async for part in await request.multipart():
                if not isinstance(part, BodyPartReader):
                    continue
                if part.name != "file":
                    form[part.name or ""] = await part.text()
                    continue
                name = part.filename
                while chunk := await part.read_chunk(1024 * 1024):
                    if len(data) <= files_api.FILE_BYTES_MAX:  # the rest is read and forgotten
                        data += chunk

        def act() -> dict[str, Any]:
            if problem is not None:
                raise problem
            return self._service.files.upload(form, name, bytes(data)).rendered()

        return self._object("files", request, act)

    def _object(self, kind: str, request: web.Request, act: Callable[[], Any]) -> web.StreamResponse:
        try:
            return _response(self._service.object_call(kind, _authorization(request), act))
        except ConnectionCut:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)

    async def _models(self, request: web.Request) -> web.StreamResponse:
        return _response(self._service.models(_authorization(request), request.match_info.get("name")))

    async def _about(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(text=_ABOUT, headers=_MARK)

    async def _stats(self, _request: web.Request) -> web.StreamResponse:
        return _json(self.stats())

    async def _paid(self, _request: web.Request) -> web.StreamResponse:
        return _json(self.paid())

    async def _add_fault(self, request: web.Request) -> web.StreamResponse:
        try:
            self.fault(Fault(**orjson.loads(await request.read())))
        except (TypeError, ValueError) as error:
            return _json({"error": {"message": str(error), "type": "invalid_request_error"}}, status=400)
        return _json({"faults": "added"})

    async def _remove_faults(self, _request: web.Request) -> web.StreamResponse:
        self.clear_faults()
        return _json({"faults": "cleared"})


def _id(request: web.Request) -> str:
    return request.match_info["id"]


def _authorization(request: web.Request) -> str:
    return request.headers.get("authorization", "")


def _json(value: Any, status: int = 200) -> web.Response:
    return _response(Reply(status, orjson.dumps(value)))


def _response(reply: Reply) -> web.Response:
    return web.Response(
        body=reply.body, status=reply.status, headers=_MARK | reply.headers, content_type="application/json"
    )
