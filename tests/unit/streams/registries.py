"""A schema registry for tests: a real HTTP server with a few schemas, that can be away; and values as it is told of."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Mapping
from typing import Any

import fastavro
import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer

from processors.clock import SystemClock
from streams.schema_registry import RegistryAccess

LINE = {"type": "record", "name": "Line", "fields": [{"name": "line", "type": "string"}]}
TURN = {
    "type": "record",
    "name": "Turn",
    "fields": [{"name": name, "type": "string"} for name in ("conversation_id", "speaker", "text")],
}


def framed(id_: int, inner: bytes) -> bytes:
    return b"\0" + id_.to_bytes(4) + inner


def avro(id_: int, schema: Any, value: Any) -> bytes:
    """As a producer's serializer writes it."""
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, schema, value)
    return framed(id_, stream.getvalue())


class Impatient(SystemClock):
    """Time in which nobody waits: it jumps to the end of every sleep."""

    def __init__(self) -> None:
        self._ahead_s = 0.0

    def time(self) -> float:
        return super().time() + self._ahead_s

    def monotonic(self) -> float:
        return super().monotonic() + self._ahead_s

    async def sleep(self, seconds: float) -> None:
        self._ahead_s += seconds
        await asyncio.sleep(0)


class FakeRegistry:
    """What it answers is in `schemas` by id and in `versions` by subject and version; `status` stands before all."""

    def __init__(self) -> None:
        self.schemas: dict[int, Mapping[str, Any]] = {}
        self.versions: dict[tuple[str, int], Mapping[str, Any]] = {}
        self.status: int | None = None
        self.asked: list[str] = []
        self.authorization: str | None = None
        self.url = ""

    @property
    def access(self) -> RegistryAccess:
        return RegistryAccess(self.url)

    def put(self, id_: int, schema: Any, **more: Any) -> None:
        self.schemas[id_] = {"schema": orjson.dumps(schema).decode(), **more}

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        self.authorization = request.headers.get("Authorization")
        if self.status is not None:
            return web.Response(status=self.status, text="as was asked for")
        match request.path.split("/")[1:]:
            case ["schemas", "ids", id_]:
                told = self.schemas.get(int(id_))
            case ["subjects", subject, "versions", version]:
                told = self.versions.get((subject, int(version)))
            case _:
                return web.Response(status=404, text="no such page")
        if told is None:
            return web.json_response({"error_code": 40403, "message": "Schema not found"}, status=404)
        return web.json_response(told)


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[FakeRegistry]:
    registry = FakeRegistry()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", registry.answer)
    async with TestServer(app) as server:
        registry.url = str(server.make_url("")).rstrip("/")
        yield registry
