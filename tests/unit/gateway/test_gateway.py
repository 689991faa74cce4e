"""Calls through the gateway to a server on localhost: what is sent, what is tried again, what it cost."""

import asyncio
from typing import Any

import pytest

from processors.errors import (
    AccountSpent,
    AnswerRefused,
    BudgetSpent,
    ConfigurationError,
    KeyRefused,
    ModelUnknown,
    ProviderUnavailable,
    RequestRefused,
    SluiceError,
)
from tests.unit.gateway.clocks import FULL_HOUR_S, TickingClock
from tests.unit.gateway.provider import (
    FREE,
    SCHEMA,
    Answer,
    Provider,
    Request,
    ask,
    budgeted,
    completion,
    error,
    gateway,
    response,
)
from topics import limits
from topics.messages import Spend, Tokens


async def test_an_ask_is_put_to_the_responses_api_and_its_answer_priced() -> None:
    spends: list[Spend] = []
    async with Provider() as provider, gateway(provider, spends) as models:
        answer = await models.ask(ask(cache_key="logs-1", messages=3))

    (request,) = provider.requests
    assert request.path == "/v1/responses"
    assert request.headers["Authorization"] == "Bearer sk-test-secret"
    assert request.body == {
        "model": "gpt-5.4-nano",
        "instructions": "Classify.",
        "input": "a line",
        "text": {"format": {"type": "json_schema", "name": "verdict", "schema": SCHEMA, "strict": True}},
        "max_output_tokens": 50,
        "reasoning": {"effort": "none"},
        "store": False,
        "prompt_cache_key": "logs-1",
    }
    assert (answer.text, answer.complete, answer.model) == ('{"label":"a"}', True, "gpt-5.4-nano-2026-03-17")
    assert answer.tokens == Tokens(input=100, cached=40, output=10)
    assert answer.cost_usd_micros == 25  # 60 * 0.20 + 40 * 0.02 + 10 * 1.25 = 25.3
    (spend,) = spends
    assert (spend.call_id, spend.usd_micros, spend.tokens) == (answer.call_id, 25, answer.tokens)
    assert (spend.stream, spend.tenant, spend.purpose, spend.messages) == ("logs", "acme", "triage", 3)
    assert (spend.status, spend.service_tier, spend.prices_as_of) == (200, "default", "2026-11-22")


async def test_chat_completions_where_the_environment_says_so() -> None:
    spends: list[Spend] = []
    env = {"OPENAI_API": "chat"}
    async with Provider([Answer(body=completion())]) as provider, gateway(provider, spends, env=env) as models:
        answer = await models.ask(ask())
        assert models.api("flagship") == "chat"

    (request,) = provider.requests
    assert request.path == "/v1/chat/completions"
    assert "Authorization" not in request.headers  # no key is set, and this server needs none
    assert request.body["messages"] == [
        {"role": "system", "content": "Classify."},
        {"role": "user", "content": "a line"},
    ]
    assert request.body["response_format"]["json_schema"] == {"name": "verdict", "schema": SCHEMA, "strict": True}
    assert request.body["max_tokens"] == 50
    assert answer.tokens == Tokens(input=100, cached=0, output=10)


