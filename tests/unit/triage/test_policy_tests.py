"""A policy's own tests, run as its messages would be."""

import random
from typing import Any

import orjson
import pytest

from processors.clock import SystemClock
from processors.errors import AnswerRefused, ProviderUnavailable
from processors.policy import Policy
from processors.policy_tests import Result, run
from tests.fakes import FakeNano, Reply
from tests.unit.triage.build import LABELS

CHAT = {
    "kind": "dialogue",
    "topics": ["chat"],
    "deadline": "100ms",
    "labels": {"fraud": {"means": "A payment they did not make"}, "service": {"means": "An ordinary request"}},
}
LOGS = {
    "kind": "log",
    "topics": ["syslog"],
    "deadline": "100ms",
    "labels": LABELS,
    "fields": {"service": {"means": "The failing service"}},
    "rules": [{"name": "health", "when": {"text": "GET /healthz"}, "then": {"label": "routine"}}],
}


async def results(model: FakeNano, *tests: dict[str, Any]) -> list[Result]:
    policy = Policy.model_validate({"streams": {"logs": LOGS, "chat": CHAT}, "tests": tests})
    return await run(policy, model, clock=SystemClock(), rng=random.Random(1))


def disk(text: str) -> Reply:
    return {"label": "alert", "fields": {"service": "sda"}} if "disk" in text else {}


async def test_one_result_a_test_in_order():
    passed = await results(
        FakeNano(disk),
        {"stream": "logs", "text": "disk failed", "expect": {"label": "alert", "fields": {"service": "sda"}}},
        {"stream": "chat", "text": "I did not pay that", "expect": {"label": "fraud", "escalate": "never"}},
        {"stream": "logs", "text": "GET /healthz 200", "expect": {"label": "routine"}},
    )
    assert [result.failures for result in passed] == [[], [], []]
    assert [result.decision.decided_by for result in passed if result.decision] == ["nano", "nano", "rule"]


async def test_headers_are_the_records():
    (result,) = await results(
        FakeNano(),
        {
            "stream": "logs",
            "text": "all well",
            "headers": {"sluice-escalate": "flagship"},
            "expect": {"escalate": "flagship"},
        },
    )
    assert result.passed


async def test_a_failure_says_what_was_expected_and_what_came():
    (result,) = await results(
        FakeNano(disk),
        {
            "stream": "logs",
            "text": "disk failed",
            "expect": {"label": "noise", "escalate": "never", "fields": {"service": "db"}},
        },
    )
    assert not result.passed
    assert result.failures == [
        "expected label 'noise', got 'alert' with confidence 0.9, by nano",
        "expected escalation 'never', got 'mini' (label 'alert' goes to mini)",
        "expected field service = 'db', got 'sda'",
    ]
    assert str(result).splitlines()[:2] == ["FAILED logs: disk failed", f"       {result.failures[0]}"]
    assert orjson.loads(orjson.dumps(result))["passed"] is False  # `sluice test --json`


async def test_a_text_that_cannot_be_decided_fails_its_test_only():
    def refuse(text: str) -> Reply:
        if "bomb" in text:
            raise AnswerRefused("declined")
        return {}

    refused, rejected, passed = await results(
        FakeNano(refuse),
        {"stream": "logs", "text": "bomb", "expect": {"label": "routine"}},
        {"stream": "logs", "text": " ", "expect": {"label": "routine"}},
        {"stream": "logs", "text": "all well", "expect": {"label": "routine"}},
    )
    assert refused.failures == ["the model gave no valid answer: declined"]
    assert "the text was rejected as unknown_shape" in rejected.failures[0]
    assert passed.passed


async def test_without_a_model_nothing_is_tested():
    def down(text: str) -> Reply:
        raise ProviderUnavailable("down")

    with pytest.raises(ProviderUnavailable, match="down"):
        await results(FakeNano(down), {"stream": "logs", "text": "a", "expect": {"label": "alert"}})
