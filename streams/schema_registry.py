"""A schema registry's REST API, as Confluent's, Apicurio's and Karapace's speak it: the schemas of ids.

Ids never change their meaning, so what was once told need not be asked again; streams/framed.py keeps it.
"""

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp
import orjson

from processors.clock import Clock
from processors.errors import AccountError, KeyRefused, ProviderUnavailable, SluiceError
from topics import limits

_UNKNOWN = (40401, 40402, 40403)  # error codes: no such subject, version, schema
_FIRST_DELAY_S = 0.2
_TYPE = "application/vnd.schemaregistry.v1+json"


@dataclass(frozen=True, slots=True)
class RegistryAccess:
    """Where the registry is and who we are to it."""

    url: str  # without a slash at its end
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ssl_context: ssl.SSLContext | None = None  # None: the system's certificates


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema and those that it is made of, each after those that it is made of itself."""

    kind: str  # AVRO, JSON, PROTOBUF
    text: str
    references: tuple[str, ...] = ()


class SchemaUnknown(SluiceError):
    """The registry answers, and has no such schema."""


class SchemaUnusable(SluiceError):
    """There is such a schema, and values of it cannot be read."""


class SchemaRefused(SluiceError):
    """The registry does not take a schema."""


class SchemaRegistry:
    """A client. Proxies and credentials of the environment are not used.

    Every method raises ProviderUnavailable where the registry is away, KeyRefused where it wants another user, and
    another AccountError where what answers is no registry.
    """

    def __init__(self, access: RegistryAccess, clock: Clock) -> None:
        self.url = access.url
        self._access = access
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        access = self._access
        headers = {"Accept": f"{_TYPE}, application/json"}
        if access.username is not None:
            headers["Authorization"] = aiohttp.encode_basic_auth(access.username, access.password or "")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=access.ssl_context or True),
            timeout=aiohttp.ClientTimeout(total=limits.REGISTRY_SECONDS_MAX),
            headers=headers,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def schema(self, id_: int) -> Schema:
        """Raises SchemaUnknown where there is none of this id, SchemaUnusable where it is made of too many."""
        told = await self._known(f"/schemas/ids/{id_}", f"schema {id_}")
        found: dict[tuple[str, int], str] = {}
        await self._add_references(told.get("references") or (), found, depth=0)
        return Schema(told.get("schemaType") or "AVRO", str(told["schema"]), tuple(found.values()))

    async def register(self, subject: str, schema: str) -> int:
        """The id of a JSON Schema as the latest of its subject; the same again where it is that already.

        Raises SchemaRefused.
        """
        body = orjson.dumps({"schemaType": "JSON", "schema": schema})
        status, told = await self._ask("POST", f"/subjects/{quote(subject, safe='')}/versions", body)
        if status == HTTPStatus.OK and isinstance(told.get("id"), int):
            return int(told["id"])
        said = told.get("message") or f"HTTP {status}"
        if status == HTTPStatus.CONFLICT:
            raise SchemaRefused(
                f"subject '{subject}': the registry finds this schema incompatible with the one before it: {said}. "
                "Fields are only ever added to it, which registries call FORWARD: set that as the subject's "
                "compatibility, or remove what somebody else registered there"
            )
        raise SchemaRefused(f"subject '{subject}': the registry does not take the schema: {said}")

    async def _add_references(
        self, references: Sequence[Mapping[str, Any]], found: dict[tuple[str, int], str], depth: int
    ) -> None:
        """Those of the references first."""
        for reference in references:
            place = str(reference["subject"]), int(reference["version"])
            if place in found:
                continue
            if len(found) >= limits.REGISTRY_REFERENCES_MAX or depth >= limits.REGISTRY_REFERENCES_MAX:
                raise SchemaUnusable(
                    f"it is made of more than {limits.REGISTRY_REFERENCES_MAX} others (REGISTRY_REFERENCES_MAX)"
                )
            subject, version = place
            told = await self._known(
                f"/subjects/{quote(subject, safe='')}/versions/{version}", f"version {version} of subject '{subject}'"
            )
            await self._add_references(told.get("references") or (), found, depth + 1)
            found[place] = str(told["schema"])

    async def _known(self, path: str, what: str) -> dict[str, Any]:
        status, told = await self._ask("GET", path)
        if status == HTTPStatus.NOT_FOUND and told.get("error_code") in _UNKNOWN:
            raise SchemaUnknown(f"{what} is not in the schema registry {self.url}")
        if status != HTTPStatus.OK or "schema" not in told:
            raise AccountError(
                f"{self.url} answers HTTP {status} where a schema registry has {what}: look at "
                "kafka.schema_registry.url, which names the registry's API with its path"
            )
        return told

    async def _ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
        """Status and JSON object; an empty one where it is none."""
        for attempt in range(limits.REGISTRY_ATTEMPTS_MAX):
            if attempt:
                await self._clock.sleep(_FIRST_DELAY_S * 2 ** (attempt - 1))
            try:
                status, answer = await self._once(method, path, body)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                failure = str(error) or type(error).__name__
                continue
            if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                raise KeyRefused(
                    f"the schema registry {self.url} lets us not in (HTTP {status}): look at username and password "
                    "in kafka.schema_registry"
                )
            if status < HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.TOO_MANY_REQUESTS:
                return status, _object(answer)
            failure = f"HTTP {status} {_object(answer).get('message') or ''}".rstrip()
        raise ProviderUnavailable(f"the schema registry {self.url} is away: {failure}")

    async def _once(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        if self._session is None:
            raise RuntimeError("the client is not open: use it inside `async with`")
        headers = None if body is None else {"Content-Type": _TYPE}
        url = self._access.url + path
        async with self._session.request(method, url, data=body, headers=headers, allow_redirects=False) as response:
            answer = bytearray()
            async for chunk in response.content.iter_any():
                answer += chunk
                if len(answer) > limits.REGISTRY_REPLY_BYTES_MAX:
                    raise aiohttp.ClientPayloadError("the answer is too long for a schema")
            return response.status, bytes(answer)


def _object(answer: bytes) -> dict[str, Any]:
    try:
        told = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return {}
    return told if isinstance(told, dict) else {}