async def test_an_answer_cut_at_its_bound_says_so() -> None:
    cut = response('{"lab', status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    async with Provider([Answer(body=cut)]) as provider, gateway(provider, []) as models:
        answer = await models.ask(ask())
    assert (answer.text, answer.complete) == ('{"lab', False)


async def test_a_model_that_declines_is_an_error_and_paid_for() -> None:
    spends: list[Spend] = []
    reply = completion("", refusal="I will not")
    env = {"OPENAI_API": "chat"}
    async with Provider([Answer(body=reply)]) as provider, gateway(provider, spends, env=env) as models:
        with pytest.raises(AnswerRefused, match="I will not"):
            await models.ask(ask())
    assert [spend.usd_micros for spend in spends] == [33]  # 100 * 0.20 + 10 * 1.25 = 32.5


@pytest.mark.parametrize(
    ("refusal", "kind", "words"),
    [
        (error(401, "invalid_api_key", message="Incorrect key: sk-test-secret"), KeyRefused, "OPENAI_API_KEY"),
        (error(403, "unsupported_country"), KeyRefused, "403"),
        (error(404, "model_not_found"), ModelUnknown, "gpt-5.4-nano"),
        (error(302, headers={"Location": "/elsewhere"}), ModelUnknown, "base URL"),
        (error(400, "context_length_exceeded"), RequestRefused, "said context_length_exceeded"),
        (error(400, "bad", message="your sk-test-secret is bad"), RequestRefused, r"your \*\*\* is bad"),
        (error(429, "insufficient_quota"), AccountSpent, "no credit"),
        (error(429, "credit_balance_exhausted", type="insufficient_quota"), AccountSpent, "credit_balance_exhausted"),
        (error(429, "project_spend_limit_exceeded"), AccountSpent, "project_spend_limit_exceeded"),
        (error(429, "organization_usage_limit_exceeded"), AccountSpent, "organization_usage_limit_exceeded"),
        (Answer(402, b"pay first"), AccountSpent, "pay first"),
    ],
)
async def test_refusals_that_trying_does_not_mend(refusal: Answer, kind: type[SluiceError], words: str) -> None:
    spends: list[Spend] = []
    async with Provider([refusal]) as provider, gateway(provider, spends) as models:
        with pytest.raises(kind, match=words) as caught:
            await models.ask(ask())
    assert "secret" not in str(caught.value)
    assert len(provider.requests) == 1
    assert [(spend.status, spend.usd_micros) for spend in spends] == [(refusal.status, 0)]


@pytest.mark.parametrize(
    "fault",
    [
        error(500),
        error(503),
        error(408),
        error(429, "resource_unavailable", message="Resource Unavailable"),
        Answer(body=b"<html>oops</html>"),
        Answer(body={"object": "response", "status": "failed", "output": []}),
        Answer(body=[]),
        Answer(hang_up=True),
    ],
)
async def test_a_passing_fault_is_tried_again_after_a_growing_random_delay(fault: Answer) -> None:
    clock = TickingClock()
    async with (
        Provider([fault, fault, Answer(body=response())]) as provider,
        gateway(provider, [], clock=clock) as models,
    ):
        assert (await models.ask(ask())).text == '{"label":"a"}'
    assert len(provider.requests) == 3
    assert [0 < slept <= 2**tried * 0.5 for tried, slept in enumerate(clock.slept, 1)] == [True, True]


async def test_a_fault_that_stays_ends_as_unavailable() -> None:
    clock = TickingClock()
    async with Provider([error(502)]) as provider, gateway(provider, [], clock=clock) as models:
        with pytest.raises(ProviderUnavailable, match=r"502.*6 tries"):
            await models.ask(ask())
    assert len(provider.requests) == limits.CALL_ATTEMPTS_MAX


async def test_a_server_that_is_not_there_costs_nothing_and_leaves_no_record() -> None:
    spends: list[Spend] = []
    async with Provider() as gone:
        pass
    async with gateway(gone, spends, clock=TickingClock()) as models:
        with pytest.raises(ProviderUnavailable, match="cannot be reached"):
            await models.ask(ask())
    assert spends == []


async def test_a_call_that_is_not_answered_in_time_is_tried_again_and_counts_as_spent() -> None:
    spends: list[Spend] = []
    never = asyncio.Event()
    async with (
        Provider([Answer(after=never), Answer(body=response())]) as provider,
        gateway(provider, spends, clock=TickingClock(), call_seconds=2.0) as models,
    ):
        await models.ask(ask())
        never.set()
    lost, good = spends
    assert (lost.status, lost.tokens) == (0, Tokens())
    assert lost.usd_micros > good.usd_micros  # the worst case: the provider may have done the work


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"retry-after": "7"}, 7.0), ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5), ({"retry-after": "900"}, 120)],
)
async def test_a_rate_limit_waits_as_long_as_the_server_says(headers: dict[str, str], seconds: float) -> None:
    clock = TickingClock()
    limited = error(429, "rate_limit_exceeded", headers=headers)
    async with (
        Provider([limited, Answer(body=response())]) as provider,
        gateway(provider, [], clock=clock) as models,
    ):
        await models.ask(ask())
    assert clock.slept == [pytest.approx(seconds)]


async def test_retry_after_holds_back_that_model_alone() -> None:
    def script(request: Request) -> Answer:
        if request.body["model"] == "gpt-5.4-nano":
            return error(429, "rate_limit_exceeded", headers={"retry-after": "100"})
        return Answer(body=response())

    async with Provider(script) as provider, gateway(provider, []) as models:
        held = asyncio.create_task(models.ask(ask()))
        await provider.asked.wait()
        assert (await models.ask(ask(tier="mini"))).complete
        assert not held.done()
        held.cancel()


async def test_good_answers_make_room_for_more_calls_at_once() -> None:
    twice_as_many, held = asyncio.Event(), 0

    def script(request: Request) -> Answer:
        nonlocal held
        if request.body["input"] != "held":
            return Answer(body=response())
        held += 1
        if held == 2 * limits.CALLS_IN_FLIGHT_FIRST:
            twice_as_many.set()
        return Answer(body=response(), after=twice_as_many)

    async with Provider(script) as provider, gateway(provider, []) as models:
        for _ in range(limits.CALLS_IN_FLIGHT_FIRST):
            await models.ask(ask())
        await asyncio.gather(*(models.ask(ask("held")) for _ in range(2 * limits.CALLS_IN_FLIGHT_FIRST)))


async def test_a_cancelled_call_counts_as_spent_and_frees_its_place() -> None:
    spends: list[Spend] = []
    hold = asyncio.Event()

    def script(request: Request) -> Answer:
        return Answer(body=response(), after=hold if request.body["input"] == "slow" else None)

    # A kilobyte of request and 50 tokens of answer at nano's prices: $0.0004 leaves room for one worst case, not two.
    async with Provider(script) as provider, gateway(provider, spends, **budgeted(0.0004)) as models:
        slow = asyncio.create_task(models.ask(ask("slow")))
        await provider.asked.wait()
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        (lost,) = spends
        assert (lost.status, lost.tokens) == (0, Tokens())
        assert lost.usd_micros > 0
        assert (await models.ask(ask())).complete
        hold.set()


