"""The provider's Files and Batches. What may be repeated is tried again; making a job may not, and says when unsure."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import orjson

from processors.clock import Clock
from processors.errors import ProviderUnavailable
from processors.gateway.batch_lines import ENDPOINT
from processors.gateway.client import Client, NoAnswer, NotSent, Raw
from processors.gateway.headers import retry_after_s
from processors.gateway.providers import Server
from processors.gateway.refusals import Again, Refused, judge
from topics import limits

_JOBS_A_PAGE = 100
_FILES_A_PAGE = 1_000
_MULTIPART = "sluice-form-boundary-6f0c1d"
UNDER_WAY = frozenset({"validating", "in_progress", "finalizing", "cancelling"})


class Unsure(Exception):
    """A job was asked for and no answer came: it may be there or not."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A file at the provider."""

    id: str
    name: str
    created_s: float


@dataclass(frozen=True, slots=True)
class Job:
    """A Batch job as the provider tells it."""

    id: str
    status: str
    input_file_id: str
    output_file_id: str | None
    error_file_id: str | None
    created_s: float
    ended_s: float | None
    metadata: Mapping[str, str]
    why: str  # of a failed one
    queue_full: bool  # it failed because its model had too many requests in jobs: later there is room

    @property
    def under_way(self) -> bool:
        return self.status in UNDER_WAY


