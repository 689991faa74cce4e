"""Small hand-written stand-ins for what is passed in: time and models."""

import asyncio
import heapq
import re
from collections.abc import Callable
from typing import Any

import orjson

from processors.asking import Answer, Ask
from topics.messages import Tokens


class ManualClock:
    """Time that moves only by `advance`."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._now = now
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def time(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self._count += 1
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, self._count, wake))
        await wake

    async def advance(self, seconds: float) -> None:
        """Moves time on, waking sleepers in their order; whatever can run then has run when this returns."""
        await settle()
        end = self._now + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            self._now, _, wake = heapq.heappop(self._sleepers)
            if not wake.done():
                wake.set_result(None)
            await settle()
        self._now = end
        await settle()


async def settle() -> None:
    """Lets every task run until it waits for something that is not there yet."""
    for _ in range(50):
        await asyncio.sleep(0)


Reply = dict[str, Any]
"""One item of nano's answer."""


class FakeNano:
    """Answers triage's calls: every message by `judge`, controls rightly, then spoilt by `spoil`.

    `judge` takes the message's text and gives what differs from a plain item; it may raise what a model raises.
    """

    def __init__(
        self,
        judge: Callable[[str], Reply] = lambda _text: {},
        *,
        spoil: Callable[[list[Reply], Ask], Any] = lambda items, _ask: items,
    ) -> None:
        self.judge = judge
        self.spoil = spoil
        self.asks: list[Ask] = []
        self.cancelled = 0
        self.free = asyncio.Event()  # cleared: calls wait
        self.free.set()

    async def ask(self, ask: Ask) -> Answer:
        self.asks.append(ask)
        try:
            await self.free.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        items = [self._item(message["id"], message["text"], ask) for message in self.messages(ask)]
        text = self.spoil(items, ask)
        return Answer(
            text=text if isinstance(text, str) else orjson.dumps({"items": text}).decode(),
            model="nano-fake",
            tokens=Tokens(1_000, 800, 100),
            cost_usd_micros=600,
            call_id=f"call-{len(self.asks)}",
            latency_ms=1.0,
            complete=True,
        )

    def _item(self, id_: str, text: str, ask: Ask) -> Reply:
        properties = ask.schema["properties"]["items"]["items"]["properties"]
        item: Reply = {"id": id_, "label": properties["label"]["enum"][0], "confidence": 0.9, "priority": 40}
        if "summary" in properties:
            item["summary"] = "In short."
        if "fields" in properties:
            item["fields"] = dict.fromkeys(properties["fields"]["properties"])
        if control := re.fullmatch(r"Sluice check \w+: answer with label '(.+)' and priority (\d+)\.", text):
            return item | {"label": control[1], "priority": int(control[2])}
        return item | self.judge(text)

    @staticmethod
    def messages(ask: Ask) -> list[dict[str, str]]:
        messages: list[dict[str, str]] = orjson.loads(ask.input)["messages"]
        return messages

    def texts(self) -> list[list[str]]:
        """What each call was about, without controls."""
        return [[m["text"] for m in self.messages(ask) if not is_control(m)] for ask in self.asks]


def is_control(message: dict[str, str]) -> bool:
    return message["text"].startswith("Sluice check ")
