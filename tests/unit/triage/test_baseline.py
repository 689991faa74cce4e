"""What a plain call costs, and the floor under every call."""

import pytest

from processors import baseline
from processors.policy import Policy
from tests.unit.triage.build import LABELS, stream


def policy(means: str = "Normal operation") -> Policy:
    return Policy(streams={"logs": stream(labels=LABELS | {"routine": {"means": means}})})


def test_the_floor_is_the_messages_own_tokens_and_five_of_output() -> None:
    """At nano's built-in price: 0.20 and 1.25 USD per million."""
    assert baseline.floor_usd(policy(), "logs", 250) == pytest.approx((100 * 0.20 + 5 * 1.25) / 1e6)
    assert baseline.floor_usd(policy(), "logs", 250, 0.5) == pytest.approx((100 * 0.20 + 5 * 1.25) / 2e6)


def test_a_plain_call_is_dearer_by_its_instructions_and_a_longer_answer() -> None:
    call, floor = (usd(policy(), "logs", 250) for usd in (baseline.call_usd, baseline.floor_usd))
    instructions = baseline.instruction_tokens(policy().streams["logs"])
    assert call - floor == pytest.approx((instructions * 0.20 + 15 * 1.25) / 1e6)


def test_long_instructions_are_cached_by_the_provider_itself() -> None:
    short, long = policy(), policy("word " * 1_000)
    assert baseline.call_usd(long, "logs", 250) < 1.5 * baseline.call_usd(short, "logs", 250)
    assert baseline.call_usd(policy("word " * 700), "logs", 250) > baseline.call_usd(long, "logs", 250)
