"""What the same messages would cost with one plain nano call each: the honest comparison for every saving.

That call is short and unpadded: the labels in the policy's own words, one message, a plain JSON answer. Nothing of
it is cached, because it stays below the provider's 1,024-token threshold.
"""

from collections.abc import Iterable

from processors.gateway.prices import price_of
from processors.policy import Policy, Stream
from topics.messages import Kind

OUTPUT_TOKENS = 20  # of an answer such as {"label":"routine","confidence":0.97,"priority":10}
ENVELOPE_TOKENS = 40  # "Classify the message …", the wished form of the answer, roles and separators
_BYTES_PER_TOKEN: dict[Kind, float] = {"log": 2.5, "email": 4.0, "dialogue": 4.0}


def _tokens(text: str, kind: Kind) -> float:
    return len(text.encode()) / _BYTES_PER_TOKEN[kind]


def instruction_tokens(stream: Stream) -> float:
    """Tokens of the plain instruction: each label and its meaning, once."""
    return ENVELOPE_TOKENS + sum(_tokens(f"{name}: {label.means}\n", "email") for name, label in stream.labels.items())


def one_call_each_usd(policy: Policy, stream_name: str, texts: Iterable[str]) -> float:
    """USD for one nano call for each of a stream's messages, by the texts that a model would be shown."""
    stream = policy.streams[stream_name]
    price = price_of("nano", policy.tiers.nano)
    fixed = instruction_tokens(stream)
    return sum(
        (fixed + _tokens(text, stream.kind)) * price.input / 1e6 + OUTPUT_TOKENS * price.output / 1e6 for text in texts
    )
