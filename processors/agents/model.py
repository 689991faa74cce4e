"""A model as openai-agents sees it, each call within an allowance."""

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

from agents import Model, ModelResponse, ModelSettings, Tool
from agents.items import TResponseOutputItem, TResponseStreamEvent
from openai.types.responses import ResponseOutputMessage, ResponseOutputText

from processors.agents.account import Allowance
from processors.errors import AnswerInvalid
from topics import limits


class BoundedModel(Model):
    """One agent's view of a model for the length of its run."""

    def __init__(self, model: Model, allowance: Allowance) -> None:
        self._model = model
        self._allowance = allowance

    async def get_response(
        self,
        system_instructions: str | None,
        input: Any,
        model_settings: ModelSettings,
        tools: list[Tool],
        *rest: Any,
        **named: Any,
    ) -> ModelResponse:
        """An answer that says something: a text, a refusal or tool calls. An empty one is asked for again.

        Raises BoundReached, AnswerInvalid, and the gateway's errors as they are.
        """
        for _ in range(1 + limits.AGENT_REASKS_MAX):
            self._allowance.take_turn()
            settings = model_settings
            if tools and self._allowance.turns == 0:  # better an answer from what is known than none
                settings = dataclasses.replace(model_settings, tool_choice="none")
            response = await self._model.get_response(system_instructions, input, settings, tools, *rest, **named)
            self._allowance.account.turns += 1
            if any(map(_says_something, response.output)):
                return response
        raise AnswerInvalid("the model said nothing, and again when asked again")

    def stream_response(self, *_args: Any, **_named: Any) -> AsyncIterator[TResponseStreamEvent]:
        raise NotImplementedError("nobody watches these runs, so nothing streams")


def _says_something(item: TResponseOutputItem) -> bool:
    """A tool call, a refusal, or a text with something in it."""
    if isinstance(item, ResponseOutputMessage):
        return any(not isinstance(part, ResponseOutputText) or part.text.strip() for part in item.content)
    return item.type != "reasoning"
