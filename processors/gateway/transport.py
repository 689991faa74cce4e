"""The gateway as the `openai` SDK's transport, so that whatever is built on the SDK is governed without knowing it."""

from typing import TYPE_CHECKING

import httpx2
from openai import AsyncOpenAI

from processors.errors import RequestRefused
from processors.gateway.context import current
from processors.gateway.wire import PATHS

if TYPE_CHECKING:
    from processors.gateway.gateway import Gateway

BASE_URL = "http://gateway.invalid/v1"  # never looked up: the gateway knows where each tier's calls go
_OF_THE_WIRE = {"content-encoding", "content-length", "transfer-encoding", "connection", "keep-alive"}


class GatewayTransport(httpx2.AsyncBaseTransport):
    """Hands requests to the gateway. The SDK's own headers, the key among them, go nowhere."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Raises the errors of `Gateway.send`; the SDK lets them pass."""
        path = request.url.path.removeprefix("/v1")
        if request.method != "POST":
            raise RequestRefused(f"{request.method} {path} is not served here: POST to {' or '.join(PATHS)}")
        reply = await self._gateway.send(path, await request.aread(), current())
        headers = [(name, value) for name, value in reply.headers.items() if name.lower() not in _OF_THE_WIRE]
        return httpx2.Response(reply.status, headers=headers, content=reply.body)


def sdk_client(gateway: "Gateway") -> AsyncOpenAI:
    """The SDK without retries of its own: there is one scheduler, the gateway."""
    return AsyncOpenAI(
        api_key="unused",
        base_url=BASE_URL,
        max_retries=0,
        http_client=httpx2.AsyncClient(transport=GatewayTransport(gateway), trust_env=False, timeout=None),
    )