class BatchApi:
    """Raises AccountError, RequestRefused or ProviderUnavailable, as calls to models do."""

    def __init__(self, client: Client, server: Server, clock: Clock, rng: random.Random) -> None:
        self._client = client
        self._server = server
        self._clock = clock
        self._rng = rng

    async def upload(self, name: str, data: bytes) -> Uploaded:
        """A job's input. One whose answer is lost stays behind until it expires, or is found to be an orphan."""
        fields = {
            "purpose": "batch",
            "expires_after[anchor]": "created_at",
            "expires_after[seconds]": str(int(limits.BATCH_FILES_SECONDS)),
        }
        form = b"".join(
            f'--{_MULTIPART}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
            for key, value in fields.items()
        )
        form += (
            f'--{_MULTIPART}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            f"Content-Type: application/jsonl\r\n\r\n"
        ).encode()
        form += data + f"\r\n--{_MULTIPART}--\r\n".encode()
        headers = dict(self._server.headers) | {"Content-Type": f"multipart/form-data; boundary={_MULTIPART}"}
        return _uploaded(await self._json("POST", "/files", form, headers))

    async def files(self, prefix: str) -> list[Uploaded]:
        """The inputs whose names begin so."""
        query = {"purpose": "batch", "limit": str(_FILES_A_PAGE)}
        found = await self._pages("/files", query, lambda _: True)
        return [file for file in map(_uploaded, found) if file.name.startswith(prefix)]

    async def delete(self, file_id: str) -> bool:
        """Whether it was there: of several that delete a file one gets True."""
        raw = await self._try("DELETE", f"/files/{file_id}", gone_is_good=True)
        return raw.status == 200

    async def lines(self, file_id: str, each_line: Callable[[bytes], None]) -> bool:
        """A file's lines, one after the other; after a failure they begin again. False where it is gone."""
        raw = await self._try("GET", f"/files/{file_id}/content", gone_is_good=True, each_line=each_line)
        return raw.status == 200

    async def create(self, file_id: str, metadata: Mapping[str, str]) -> Job:
        """Makes a job of an input. Raises Unsure as well."""
        body = orjson.dumps(
            {
                "input_file_id": file_id,
                "endpoint": ENDPOINT,
                "completion_window": "24h",
                "metadata": dict(metadata),
                "output_expires_after": {"anchor": "created_at", "seconds": int(limits.BATCH_FILES_SECONDS)},
            }
        )
        try:
            raw = await self._client.exchange("POST", self._url("/batches"), self._server.headers, body)
        except NotSent as error:
            raise ProviderUnavailable(f"{self._server.name} cannot be reached: {error}") from error
        except NoAnswer as error:
            raise Unsure(str(error)) from error
        if raw.status != 200:
            verdict = self._judge(raw)
            if not isinstance(verdict, Again):
                raise verdict.error
            if raw.status == 429:
                raise ProviderUnavailable(verdict.detail, retry_after_s=verdict.after_s or 1.0)
            raise Unsure(verdict.detail)
        try:
            return _job(orjson.loads(raw.body))
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise Unsure(f"{self._server.name} answered with something that is no job") from error

    async def jobs(self, since_s: float) -> list[Job]:
        """Everybody's jobs, the newest first, created since then."""
        query = {"limit": str(_JOBS_A_PAGE)}
        found = await self._pages("/batches", query, lambda one: one["created_at"] >= since_s)
        return [_job(one) for one in found]

    async def cancel(self, job_id: str) -> None:
        """Ends a job early. One that has ended stays as it is."""
        await self._try("POST", f"/batches/{job_id}/cancel", gone_is_good=True)

    async def _pages(self, path: str, query: Mapping[str, str], wanted: Callable[[Any], bool]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        after: dict[str, str] = {}
        for _ in range(limits.BATCH_PAGES_MAX):
            page = await self._json("GET", f"{path}?{urlencode({**query, **after})}")
            some = [one for one in page["data"] if wanted(one)]
            found += some
            if not page.get("has_more") or len(some) < len(page["data"]):
                break
            after = {"after": page["data"][-1]["id"]}
        return found

    async def _json(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        raw = await self._try(method, path, body, headers)
        try:
            return orjson.loads(raw.body)
        except orjson.JSONDecodeError as error:
            raise ProviderUnavailable(f"{self._server.name} answered {path} with something else than JSON") from error

    async def _try(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        gone_is_good: bool = False,
        each_line: Callable[[bytes], None] | None = None,
    ) -> Raw:
        """Until there is an answer, or enough was tried. `gone_is_good`: 404 and 409 are answers."""
        tries = 0
        while True:
            after_s: float | None = None
            try:
                raw = await self._client.exchange(
                    method, self._url(path), headers or self._server.headers, body, each_line=each_line
                )
                if raw.status == 200 or (gone_is_good and raw.status in (404, 409)):
                    return raw
                verdict = self._judge(raw)
                if not isinstance(verdict, Again):
                    raise verdict.error
                detail, after_s = verdict.detail, verdict.after_s
            except (NotSent, NoAnswer) as error:
                detail = f"{self._server.name}: {error}"
            tries += 1
            if tries == limits.CALL_ATTEMPTS_MAX:
                raise ProviderUnavailable(f"{detail} ({tries} tries)")
            backoff_s = self._rng.uniform(0, min(limits.BACKOFF_SECONDS_MAX, 0.5 * 2**tries))
            await self._clock.sleep(backoff_s if after_s is None else after_s)

    def _judge(self, raw: Raw) -> Again | Refused:
        server = self._server
        body = server.without_key(raw.body)
        verdict = judge(raw.status, body, server=server.name, model="the Batch API", key_remedy=server.key_remedy)
        if isinstance(verdict, Again):
            return replace(verdict, after_s=retry_after_s(raw.headers, self._clock.time()))
        return verdict

    def _url(self, path: str) -> str:
        return self._server.base_url + path


def _uploaded(data: Any) -> Uploaded:
    return Uploaded(str(data["id"]), str(data.get("filename") or ""), float(data["created_at"]))


def _job(data: Any) -> Job:
    ended = [data.get(f"{status}_at") for status in ("completed", "failed", "expired", "cancelled")]
    errors = (data.get("errors") or {}).get("data") or []
    return Job(
        id=str(data["id"]),
        status=str(data["status"]),
        input_file_id=str(data["input_file_id"]),
        output_file_id=data.get("output_file_id"),
        error_file_id=data.get("error_file_id"),
        created_s=float(data["created_at"]),
        ended_s=next((float(at) for at in ended if at is not None), None),
        metadata=data.get("metadata") or {},
        why="; ".join(str(error.get("message")) for error in errors[:3]),
        queue_full=any(error.get("code") == "token_limit_exceeded" for error in errors),
    )
