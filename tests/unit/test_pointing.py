"""A policy is run on this machine wherever it points itself."""

import tomllib

import pytest

from local import pointing
from local.standin.models import MODELS
from processors.gateway.prices import BUILT_IN
from processors.policy import Policy
from streams import settings

_POLICY = """
[kafka]
bootstrap_servers = "broker.example:9092"
replication_factor = 3
[providers.openai]
base_url = "https://models.example/v1"
api_key_env = "SOME_KEY"
[providers.house]
base_url = "http://house.example/v1"
api = "chat"
schemas = "none"
[tiers.nano]
provider = "house"
model = "house-8b"
usd_per_million = { input = 1, cached = 1, output = 2, as_of = 2026-11-01 }
[tiers.mini]
model = "gpt-5.4"
limits = { turns = 3 }
[[notify]]
kind = "alertmanager"
url = "http://alertmanager.example:9093"
[streams.logs]
kind = "log"
topics = ["logs"]
[streams.logs.labels.routine]
means = "Normal"
[streams.logs.labels.alert]
means = "A failure"
"""


@pytest.fixture
def policy() -> Policy:
    return Policy.model_validate(tomllib.loads(_POLICY))


def test_topics_are_on_the_broker_here(policy: Policy) -> None:
    here = pointing.at_broker(policy, "127.0.0.1:1")
    assert settings.bootstrap_servers(here.kafka, {}) == "127.0.0.1:1"
    assert here.kafka.replication_factor == 1
    assert here.streams == policy.streams


def test_no_tier_asks_another_server_than_the_stand_in(policy: Policy) -> None:
    here = pointing.at_models(policy)
    tiers = [here.tiers.of(tier) for tier in ("nano", "mini", "flagship")]
    assert {here.providers[tier.provider].base_url for tier in tiers} == {"${OPENAI_BASE_URL}"}
    assert not {"openai", "house"} & here.providers.keys()
    assert [tier.model for tier in tiers] == ["gpt-5.4-nano", "gpt-5.4", "gpt-5.4"]
    assert here.tiers.nano.usd_per_million == policy.tiers.nano.usd_per_million
    assert here.tiers.mini.limits.turns == 3


def test_nobody_is_notified_of_what_is_simulated(policy: Policy) -> None:
    assert policy.notify
    assert pointing.at_models(policy).notify == ()


def test_the_stand_in_serves_the_models_with_a_built_in_price() -> None:
    assert MODELS.keys() == BUILT_IN.keys()


def test_a_trial_touches_nobodys_topics() -> None:
    policy = pointing.under(Policy.model_validate(tomllib.loads(_POLICY)), "trial.")
    assert policy.streams["logs"].topics == ("trial.logs",)
    assert policy.kafka.prefix == "trial."
    assert policy.stream_of("trial.logs") == "logs"
