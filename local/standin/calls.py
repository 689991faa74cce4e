"""A model call as the stand-in sees it, whichever API it came by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call; `parameters` is a JSON Schema."""

    name: str
    description: str
    parameters: Json


@dataclass(frozen=True, slots=True)
class Said:
    """Text of one side of the conversation."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model asks for a function to be called; `arguments` is JSON text."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What the function returned."""

    call_id: str
    text: str


Turn = Said | ToolCall | ToolOutput


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """The shape asked for: a named JSON Schema, or any object where `schema` is None."""

    name: str
    schema: Json | None


@dataclass(frozen=True, slots=True)
class Question:
    """A question about the input that is answered by one of its choices: (value, description)."""

    name: str | None
    instructions: str
    choices: Sequence[tuple[str | bool, str]]


@dataclass(frozen=True, slots=True)
class Decided:
    """The answer to a question. `choice` is None where it is declined."""

    question: Question
    choice: str | bool | None
    probability: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request that passed the API's own rules."""

    model: str
    system: str
    turns: Sequence[Turn]
    tools: Sequence[Tool]
    tool_choice: str  # auto, none, required, or the name of a tool
    parallel_tool_calls: bool
    format: JsonSchema | None
    max_output_tokens: int | None
    effort: str
    service_tier: str  # default or flex
    cache_key: str
    segments: Sequence[bytes]  # the prompt in the order in which a prefix is cached
    questions: Sequence[Question] = ()  # of the Decisions API, which wants no text

    @property
    def prompt_chars(self) -> int:
        return sum(map(len, self.segments))


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says: tool calls, a refusal, decisions or text."""

    text: str = ""
    tool_calls: Sequence[ToolCall] = ()
    refusal: str | None = None
    decisions: Sequence[Decided] = ()
