"""Runs one agent from its question to an answer that fits, on openai-agents and through the gateway."""

import logging
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

import orjson
from agents import (
    Agent,
    Model,
    ModelBehaviorError,
    ModelRefusalError,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIProvider,
    OpenAIResponsesModel,
    RunConfig,
    set_tracing_disabled,
)
from agents import Runner as OpenAIRunner
from agents.items import TResponseInputItem
from pydantic import BaseModel

from processors.agents.account import Account, Allowance
from processors.agents.answers import Misfit
from processors.agents.model import BoundedModel
from processors.errors import AnswerInvalid, AnswerRefused
from processors.gateway.context import Context, calling
from processors.gateway.gateway import Gateway
from processors.policy import Tiers
from topics import limits
from topics.messages import AgentTier

set_tracing_disabled(True)  # traces would go to the vendor, with message texts in them
logging.getLogger("openai.agents").setLevel(logging.CRITICAL)  # it logs errors that it also raises

A = TypeVar("A", bound=BaseModel)


class Runner:
    """Runs agents of the two tiers. Nothing that it starts reaches a host but through the gateway."""

    def __init__(self, tiers: Tiers, gateway: Gateway) -> None:
        client = gateway.openai()
        self._models: dict[AgentTier, Model] = {}
        self._settings: dict[AgentTier, ModelSettings] = {}
        for tier in get_args(AgentTier):
            chat = gateway.api(tier) == "chat"
            kind = OpenAIChatCompletionsModel if chat else OpenAIResponsesModel
            self._models[tier] = kind(tiers.of(tier).model, client)
            # `store` is the Responses API's: without it the vendor keeps every message.
            self._settings[tier] = ModelSettings(
                max_tokens=limits.AGENT_OUTPUT_TOKENS_MAX, store=None if chat else False
            )
        # Never asked, since every run brings its model; but the library's default would make a client of the vendor's.
        self._provider = OpenAIProvider(openai_client=client, use_responses_websocket=False)

    async def ask(
        self, agent: Agent[Account], answer: type[A], data: Mapping[str, Any], tier: AgentTier, allowance: Allowance
    ) -> A:
        """The agent's answer to `data`. The agent's name is the calls' purpose.

        Raises BoundReached, AccountError, ProviderUnavailable, AnswerRefused, RequestRefused, and AnswerInvalid where
        the answer does not fit its schema even when asked again.
        """
        account = allowance.account
        escalation = account.escalation
        context = Context(
            tier=tier,
            stream=escalation.stream,
            tenant=escalation.tenant,
            purpose=agent.name,
            escalation=escalation.id,
            meter=account.meter,
        )
        config = RunConfig(
            model=BoundedModel(self._models[tier], allowance),
            model_provider=self._provider,
            model_settings=self._settings[tier],
            tracing_disabled=True,
            tool_not_found_behavior="return_error_to_model",
        )
        messages: list[TResponseInputItem] = [{"role": "user", "content": orjson.dumps(data).decode()}]
        misfit = Misfit("")
        for _ in range(1 + limits.AGENT_REASKS_MAX):
            try:
                with calling(context):
                    result = await OpenAIRunner.run(
                        agent,
                        messages,
                        context=account,
                        max_turns=None,  # the allowance counts them
                        run_config=config,
                    )
            except ModelRefusalError as error:
                raise AnswerRefused(f"the model declined: {error.refusal}") from None
            except ModelBehaviorError as error:
                raise AnswerInvalid(f"the model answered what no agent can use: {error}") from None
            if isinstance(result.final_output, answer):
                return result.final_output
            misfit = result.final_output
            messages = [*result.to_input_list(), {"role": "user", "content": _AGAIN.format(misfit.why)}]
        raise AnswerInvalid(f"the answer of '{agent.name}' does not fit, and again when asked again: {misfit.why}")


_AGAIN = "Your answer does not fit the schema: {}. Answer again: one JSON object that fits, and nothing else."
