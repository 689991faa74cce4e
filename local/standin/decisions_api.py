"""`POST /v1/decisions`: from its JSON to a Call, and from an answer to its JSON.

Questions are choices here: predicates and scores are refused. Output is not billed, and none is counted.
"""

from typing import Any

from openai.types.decision_create_params import DecisionCreateParams

from local.standin import api_rules as rules
from local.standin.billing import Outcome
from local.standin.calls import Answer, Call, Decided, Question, Said, Turn
from local.standin.problems import invalid

PATH = "/v1/decisions"
MODEL = "gpt-6-luna"
QUESTIONS_MAX = 400
CHOICES_MIN, CHOICES_MAX = 2, 255
_KNOWN = frozenset(DecisionCreateParams.__annotations__)


def parse(body: dict[str, Any]) -> Call:
    """Raises Problem where the request breaks a rule of the API."""
    rules.check_parameters(body, _KNOWN)
    if body["model"] != MODEL:
        raise invalid(f"Only '{MODEL}' is supported, not '{body['model']}'.", param="model", code="unsupported_model")
    system, turns = _read_input(body.get("input"))
    questions = _read_questions(body.get("questions"))
    return Call(
        model=body["model"],
        system=system,
        turns=turns,
        tools=(),
        tool_choice="none",
        parallel_tool_calls=False,
        format=None,
        max_output_tokens=None,
        effort="none",
        service_tier="default",
        cache_key=body.get("prompt_cache_key") or "",
        segments=(*rules.prompt_segments(None, None, system, turns), *map(_shown, questions)),
        questions=questions,
    )


def _read_input(given: Any) -> tuple[str, list[Turn]]:
    """(system messages, the turns)."""
    if isinstance(given, str):
        return "", [Said("user", given)]
    if not isinstance(given, list) or not given:
        raise invalid("Missing required parameter: 'input'.", param="input", code="missing_required_parameter")
    system: list[str] = []
    turns: list[Turn] = []
    for index, item in enumerate(given):
        where = f"input[{index}]"
        match item.get("role") if isinstance(item, dict) else None:
            case "system" | "developer":
                system.append(rules.content_text(item.get("content"), where))
            case "user" | "assistant" as role:
                turns.append(Said(role, rules.content_text(item.get("content"), where)))
            case other:
                raise invalid(
                    f"Invalid value: '{other}'. This simulated provider takes messages.",
                    param=f"{where}.role",
                    code="invalid_value",
                )
    return "\n\n".join(system), turns


def _read_questions(given: Any) -> tuple[Question, ...]:
    if not isinstance(given, list) or not 1 <= len(given) <= QUESTIONS_MAX:
        told = len(given) if isinstance(given, list) else given
        raise invalid(f"Invalid 'questions': expected 1 to {QUESTIONS_MAX}, but got {told}.", param="questions")
    return tuple(_read_question(question, f"questions[{index}]") for index, question in enumerate(given))


def _read_question(given: Any, where: str) -> Question:
    kind = given.get("type") if isinstance(given, dict) else given
    if kind != "choice":
        raise invalid(
            f"Invalid value: '{kind}'. This simulated provider answers questions of type 'choice'.",
            param=f"{where}.type",
            code="invalid_value",
        )
    instructions = rules.content_text(given.get("instructions"), f"{where}.instructions")
    if not instructions:
        missing = f"{where}.instructions"
        raise invalid(f"Missing required parameter: '{missing}'.", param=missing, code="missing_required_parameter")
    listed = given.get("choices")
    if not isinstance(listed, list) or not all(isinstance(choice, dict) for choice in listed):
        raise invalid("Invalid type for 'choices': expected a list of objects.", param=f"{where}.choices")
    choices = tuple((choice.get("value"), choice.get("description") or "") for choice in listed)
    if not all(isinstance(value, str | bool) for value, _ in choices):
        raise invalid("A choice's value is a string or a boolean.", param=f"{where}.choices", code="invalid_type")
    if len({(type(value), value) for value, _ in choices}) < len(choices):
        raise invalid("Each choice must be unique.", param=f"{where}.choices")
    if not CHOICES_MIN <= len(choices) <= CHOICES_MAX:
        raise invalid(
            f"Invalid 'choices': expected {CHOICES_MIN} to {CHOICES_MAX}, but got {len(choices)}.",
            param=f"{where}.choices",
        )
    return Question(given.get("name"), instructions, choices)


def _shown(question: Question) -> bytes:
    """What the model reads of a question: its words and choices, as far as anybody outside knows."""
    choices = (f"{value}: {description}" if description else str(value) for value, description in question.choices)
    return "\n".join((question.instructions, *choices)).encode()


def render(body: dict[str, Any], answer: Answer, outcome: Outcome, call_id: str, now: float) -> dict[str, Any]:  # noqa: ARG001 - as the other APIs
    """The Decision object."""
    usage = outcome.usage
    return {
        "answers": [_answer(decided) for decided in answer.decisions],
        "model": body["model"],
        "usage": {
            "input_tokens": usage.input,
            "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": 0},
            "output_tokens": usage.output,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning},
            "total_tokens": usage.input + usage.output,
        },
        "simulated": True,
    }


def _answer(decided: Decided) -> dict[str, Any]:
    """One answer; what the choice leaves of the probability is spread evenly over the others."""
    name, values = decided.question.name, [value for value, _ in decided.question.choices]
    if decided.choice is None:
        return {"type": "refusal", "name": name}
    rest = (1 - decided.probability) / (len(values) - 1)
    probabilities = [
        {"value": value, "probability": decided.probability if value == decided.choice else rest} for value in values
    ]
    return {
        "type": "choice",
        "name": name,
        "choice": decided.choice,
        "confidence": decided.probability,
        "probabilities": probabilities,
    }
