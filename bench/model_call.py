"""What one call to a model costs its caller: the gateway beside the bare HTTP client and the `openai` SDK."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import aiohttp
import orjson
from openai import AsyncOpenAI

from bench import messages
from bench.cost import Cost, Stopwatch, best
from bench.remembered import STREAM, remembered
from bench.result import Result
from local import pointing, simulated
from local.demo import policy as demo_policy
from processors.asking import Ask
from processors.clock import SystemClock
from processors.gateway import wire
from processors.gateway.context import Context, calling
from processors.gateway.gateway import Gateway
from processors.items import Item
from processors.output_room import OutputRoom
from processors.policy import Policy
from processors.prompt import Prompt

CONCURRENCY = 16
_ROUNDS = 3
_LINE_BYTES = 120
ABOUT = (
    "The model is simulated: a stand-in in a process of its own, without latency; its speed bounds the calls/s. "
    f"Triage's question about one log line, {CONCURRENCY} calls at a time, the same body for all; best of {_ROUNDS} "
    "rounds in turn. CPU is the caller's alone. The gateway's figures include limits, accounts and metrics, not the "
    "writing of spend records to Kafka."
)
_COLUMNS = {"calls_per_s": "calls/s", "cpu_us_per_call": "CPU µs a call", "ratio": "CPU × aiohttp"}

Call = Callable[[], Awaitable[object]]


def run(seconds: float = 4.5) -> Result:
    """`seconds` for each line."""
    costs = asyncio.run(_measure(seconds))
    floor = next(iter(costs.values())).cpu_us_each
    lines = {
        name: {"calls_per_s": cost.per_s, "cpu_us_per_call": cost.cpu_us_each, "ratio": cost.cpu_us_each / floor}
        for name, cost in costs.items()
    }
    return Result(suite="model_call", about=ABOUT, columns=_COLUMNS, lines=lines)


async def _measure(seconds: float) -> dict[str, Cost]:
    policy = pointing.at_models(_without_budget(demo_policy.load()))
    async with (
        simulated.provider(latency_scale=0) as provider,
        Gateway(
            policy, env=provider.env, clock=SystemClock(), rng=random.Random(messages.SEED), on_spend=lambda _: None
        ) as gateway,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        AsyncOpenAI(
            base_url=provider.env["OPENAI_BASE_URL"], api_key=provider.env["OPENAI_API_KEY"], max_retries=0
        ) as sdk,
    ):
        ask = _ask(policy)
        request = wire.write(ask, policy.tiers.nano.model, "responses", vendor=False)
        url = provider.env["OPENAI_BASE_URL"] + wire.path_of("responses")
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {provider.env['OPENAI_API_KEY']}"}

        async def bare() -> object:
            async with session.post(url, data=orjson.dumps(request), headers=headers) as response:
                response.raise_for_status()
                return orjson.loads(await response.read())

        calls: dict[str, Call] = {
            "aiohttp + orjson": bare,
            "Gateway.ask": lambda: gateway.ask(ask),
            "openai SDK through the gateway": lambda: gateway.openai().responses.create(**request),
            "openai SDK, its own transport": lambda: sdk.responses.create(**request),
        }
        with calling(Context(tier=ask.tier, stream=ask.stream, tenant=ask.tenant, purpose=ask.purpose)):
            return await _in_turn(calls, seconds)


async def _in_turn(calls: dict[str, Call], seconds: float) -> dict[str, Cost]:
    rounds: dict[str, list[Cost]] = {name: [] for name in calls}
    for call in calls.values():
        await _together(call, 0)  # connections open, the gateway learns its limits
    for _ in range(_ROUNDS):
        for name, call in calls.items():
            rounds[name].append(await _together(call, seconds / _ROUNDS))
    return {name: best(costs) for name, costs in rounds.items()}


async def _together(call: Call, seconds: float) -> Cost:
    """CONCURRENCY callers, each with one call after the other, at least one."""
    watch = Stopwatch()

    async def caller() -> int:
        done = 0
        while done == 0 or watch.wall_s < seconds:
            await call()
            done += 1
        return done

    return watch.cost(sum(await asyncio.gather(*(caller() for _ in range(CONCURRENCY)))))


def _without_budget(policy: Policy) -> Policy:
    """The demo's hourly budget would be spent in seconds."""
    streams = {name: stream.model_copy(update={"budget": None}) for name, stream in policy.streams.items()}
    return policy.model_copy(update={"streams": streams})


def _ask(policy: Policy) -> Ask:
    known = remembered(_LINE_BYTES)
    item = known.normaliser.read(known.records[0])
    assert isinstance(item, Item)
    stream = policy.streams[STREAM]
    prompt = Prompt(STREAM, stream)
    room = OutputRoom(prompt.item_tokens).tokens(1)
    return prompt.ask({"417": item.text}, tenant=item.tenant, messages=1, output_tokens=room)
