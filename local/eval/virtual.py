"""Model calls on virtual time: an event loop whose clock jumps to the next timer, and the stand-in without a socket.

An hour of a stream takes as long as its work does, latencies are those of the stand-in's formula whatever else the
machine is busy with, and caches and limits see the stream's own pace.
"""

import asyncio
import random
import selectors
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from multidict import CIMultiDict

from local.standin import chat_api, decisions_api, responses_api
from local.standin.service import Service
from local.standin.settings import StandInSettings
from processors.gateway.client import Client, Raw
from processors.gateway.gateway import Gateway
from processors.policy import Policy
from topics.messages import Spend

_ENV = {"OPENAI_BASE_URL": "http://stand-in/v1", "OPENAI_API_KEY": "sk-simulated"}
EPOCH_S = 1_795_392_000.0  # 2026-11-23: before any dated drift of the profiles, and the same at every run


class _Jumping(selectors.DefaultSelector):
    """Waits for nothing but other threads: where the loop would wait for a timer, its clock jumps there."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            return super().select(None)
        ready = super().select(0)
        if not ready and timeout > 0:
            self.now_s += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs tasks and timers only; sockets would never be waited for. A task that waits for a thread must be the only
    one that waits, or the clock runs ahead of it."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s


class LoopClock:
    """The running loop's time, as `processors.clock.Clock`."""

    def time(self) -> float:
        return EPOCH_S + asyncio.get_running_loop().time()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class InProcess(Client):
    """Posts to a stand-in in this process."""

    def __init__(self, service: Service) -> None:
        super().__init__()
        self._service = service

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Nothing is open."""

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], seconds: float | None = None) -> Raw:  # noqa: ARG002
        api = next((api for api in (responses_api, decisions_api) if url.endswith(api.PATH)), chat_api)
        reply = await self._service.serve(api, body, headers.get("authorization", ""))
        return Raw(reply.status, CIMultiDict(reply.headers), reply.body)


def service(settings: StandInSettings) -> Service:
    """A stand-in on the running loop's time."""
    return Service(settings, LoopClock())


class LocalGateway(Gateway):
    """The gateway as it is, but for the socket."""

    def __init__(self, policy: Policy, service: Service, rng: random.Random, on_spend: Callable[[Spend], None]) -> None:
        super().__init__(policy, env=_ENV, clock=LoopClock(), rng=rng, on_spend=on_spend)
        self._client = InProcess(service)
