"""A policy pointed elsewhere: at what stands in on this machine, or at topics apart from everything else."""

from typing import get_args

from processors.gateway.prices import BUILT_IN
from processors.gateway.routes import DECISIONS_MODEL
from processors.policy import KafkaSecurity, Policy, Provider, Tiers, TierSettings
from topics.messages import Lane, Tier

_SIMULATED = "simulated"
_CHOOSING = "simulated-decisions"  # the same by its Decisions API, where the policy asks nano by that
_IN_THE_CLEAR = KafkaSecurity(protocol="PLAINTEXT")  # said, so that the caller's KAFKA_* are not asked


def at_broker(policy: Policy, bootstrap_servers: str) -> Policy:
    """The policy with its topics on that broker, which anybody on this machine may use."""
    here = {"bootstrap_servers": bootstrap_servers, "security": _IN_THE_CLEAR, "replication_factor": 1}
    kafka = policy.kafka.model_copy(update=here)
    return policy.model_copy(update={"kafka": kafka})


def at_models(policy: Policy) -> Policy:
    """The policy with every tier at the stand-in, whose address and key the gateway then takes from its environment.

    The stand-in serves the models with a built-in price; another becomes its tier's usual one, at the policy's price.
    Nobody is notified: what simulated answers raise is no alert to anyone.
    """

    def tier(name: Tier) -> TierSettings:
        chosen = policy.tiers.of(name)
        if policy.providers[chosen.provider].api == "decisions":
            return chosen.model_copy(update={"provider": _CHOOSING, "model": DECISIONS_MODEL})
        model = chosen.model if chosen.model in BUILT_IN else Tiers().of(name).model
        return chosen.model_copy(update={"provider": _SIMULATED, "model": model})

    lanes: tuple[Lane, ...] = get_args(Lane)
    provider = Provider(base_url="${OPENAI_BASE_URL}", api_key_env="OPENAI_API_KEY", api="responses", lanes=lanes)
    tiers = Tiers(nano=tier("nano"), mini=tier("mini"), flagship=tier("flagship"))
    providers = {_SIMULATED: provider}
    if tiers.nano.provider == _CHOOSING:
        providers[_CHOOSING] = provider.model_copy(update={"api": "decisions", "lanes": None})
    return policy.model_copy(update={"providers": providers, "tiers": tiers, "notify": ()})


def under(policy: Policy, prefix: str) -> Policy:
    """The policy with Sluice's topics and its inputs under `prefix`: what a trial writes touches nobody's topics."""
    streams = {
        name: stream.model_copy(update={"topics": tuple(prefix + topic for topic in stream.topics)})
        for name, stream in policy.streams.items()
    }
    return policy.model_copy(update={"kafka": policy.kafka.model_copy(update={"prefix": prefix}), "streams": streams})
