"""What the same messages would cost with one plain nano call each, and what they cost at the very least.

The baseline call is short and unpadded: the labels in the policy's own words, one message, a plain JSON answer. Its
instructions are cached as the provider does by itself, which takes 1,024 tokens of them. The floor pays for each
message's own tokens once and for five of output, without instructions: no prompt can be cheaper.
"""

from collections.abc import Iterable

from processors.gateway.prices import price_of
from processors.policy import Policy, Stream
from processors.prefix import CACHED_TOKENS_MIN
from topics.messages import Kind

OUTPUT_TOKENS = 20  # of an answer such as {"label":"routine","confidence":0.97,"priority":10}
ENVELOPE_TOKENS = 40  # "Classify the message …", the wished form of the answer, roles and separators
FLOOR_OUTPUT_TOKENS = 5
CACHE_STEP_TOKENS = 128
_BYTES_PER_TOKEN: dict[Kind, float] = {"log": 2.5, "email": 4.0, "dialogue": 4.0}


def instruction_tokens(stream: Stream) -> float:
    """Tokens of the plain instruction: each label and its meaning, once."""
    words = (f"{name}: {label.means}\n" for name, label in stream.labels.items())
    return ENVELOPE_TOKENS + sum(message_tokens(len(text.encode()), "email") for text in words)


def message_tokens(text_bytes: float, kind: Kind) -> float:
    """Tokens of a message's text in UTF-8."""
    return text_bytes / _BYTES_PER_TOKEN[kind]


def call_usd(policy: Policy, stream_name: str, text_bytes: float) -> float:
    """USD for one nano call about one of a stream's messages; of a mean size, the mean cost."""
    stream = policy.streams[stream_name]
    price = price_of("nano", policy.tiers.nano)
    instructions = instruction_tokens(stream)
    cached = instructions // CACHE_STEP_TOKENS * CACHE_STEP_TOKENS if instructions >= CACHED_TOKENS_MIN else 0.0
    fresh = instructions - cached + message_tokens(text_bytes, stream.kind)
    return (fresh * price.input + cached * price.cached + OUTPUT_TOKENS * price.output) / 1e6


def floor_usd(policy: Policy, stream_name: str, text_bytes: float, lane_share: float = 1.0) -> float:
    """USD for one message at the floor. `lane_share`: what the lane costs beside realtime (flex and batch: 0.5)."""
    price = price_of("nano", policy.tiers.nano)
    own = message_tokens(text_bytes, policy.streams[stream_name].kind)
    return (own * price.input + FLOOR_OUTPUT_TOKENS * price.output) * lane_share / 1e6


def one_call_each_usd(policy: Policy, stream_name: str, texts: Iterable[str]) -> float:
    """USD for one nano call for each of a stream's messages, by the texts that a model would be shown."""
    sizes = [len(text.encode()) for text in texts]
    return len(sizes) * call_usd(policy, stream_name, sum(sizes) / len(sizes)) if sizes else 0.0
