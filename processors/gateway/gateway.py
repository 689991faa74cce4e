"""The one way out to models: budget (reserve) → limiter (reserve) → send → settle, for every call there is.

What is reserved is the worst case: every byte of the request a token (texts have fewer), nothing cached, every output
token used. A call that was sent and brought no usage back, because it was cancelled, timed out, broke off or answered
garbage, counts as spent in full: the provider may have done and billed the work. Calls that were refused cost nothing.
"""

import math
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, assert_never

import orjson

from processors import metrics
from processors.asking import Answer, Ask, Waiting
from processors.cache import Cache
from processors.clock import Clock
from processors.errors import AnswerRefused, ConfigurationError, ProviderUnavailable, RequestRefused
from processors.gateway import wire
from processors.gateway.batch_api import BatchApi
from processors.gateway.batch_lane import BatchLane, Pace
from processors.gateway.batch_lines import scope_of
from processors.gateway.budget import Budgets
from processors.gateway.client import Client, NoAnswer, NotSent, Raw, TooSlow
from processors.gateway.context import Context
from processors.gateway.dialect import Api, Dialect, Json, adapt, schema_of
from processors.gateway.headers import retry_after_s
from processors.gateway.lanes import lane_of
from processors.gateway.ledger import Bill, Ledger, waiting
from processors.gateway.limiter import Limiter
from processors.gateway.providers import Server
from processors.gateway.refusals import Again, Refused, judge
from processors.gateway.routes import Route, routes, tried
from processors.gateway.wire import Reading
from processors.placeholders import resolve
from processors.policy import Policy
from topics import limits
from topics.messages import Lane, Spend, Tier, Tokens

if TYPE_CHECKING:
    from openai import AsyncOpenAI

CHARS_PER_TOKEN = 4  # the provider's own estimate when it charges its limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A model's answer and what this call cost (tries that failed before it stand in the spend records)."""

    status: int
    headers: Mapping[str, str]  # looked up without regard to case
    body: bytes
    reading: Reading
    tokens: Tokens
    cost_usd_micros: int
    call_id: str
    latency_ms: float
    lane: Lane  # that was billed


