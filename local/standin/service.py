"""The life of one call: key, rules, limits, faults, answer, bill, latency. No HTTP here."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from local.standin import chat_api, problems, responses_api
from local.standin.batch_input import Line
from local.standin.batches_api import Batches, Done
from local.standin.billing import Outcome, Usage
from local.standin.calls import Answer, Call
from local.standin.error_model import ErrorModel
from local.standin.error_profile import load_profile
from local.standin.faults import Fault, Faults
from local.standin.files_api import Files
from local.standin.gold import Gold, read_gold
from local.standin.judging import Judge
from local.standin.models import PRICES_AS_OF, ServedModel
from local.standin.prefix_cache import PrefixCache
from local.standin.rate_limits import RateLimits, charged_tokens
from local.standin.settings import StandInSettings
from local.standin.simulated_model import SimulatedModel
from local.standin.stats import Statistics
from local.standin.tokens import chunks, count
from processors.clock import Clock

LATENCY_SIGMA = 0.25  # of the lognormal jitter
SCHEMA_COMPILE_MS = 1_000  # the first use of a schema
SCHEMAS_REMEMBERED_MAX = 1_000
REASONING_TOKENS = {"none": 0, "low": 100, "medium": 400, "high": 1_200, "xhigh": 3_000}
NEVER_S = 24 * 3600.0  # a call that is not answered; its client leaves, or the server closes, long before


class Api(Protocol):
    """One of the APIs (responses_api, chat_api, decisions_api)."""

    def parse(self, body: dict[str, Any]) -> Call:
        """Raises Problem."""
        ...

    def render(
        self, body: dict[str, Any], answer: Answer, outcome: Outcome, call_id: str, now: float
    ) -> dict[str, Any]: ...


_APIS: Mapping[str, Api] = {api.PATH: api for api in (responses_api, chat_api)}  # that Batch jobs may ask


class ConnectionCut(Exception):
    """A fault: the client gets no answer but the end of its connection."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes out."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class Service:
    """Everything behind the HTTP paths. Loads gold when it is made, which takes seconds for 100,000 records."""

    def __init__(self, settings: StandInSettings, clock: Clock) -> None:
        self.settings = settings
        self.profile = load_profile(settings.errors)
        self.faults = Faults(settings.seed)
        self.statistics = Statistics()
        gold = Gold(read_gold(settings.gold))
        self._gold_records = len(gold.records)
        self._judge = Judge(gold, ErrorModel(self.profile, settings.seed), settings.seed)
        self._model = SimulatedModel(self._judge, settings.seed)
        self._clock = clock
        self._random = random.Random(f"service {settings.seed}")
        self._cache = PrefixCache()
        self._limits = {
            name: RateLimits(name, settings.requests_per_minute, settings.tokens_per_minute, settings.burst_s)
            for name in settings.models
        }
        self._schemas: dict[bytes, None] = {}
        self.files = Files(clock)
        self.batches = Batches(
            self.files,
            self.faults,
            clock,
            seconds=settings.batch_seconds * settings.latency_scale,
            queue_tokens=settings.batch_queue_tokens,
            answer=self._answer_line,
            weigh=self._weigh_lines,
        )

    def report(self) -> dict[str, Any]:
        """Statistics, and under which settings they came about."""
        return self.statistics.report(self._judge.found) | {
            "simulated": True,
            "seed": self.settings.seed,
            "errors": {"profile": self.profile.name, "hash": self.profile.hash},
            "gold_records": self._gold_records,
            "prices_as_of": PRICES_AS_OF,
        }

    async def serve(self, api: Api, raw: bytes, authorization: str) -> Reply:
        """Answers a call, or refuses it in OpenAI's words. Raises ConnectionCut."""
        self.statistics.enter()
        try:
            reply = await self._serve(api, raw, authorization)
        except problems.Problem as problem:
            reply = Reply(problem.status, orjson.dumps(problem.body()), dict(problem.headers))
        finally:
            self.statistics.leave()
        self.statistics.statuses[reply.status] += 1
        return reply

    def models(self, authorization: str, name: str | None = None) -> Reply:
        """The list of models, or one of them."""
        try:
            self._check_key(authorization)
            if name is not None and name not in self.settings.models:
                raise problems.unknown_model(name)
        except problems.Problem as problem:
            return Reply(problem.status, orjson.dumps(problem.body()))
        models = [
            {"id": known, "object": "model", "created": 0, "owned_by": "simulated"} for known in self.settings.models
        ]
        if name is not None:
            return Reply(200, orjson.dumps(next(model for model in models if model["id"] == name)))
        return Reply(200, orjson.dumps({"object": "list", "data": models}))

    def object_call(self, kind: str, authorization: str, act: Callable[[], Any]) -> Reply:
        """A call to `files` or `batches`. Raises ConnectionCut, after the call has done its work."""
        try:
            self._check_key(authorization)
            fault = self.faults.strike(kind, ("server_error", "reset", "rate_limited", "account_spent", "garbage_body"))
            if fault is not None:
                self.statistics.faults[fault.kind] += 1
                _refuse(fault, kind, self.settings.requests_per_minute)
                if fault.kind == "server_error":
                    raise problems.server_error(fault.status)
            made = act()
            if fault is not None and fault.kind == "reset":
                raise ConnectionCut
            body = made if isinstance(made, bytes) else orjson.dumps(made)
            return Reply(200, b"<html>\x00" if fault is not None and fault.kind == "garbage_body" else body)
        except problems.Problem as problem:
            return Reply(problem.status, orjson.dumps(problem.body()), dict(problem.headers))

    async def _answer_line(self, endpoint: str, line: Line) -> Done:
        """One request of a Batch job. It has no limits but its own, and is not late."""
        api = _APIS[endpoint]
        try:
            call = api.parse(line.body)
            model = self.settings.models[call.model]
            if fault := self.faults.strike(call.model, ("batch_line_error",)):
                self.statistics.faults[fault.kind] += 1
                raise problems.server_error(fault.status)
        except problems.Problem as problem:
            return Done(problem.status, problem.body())
        answer = await self._model.answer(call, model.tier, self._clock.time())
        answer, outcome = self._bill(call, model, answer, "batch")
        self.statistics.paid[line.custom_id] += 1
        usage = outcome.usage
        call_id = f"{self._random.getrandbits(128):032x}"
        rendered = api.render(line.body, answer, outcome, call_id, self._clock.time())
        return Done(200, rendered, (usage.input, usage.cached, usage.output))

    def _weigh_lines(self, endpoint: str, lines: Sequence[Line]) -> int:
        if (name := lines[0].body["model"]) not in self.settings.models:
            raise problems.unknown_model(name)
        tokens = 0
        for line in lines:
            try:
                tokens += _APIS[endpoint].parse(line.body).prompt_chars // 4
            except problems.Problem:
                continue  # it will be told for its line
        return tokens

    def _check_key(self, authorization: str) -> None:
        if self.settings.key is not None and authorization != f"Bearer {self.settings.key}":
            raise problems.wrong_key()

    async def _serve(self, api: Api, raw: bytes, authorization: str) -> Reply:
        self._check_key(authorization)
        body = json_object(raw)
        call = api.parse(body)
        model = self.settings.models.get(call.model)
        if model is None:
            raise problems.unknown_model(call.model)
        limits = self._limits[call.model]
        try:
            fault = self.faults.strike(call.model)
            if fault is not None:
                self.statistics.faults[fault.kind] += 1
                _refuse(fault, call.model, self.settings.requests_per_minute)
            if call.service_tier == "flex" and self._random.random() < self.settings.flex_unavailable:
                raise problems.flex_unavailable()
            if refused := limits.admit(charged_tokens(call.prompt_chars, call.max_output_tokens), self._now()):
                raise refused
            if fault is not None:
                await self._strike(fault)
        except problems.Problem as problem:
            self.statistics.refused(call.model)
            problem.headers = limits.headers(self._now()) | dict(problem.headers)
            raise
        started = self._now()
        if fault is not None and fault.kind == "garbage_body":
            return Reply(200, b"<html>upstream said something else\x00", limits.headers(started))
        answer = await self._model.answer(call, model.tier, self._clock.time(), fault.kind if fault else None)
        answer, outcome = self._bill(call, model, answer)
        await self._take_time(call, model, outcome)
        call_id = f"{self._random.getrandbits(128):032x}"
        now = self._now()
        headers = limits.headers(now) | {
            "x-request-id": f"req_{call_id}",
            "openai-processing-ms": str(round((now - started) * 1000)),
        }
        return Reply(200, orjson.dumps(api.render(body, answer, outcome, call_id, self._clock.time())), headers)

    def _bill(self, call: Call, model: ServedModel, answer: Answer, lane: str | None = None) -> tuple[Answer, Outcome]:
        """Cuts the answer at its bound and counts what it used. `lane`: at whose price, if not the service tier's."""
        prompt = list(chunks(call.segments))
        reasoning = REASONING_TOKENS[call.effort]
        written = "".join(f"{made.name}{made.arguments}" for made in answer.tool_calls) or answer.refusal or answer.text
        output = count(written.encode())
        bound, text, complete = call.max_output_tokens, answer.text, True
        if bound is not None and reasoning + output > bound:
            complete = False
            reasoning = min(reasoning, bound)
            text = text[: len(text) * (bound - reasoning) // output]
            output = bound - reasoning
            answer = Answer(text=text)
        usage = Usage(
            input=max(1, round(sum(chunk.tokens for chunk in prompt))),
            cached=self._cache.cached_tokens(call.model, call.cache_key, prompt, self._now()),
            output=output + reasoning,
            reasoning=reasoning,
        )
        cost = model.price(lane or call.service_tier).usd_micros(usage.tokens)
        self.statistics.answered(call.model, usage, cost)
        return answer, Outcome(text, complete, usage, call.service_tier)

    async def _take_time(self, call: Call, model: ServedModel, outcome: Outcome) -> None:
        ms = model.latency_ms(outcome.usage.tokens, call.service_tier) * self._random.lognormvariate(0, LATENCY_SIGMA)
        if call.format is not None and self._is_new_schema(orjson.dumps(call.format.schema)):
            ms += SCHEMA_COMPILE_MS
        if self.settings.latency_scale > 0:
            await self._clock.sleep(ms * self.settings.latency_scale / 1000)

    def _is_new_schema(self, schema: bytes) -> bool:
        if schema in self._schemas:
            return False
        if len(self._schemas) >= SCHEMAS_REMEMBERED_MAX:
            self._schemas.clear()
        self._schemas[schema] = None
        return True

    async def _strike(self, fault: Fault) -> None:
        """Faults that happen after the call was counted."""
        match fault.kind:
            case "timeout":
                await asyncio.sleep(NEVER_S)
            case "slow":
                await self._clock.sleep(fault.seconds)
            case "server_error":
                raise problems.server_error(fault.status)
            case "reset":
                raise ConnectionCut
            case _:
                pass

    def _now(self) -> float:
        return self._clock.monotonic()


def _refuse(fault: Fault, model: str, limit: int) -> None:
    """Faults that refuse a call before it counts."""
    match fault.kind:
        case "wrong_key":
            raise problems.wrong_key()
        case "account_spent":
            raise problems.account_spent(fault.code)
        case "slow_down":
            raise problems.slow_down(fault.seconds)
        case "flex_unavailable":
            raise problems.flex_unavailable()
        case "rate_limited":
            raise problems.rate_limited(model, "requests", limit, limit, 1, fault.seconds)
        case _:
            pass


def json_object(raw: bytes) -> dict[str, Any]:
    """A request's body. Raises Problem."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise problems.invalid("We could not parse the JSON body of your request: expected one JSON object.")
    return body
