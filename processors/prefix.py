"""What every call of a stream begins with: whether it is filled up to where providers cache it, and under which key.

A cached token costs a tenth of a fresh one, but only prefixes from 1,024 tokens on are cached. So a longer prefix is
cheaper than a short one where it is found often enough: with p tokens filled, s short, and a share h of the prefix read
from the cache, where p (1 - 0.9 h) < s. h is measured from the cached tokens that come back.

Keys: the provider serves about 15 requests a minute of one `prompt_cache_key` from one cache, so a stream has as many
keys as its calls need, each filled before the next is taken.
"""

from collections import deque

from topics.limits import CACHE_KEYS_MAX

CACHED_TOKENS_MIN = 1_024  # the provider's threshold; with some models 2,048
FILLED_TOKENS = 1_152  # aimed at: the threshold, and a step of 128 for what the estimate may be wrong by
FILLED_TOKENS_MAX = 2_304  # the same for models with the higher threshold
CACHED_PRICE = 0.1  # of a cached token, beside a fresh one, with every model of the vendor
CALLS_PER_KEY = 15  # a minute
_MINUTE_S = 60.0
_MEASURED_CALLS = 10  # until it is known how many bytes a token has
_TRIAL_CALLS = 20  # until the hit rate says something
_SMOOTHING = 0.05  # of what is measured: the last twenty calls or so
_RETRY_SECONDS = 3_600.0  # after a trial that did not pay: traffic differs by the hour
_NOTHING = 0.05  # hit rate under which the prefix was too short for the model, and the next trial aims at twice as much


class Prefix:
    """Of one stream and process. `salt` tells the process's keys from those of others."""

    def __init__(self, name: str, short_bytes: int, salt: str) -> None:
        self._name = name
        self._salt = salt
        self._short_bytes = short_bytes
        self._filled_bytes = 0
        self._aim_tokens = FILLED_TOKENS
        self._bytes_per_token = 4.0  # as prose has
        self._heard = 0
        self._hit_rate = 1.0
        self._tried = 0
        self._rests_until_s = float("-inf")
        self._sent: list[deque[float]] = []  # by key: when its latest calls went

    def wants_filling(self, now_s: float) -> bool:
        """Whether it is time to try a filled prefix of `bytes_wanted`; `filled_to` says what came of it."""
        if self._filled_bytes or self._heard < _MEASURED_CALLS or now_s < self._rests_until_s:
            return False
        return self._short_bytes < CACHED_TOKENS_MIN * self._bytes_per_token  # else it is cached as it is

    @property
    def bytes_wanted(self) -> int:
        """How long a filled prefix has to be, by what the tokens were that came back."""
        return round(self._aim_tokens * self._bytes_per_token)

    def filled_to(self, filled_bytes: int, now_s: float) -> None:
        """There is a filled prefix so long, and it is tried; 0: there are too few examples."""
        self._filled_bytes, self._tried, self._hit_rate = filled_bytes, 0, 1.0
        if not filled_bytes:
            self._rests_until_s = now_s + _RETRY_SECONDS

    @property
    def pays(self) -> bool:
        """Whether the next call begins with the filled prefix."""
        return self._filled_bytes > 0

    def key(self, now_s: float) -> str:
        """The cache key of a call that goes now: the first that had fewer than 15 in the last minute."""
        for number, sent in enumerate(self._sent):
            if len(sent) < CALLS_PER_KEY or now_s - sent[0] >= _MINUTE_S:
                sent.append(now_s)
                return self._named(number)
        if len(self._sent) < CACHE_KEYS_MAX:
            self._sent.append(deque((now_s,), maxlen=CALLS_PER_KEY))
            return self._named(len(self._sent) - 1)
        oldest = min(range(len(self._sent)), key=lambda number: self._sent[number][0])
        self._sent[oldest].append(now_s)
        return self._named(oldest)

    def heard(self, sent_bytes: int, input_tokens: float, cached_tokens: float, *, filled: bool, now_s: float) -> None:
        """What the usage of a call says of its prefix. `sent_bytes`: of the whole call."""
        if input_tokens > 0:
            self._heard += 1
            measured = min(max(sent_bytes / input_tokens, 1.0), 8.0)
            self._bytes_per_token += (measured - self._bytes_per_token) * max(_SMOOTHING, 1 / self._heard)
        if not filled or not self._filled_bytes:
            return
        self._tried += 1
        share = min(1.0, cached_tokens / (self._filled_bytes / self._bytes_per_token))
        self._hit_rate += (share - self._hit_rate) * max(_SMOOTHING, 1 / self._tried)
        cost = self._filled_bytes * (1 - (1 - CACHED_PRICE) * self._hit_rate)
        if self._tried >= _TRIAL_CALLS and cost >= self._short_bytes:
            if self._hit_rate < _NOTHING:
                self._aim_tokens = min(2 * self._aim_tokens, FILLED_TOKENS_MAX)
            self.filled_to(0, now_s)

    def _named(self, number: int) -> str:
        return f"{self._name}.{self._salt}{number}"[-64:]