class Gateway:
    """Asks models on behalf of everybody. An async context manager; safe to use concurrently."""

    def __init__(
        self,
        policy: Policy,
        *,
        env: Mapping[str, str],
        clock: Clock,
        rng: random.Random,
        on_spend: Callable[[Spend], None],
        call_seconds: float = limits.CALL_SECONDS_MAX,
        pace: Pace = Pace(),  # noqa: B008 - frozen
    ) -> None:
        """`on_spend` gets one record a call that reached a provider; `pace` is the batch lane's.

        Raises ConfigurationError.
        """
        self._clock = clock
        self._rng = rng
        self._ledger = Ledger(clock, on_spend)
        self._client = Client(call_seconds)
        self._budgets = Budgets(policy, clock)
        self._routes = routes(policy, env, clock)
        self._tiers = policy.tiers
        self._tried: Cache[tuple[Tier, str], Route] = Cache(limits.CANDIDATES_MAX)  # of models that are no tier's
        self._scope = _scope(policy, env)
        self._pace = pace
        self._batch_lanes: dict[str, BatchLane] = {}  # by server

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        for lane in self._batch_lanes.values():
            await lane.close()
        await self._client.__aexit__(kind, error, tb)

    def adopt(self, policy: Policy) -> None:
        """From here on by this policy's budgets. Its tiers and providers are those that it began with."""
        self._budgets.adopt(policy)

    def api(self, tier: Tier) -> Api:
        """The API that the tier's server speaks."""
        return self._routes[tier].server.dialect.api

    @cached_property
    def _openai(self) -> "AsyncOpenAI":
        from processors.gateway.transport import sdk_client  # the SDK takes a second to import: only where it is used

        return sdk_client(self)

    def openai(self) -> "AsyncOpenAI":
        """An SDK client whose transport is this gateway. Every call needs a context (`calling`), which names the tier:
        the model named in a request does not count. Errors of `processors.errors` pass through the SDK unchanged."""
        return self._openai

    async def ask(self, ask: Ask) -> Answer:
        """As `processors.asking.Model.ask`."""
        route = self._route(ask.tier, ask.model)
        context = Context(
            tier=ask.tier, stream=ask.stream, tenant=ask.tenant, purpose=ask.purpose, messages=ask.messages
        )
        dialect = route.server.dialect
        lane = lane_of(ask.deadline_s, set(route.lanes) - {"batch"})
        request = wire.write(ask, route.model, dialect.api, dialect.vendor, lane, logprobs=route.logprobs)
        leave_s = math.inf
        if lane == "flex" and ask.deadline_s is not None:
            left_s = min(ask.deadline_s - limits.LANE_FALLBACK_SECONDS, limits.FLEX_WAIT_SECONDS_MAX)
            leave_s = self._clock.monotonic() + left_s
        reply = await self._call(route, dialect.api, request, context, leave_s)
        if reply.reading.refusal is not None:
            raise AnswerRefused(f"{route.model} declined to answer: {reply.reading.refusal[:300]}")
        return Answer(
            text=reply.reading.text,
            model=reply.reading.model or route.model,
            tokens=reply.tokens,
            cost_usd_micros=reply.cost_usd_micros,
            call_id=reply.call_id,
            latency_ms=reply.latency_ms,
            complete=reply.reading.complete,
            lane=reply.lane,
            about=ask.about,
            note=ask.note,
            sure=reply.reading.sure,
        )

    def _route(self, tier: Tier, model: str | None) -> Route:
        """The tier's, or one to the same server for another model."""
        if model is None or model == self._routes[tier].model:
            return self._routes[tier]
        route = self._tried.get((tier, model))
        if route is None:
            route = tried(self._routes, tier, self._tiers.of(tier), model, self._clock)
            self._tried.put((tier, model), route)
        return route

    async def later(self, ask: Ask) -> Answer | Waiting:
        """The answer, by whichever lane is cheapest for the time that is left; by the batch lane, if it is there.

        Asked for again with the same key, or about one of the same messages, it is the same answer, paid once,
        whichever worker asks. Raises as `ask`. Cancelled, it leaves what the batch lane has to the batch lane.
        """
        lane = self._batch_lane(ask.tier) if ask.model is None else None  # a job is of the tier's model
        if lane is not None:
            for name in (*ask.about, lane.custom_id(ask)):
                found = await self.collect(ask.tier, ask.stream, name, deadline_s=ask.deadline_s or 0.0)
                if found is not None:
                    return found
            if self.lane(ask.tier, ask.deadline_s) == "batch" and (waiting := await lane.submit(ask)) is not None:
                return waiting
        return await self.ask(ask)

    def lane(self, tier: Tier, deadline_s: float | None) -> Lane:
        """The cheapest that meets the deadline, of those that the tier's server has."""
        return lane_of(deadline_s, self._routes[tier].lanes)

    async def submit(self, ask: Ask) -> Waiting | None:
        """Puts an ask into the batch lane, unless it or one of its messages is there. None where it has to be asked by
        another lane: there is no room, or a job has given no answer to it. Raises as `ask`, of what is told before it
        is sent."""
        if ask.model is not None:
            raise RequestRefused(f"a Batch job is of its tier's model: ask for '{ask.model}' by `ask`")
        return await self._batch_lane_of(ask.tier).submit(ask)

    async def collect(
        self, tier: Tier, stream: str, name: str, *, deadline_s: float = math.inf
    ) -> Answer | Waiting | None:
        """What became of an ask in the batch lane. `name`: its custom_id, or a message that it is about.

        None where nobody works at it, because it is not known or its job ended without it; or where a job's answer can
        no longer be waited for. Raises AnswerRefused where that is the answer, and as `ask` where the provider cannot
        be asked.
        """
        found = await self._batch_lane_of(tier).collect(stream, name)
        if isinstance(found, Waiting) and deadline_s < limits.PARK_SECONDS_MAX + limits.BATCH_LATE_SECONDS:
            metrics.LANE_FALLBACKS.labels("batch", "deadline").inc()
            return None
        return found

    def _batch_lane(self, tier: Tier) -> BatchLane | None:
        """Of the tier's server; it begins to work when it is first asked for. None where the server has none."""
        route = self._routes[tier]
        if "batch" not in route.lanes:
            return None
        lane = self._batch_lanes.get(route.server.name)
        if lane is None:
            lane = self._batch_lanes[route.server.name] = BatchLane(
                {tier: of for tier, of in self._routes.items() if of.server is route.server},
                BatchApi(self._client, route.server, self._clock, self._rng),
                self._budgets,
                self._ledger,
                clock=self._clock,
                rng=self._rng,
                scope=self._scope,
                pace=self._pace,
            )
            lane.start()
        return lane

    def _batch_lane_of(self, tier: Tier) -> BatchLane:
        if (lane := self._batch_lane(tier)) is None:
            name = self._routes[tier].server.name
            raise ConfigurationError(
                f'provider {name} has no Batch API, as far as is said: if it has, add "batch" to providers.{name}.lanes'
            )
        return lane

    async def send(self, path: str, body: bytes, context: Context) -> Reply:
        """A request of one of OpenAI's APIs, as bytes. Its model becomes the one of the context's tier.

        Raises as `ask` does, but a model that declines is a Reply. Cancelling it abandons the call.
        """
        api = wire.PATHS.get(path)
        if api is None:
            raise RequestRefused(f"'{path}' is not served here: use {' or '.join(wire.PATHS)}")
        try:
            request = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise RequestRefused(f"the request is not JSON: {error}") from None
        if not isinstance(request, dict) or request.get("stream"):
            raise RequestRefused("the request must be a JSON object without `stream`: answers are not streamed")
        route = self._routes[context.tier]
        return await self._call(route, api, request | {"model": route.model}, context)

    async def _call(self, route: Route, api: Api, request: Json, context: Context, leave_s: float = math.inf) -> Reply:
        """Tries until there is an answer, an error that trying does not mend, or enough was tried.

        `leave_s`: when to go from flex to the default lane, by the monotonic clock. Until then it is tried as often as
        it has no room, which costs nothing.
        """
        output_tokens = wire.bound_output(request, api)
        schema = schema_of(request)
        tries = full = 0
        while True:
            lane: Lane = "flex" if request.get("service_tier") == "flex" and "flex" in route.prices else "realtime"
            seconds = None
            if lane == "flex":
                left_s = leave_s - self._clock.monotonic()
                if left_s <= 0:
                    metrics.LANE_FALLBACKS.labels("flex", "no room" if full else "deadline").inc()
                    request = request | {"service_tier": "default"}
                    continue
                seconds = min(left_s, limits.FLEX_CALL_SECONDS_MAX)
            dialect = route.server.dialect
            body = orjson.dumps(adapt(request, dialect))
            match await self._once(route, api, body, output_tokens, context, lane, seconds):
                case Reply() as reply:
                    checked = reply if schema is None else _checked(reply, api, schema, route.server, dialect)
                    if checked is not None:
                        return checked
                case Refused(error, complaint):
                    if not route.server.adjust(dialect, dialect.lesser(complaint, request), complaint.message):
                        raise error
                case Again("capacity") as again if lane == "flex" and leave_s < math.inf:
                    full += 1
                    backoff_s = self._rng.uniform(0.1, min(limits.BACKOFF_SECONDS_MAX, 0.5 * 2 ** min(full, 10)))
                    wait_s = backoff_s if again.after_s is None else again.after_s
                    await self._clock.sleep(max(0.0, min(wait_s, leave_s - self._clock.monotonic())))
                case Again() as again:
                    tries += 1
                    if tries == limits.CALL_ATTEMPTS_MAX:
                        raise ProviderUnavailable(
                            f"{again.detail} ({tries} tries)", retry_after_s=max(1.0, route.limiter.frozen_s())
                        )
                    await self._wait(route.limiter, again, tries)

    async def _once(
        self,
        route: Route,
        api: Api,
        body: bytes,
        output_tokens: int,
        context: Context,
        lane: Lane,
        seconds: float | None,
    ) -> Reply | Again | Refused:
        """One HTTP call, from reserving to settling."""
        bill = Bill(route.prices[lane].worst_micros(len(body), output_tokens), lane=lane)
        charge = max(output_tokens, len(body) // CHARS_PER_TOKEN)
        with await self._budgets.reserve(context, bill.usd_micros) as reserved:
            with waiting(route.tier).track_inprogress():
                place = await route.limiter.admit(charge)
            call_id = f"{self._rng.getrandbits(128):032x}"
            began_s = self._clock.monotonic()
            raw: Raw | None = None
            try:
                url = route.server.base_url + wire.path_of(api)
                raw = await self._client.post(url, body, route.server.headers, seconds)
                outcome = self._outcome(route, api, raw, bill)
            except NotSent as error:
                bill.usd_micros, bill.reached = 0, False
                outcome = Again("fault", f"{route.server.name} cannot be reached: {error}")
            except NoAnswer as error:
                outcome = Again("overload" if isinstance(error, TooSlow) else "fault", f"{route.server.name}: {error}")
            finally:
                latency_ms = (self._clock.monotonic() - began_s) * 1000
                route.limiter.leave(place, None if raw is None else raw.headers)
                reserved.settle(bill.usd_micros)
                if bill.reached:
                    self._ledger.enter(route, context, bill, call_id, latency_ms)
        if not isinstance(outcome, Reading):
            if isinstance(outcome, Again):
                route.limiter.heed(place, outcome.kind)
            return outcome
        assert raw is not None, "what was read was received"
        route.limiter.answered()
        return Reply(
            status=raw.status,
            headers=raw.headers,
            body=raw.body,
            reading=outcome,
            tokens=bill.tokens,
            cost_usd_micros=bill.usd_micros,
            call_id=call_id,
            latency_ms=latency_ms,
            lane=bill.lane,
        )

    def _outcome(self, route: Route, api: Api, raw: Raw, bill: Bill) -> Reading | Again | Refused:
        """What the response is, written into the bill."""
        bill.status = raw.status
        server = route.server
        if not 200 <= raw.status < 300:
            bill.usd_micros = 0
            readable = server.without_key(raw.body)
            verdict = judge(raw.status, readable, server=server.name, model=route.model, key_remedy=server.key_remedy)
            if isinstance(verdict, Again):
                return replace(verdict, after_s=retry_after_s(raw.headers, self._clock.time()))
            return verdict
        reading = wire.read(raw.body, api)
        if reading is None:
            return Again("fault", f"{server.name} answered {raw.status} with something that is no answer")
        bill.lane = route.billed(bill.lane, reading.service_tier)
        if reading.tokens is not None:
            bill.tokens = reading.tokens
            bill.usd_micros = route.prices[bill.lane].cost_micros(reading.tokens)
        bill.service_tier = reading.service_tier
        bill.simulated = reading.simulated
        return reading

    async def _wait(self, limiter: Limiter, again: Again, tries: int) -> None:
        """Before the next try: with the whole model where its server asks for it, else alone, for a random while."""
        backoff_s = self._rng.uniform(0, min(limits.BACKOFF_SECONDS_MAX, 0.5 * 2**tries))
        match again.kind:
            case "rate_limit" | "slow_down":
                limiter.freeze(backoff_s if again.after_s is None else again.after_s)
            case "fault" | "overload" if again.after_s is not None:
                limiter.freeze(again.after_s)
            case "fault" | "overload":
                await self._clock.sleep(backoff_s)
            case "capacity":
                await self._clock.sleep(backoff_s if again.after_s is None else again.after_s)
            case _:
                assert_never(again.kind)


def _scope(policy: Policy, env: Mapping[str, str]) -> str:
    """Of the workers that share topics, which are those that share Batch jobs."""
    brokers = policy.kafka.bootstrap_servers
    with suppress(ConfigurationError):  # without brokers, as in `sluice try`, any name does
        brokers = resolve(brokers, env, "kafka.bootstrap_servers")
    return scope_of(brokers, policy.kafka.prefix)


def _checked(reply: Reply, api: Api, schema: Mapping[str, Any], server: Server, dialect: Dialect) -> Reply | None:
    """The reply to a request with a schema. None: the server turned out not to enforce schemas, ask again in words."""
    reading = reply.reading
    if not reading.complete or reading.calls_tools or reading.refusal is not None:
        return reply
    if dialect.schemas != "strict":
        return replace(reply, **wire.with_bare_json(reply.body, reading, api))
    if dialect.proven:
        return reply
    if wire.fits(reading.text, schema):
        server.dialect = replace(server.dialect, proven=True)
        return reply
    server.doubt(dialect)
    return None
