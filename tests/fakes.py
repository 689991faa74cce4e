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
"""One item of nano's answer: id, label, confidence, and summary and fields where they are asked for."""


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
        self.tokens = Tokens(1_000, 800, 100)  # of every call
        self.free = asyncio.Event()  # cleared: calls wait
        self.free.set()

    async def ask(self, ask: Ask) -> Answer:
        self.asks.append(ask)
        try:
            await self.free.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        codes = dict(_CODE.findall(ask.instructions))
        items = [self._item(message["id"], message["text"], ask, codes) for message in self.messages(ask)]
        text = self.spoil(items, ask)
        if not isinstance(text, str):
            text = orjson.dumps({"answers": [_written(item, ask, codes) for item in text]}).decode()
        return Answer(
            text=text,
            model="nano-fake",
            tokens=self.tokens,
            cost_usd_micros=600,
            call_id=f"call-{len(self.asks)}",
            latency_ms=1.0,
            complete=True,
        )

    def _item(self, id_: str, text: str, ask: Ask, codes: dict[str, str]) -> Reply:
        item: Reply = {"id": id_, "label": next(iter(codes)), "confidence": 0.9}
        properties = ask.schema["properties"]["answers"]["items"].get("properties", {})
        if "summary" in properties:
            item["summary"] = "In short."
        if "fields" in properties:
            item["fields"] = {}
        if control := re.fullmatch(r"Sluice check \d+: answer ([A-Z]+)(\d{3})", text):
            labels = {code: label for label, code in codes.items()}
            return item | {"label": labels[control[1]], "confidence": int(control[2]) / 1000}
        return item | self.judge(text)

    @staticmethod
    def messages(ask: Ask) -> list[dict[str, str]]:
        return [{"id": key, "text": text} for key, text in orjson.loads(ask.input).items()]

    def texts(self) -> list[list[str]]:
        """What each call was about, without controls, sorted: they travel in random order."""
        return [sorted(m["text"] for m in self.messages(ask) if not is_control(m)) for ask in self.asks]


_CODE = re.compile(r"^- ([\w.-]+) \(([A-Z]+)\): ", re.MULTILINE)


def _written(item: Any, ask: Ask, codes: dict[str, str]) -> Any:
    """As triage's prompt wants it. What is no item stays what it is."""
    if not isinstance(item, dict):
        return item
    verdict = f"{item['id']}{codes.get(item['label'], '?')}{round(item['confidence'] * 1000):03d}"
    if ask.schema["properties"]["answers"]["items"]["type"] == "string":
        return verdict
    rest = {name: item[name] for name in ("summary", "fields") if name in item}
    if "fields" in rest:
        rest["fields"] = [f"{name}={value}" for name, value in rest["fields"].items() if value is not None]
    return {"verdict": verdict, **rest}


def is_control(message: dict[str, str]) -> bool:
    return message["text"].startswith("Sluice check ")
