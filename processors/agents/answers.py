"""The shapes in which agents answer, as strict schemas, and reading them with some tolerance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from agents import AgentOutputSchemaBase
from agents.strict_schema import ensure_strict_json_schema
from pydantic import AfterValidator, BaseModel, Field, ValidationError, ValidationInfo

from processors.gateway.wire import bare_json
from topics import limits
from topics.messages import Severity


def _chosen(value: str, info: ValidationInfo) -> str:
    choices = (info.context or {})[info.field_name]
    if value not in choices:
        raise ValueError(f"use one of {', '.join(choices)}")
    return value


Chosen = Annotated[str, AfterValidator(_chosen)]
"""One of the choices that the schema is given for this field."""
Text = Annotated[str, AfterValidator(lambda text: text[: limits.AGENT_TEXT_CHARS_MAX])]


class Finding(BaseModel):
    tool: Text = Field(description="The tool it comes from; `message` where the message itself says it")
    finding: Text


# Fields stand in the order in which a model should think: what it found, then what that means.


class Judgement(BaseModel):
    """The end of a flagship's run."""

    evidence: list[Finding]
    summary: Text = Field(description="What happened and why, in two or three sentences")
    label: Chosen
    severity: Severity
    priority: int = Field(ge=0, le=100, description="Order of work, 100 first")
    confidence: float = Field(ge=0, le=1, description="How sure you are of the label")
    actions: list[Text] = Field(description="What people should do next, in order; may be empty")


class MiniJudgement(Judgement):
    """The end of a mini agent's run."""

    decision: Literal["resolved", "escalate"] = Field(
        description="`escalate` where evidence contradicts itself or a wrong label would do harm and you are not sure"
    )


class PlannedTask(BaseModel):
    goal: Text = Field(description="What to find out, in words that stand alone")
    tools: list[str]


class Plan(BaseModel):
    """What a flagship wants to know before it decides."""

    sub_tasks: list[PlannedTask] = Field(min_length=1, max_length=limits.AGENT_SUBTASKS_MAX)


class Report(BaseModel):
    """The end of a sub-task."""

    findings: list[Finding]
    result: Text = Field(description="What the goal asked for, in a few sentences; say so where it was not found")


@dataclass(frozen=True, slots=True)
class Misfit:
    """An answer that does not fit its schema."""

    why: str


class AnswerSchema(AgentOutputSchemaBase):
    """An answer whose fields of these names have these choices.

    Reading never raises: what does not fit becomes a Misfit, so that the agent can be asked again in its own run.
    """

    def __init__(self, answer: type[BaseModel], choices: Mapping[str, Sequence[str]]) -> None:
        self._answer = answer
        self._choices = choices
        self._schema = _with_enums(ensure_strict_json_schema(answer.model_json_schema()), choices)

    def is_plain_text(self) -> bool:
        return False

    def name(self) -> str:
        return self._answer.__name__

    def json_schema(self) -> dict[str, Any]:
        return self._schema

    def is_strict_json_schema(self) -> bool:
        return True

    def validate_json(self, json_str: str) -> BaseModel | Misfit:
        try:
            return self._answer.model_validate_json(bare_json(json_str), context=self._choices)
        except ValidationError as error:
            wrong = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)]
            return Misfit("; ".join(wrong)[: limits.AGENT_TEXT_CHARS_MAX])


def _with_enums(schema: dict[str, Any], choices: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    for part in (schema, *schema.get("$defs", {}).values()):
        for name, values in choices.items():
            if field := part.get("properties", {}).get(name):
                field.get("items", field)["enum"] = list(values)
    return schema