async def test_the_budget_of_the_hour_stops_calls_before_they_are_sent() -> None:
    spends: list[Spend] = []
    clock = TickingClock(time_s=FULL_HOUR_S + 3_000)  # ten minutes to the full hour
    async with Provider() as provider, gateway(provider, spends, clock=clock, **budgeted(0.0005)) as models:

        async def ask_on() -> None:
            for _ in range(100):
                await models.ask(ask())

        with pytest.raises(BudgetSpent, match=r"streams\.logs\.budget\.usd_per_hour") as caught:
            await ask_on()
        sent = len(provider.requests)
        assert 1 < sent < 100
        assert sum(spend.usd_micros for spend in spends) == sent * 25 <= 500
        assert caught.value.retry_after_s == pytest.approx(600)
        await clock.sleep(600)
        assert (await models.ask(ask())).complete  # a new hour


async def test_a_burst_waits_for_what_others_reserved_and_cannot_pass_the_budget() -> None:
    spends: list[Spend] = []
    async with Provider() as provider, gateway(provider, spends, clock=TickingClock(), **budgeted(0.0005)) as models:
        results = await asyncio.gather(*(models.ask(ask()) for _ in range(60)), return_exceptions=True)
    good = [result for result in results if not isinstance(result, BaseException)]
    assert all(isinstance(result, BudgetSpent) for result in results if isinstance(result, BaseException))
    assert 10 < len(good) < 20  # 25 micro-dollars each, and the last ones need their worst case to fit
    assert sum(spend.usd_micros for spend in spends) <= 500


async def test_nothing_is_free_by_default() -> None:
    async with Provider() as provider:
        with pytest.raises(ConfigurationError, match=r"house-1.*tiers\.nano\.usd_per_million"):
            gateway(provider, [], tiers={"nano": {"model": "house-1"}})
        models = gateway(provider, [], tiers={"nano": {"model": "house-1", "usd_per_million": FREE}})
        async with models:
            assert (await models.ask(ask())).cost_usd_micros == 0


HOUSE = {"input": 1, "cached": 1, "output": 2, "as_of": "2026-11-22"}


async def test_another_model_in_the_tiers_place_is_asked_at_its_own_price_and_limits() -> None:
    spends: list[Spend] = []
    tiers = {"nano": {"model": "gpt-5.4-nano", "candidates": {"house": HOUSE}}}
    async with Provider() as provider, gateway(provider, spends, tiers=tiers) as models:
        await models.ask(ask())
        await models.ask(ask(model="house"))
        await models.later(ask(model="gpt-5.4-mini"))
        assert models._route("nano", "gpt-5.4-mini").limiter is models._routes["mini"].limiter, "the server counts both"
        assert models._route("nano", "house").limiter is not models._routes["nano"].limiter
        assert models._route("nano", "house") is models._route("nano", "house")
        with pytest.raises(RequestRefused, match="'house'"):
            await models.submit(ask(model="house"))
        with pytest.raises(ConfigurationError, match=r"'unknown': its price is not known.*tiers\.nano\.candidates"):
            await models.ask(ask(model="unknown"))
    assert [each.body["model"] for each in provider.requests] == ["gpt-5.4-nano", "house", "gpt-5.4-mini"]
    assert [(each.tier, each.model) for each in spends] == [
        ("nano", "gpt-5.4-nano"),
        ("nano", "house"),
        ("nano", "gpt-5.4-mini"),
    ]
    own, other, _ = spends
    assert other.usd_micros == other.tokens.input + 2 * other.tokens.output
    assert own.tokens == other.tokens
    assert own.usd_micros < other.usd_micros


async def test_only_its_own_key_goes_to_a_server() -> None:
    async with Provider() as provider:
        house: dict[str, Any] = {"providers": {"house": {"base_url": provider.base_url}}}
        tiers = {"nano": {"provider": "house", "model": "gpt-5.4-nano"}}
        async with gateway(provider, [], tiers=tiers, **house) as models:
            await models.ask(ask())
    assert "Authorization" not in provider.requests[0].headers


@pytest.mark.parametrize(
    ("base_url", "env", "words"),
    [
        ("https://api.openai.com/v1", {}, "OPENAI_API_KEY"),
        ("${HOUSE_URL}", {}, r"providers\.openai\.base_url.*HOUSE_URL"),
        ("localhost:8000", {}, "is no base URL"),
        ("http://localhost/v1", {"OPENAI_API": "soap"}, "responses, chat"),
    ],
)
def test_a_provider_that_cannot_work_is_refused_at_once(base_url: str, env: dict[str, str], words: str) -> None:
    provider = Provider()
    provider.base_url = base_url
    with pytest.raises(ConfigurationError, match=words):
        gateway(provider, [], env=env)
