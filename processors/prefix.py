"""What every call of a stream begins with: whether it is filled up to where providers cache it, and under which key.

A cached token costs a tenth of a fresh one, but only prefixes from 1,024 tokens on are cached. So a longer prefix is
cheaper than a short one where it is found often enough: where 0.9 of the tokens read from the cache are more than what
filling adds. It begins filled where that can be, and ends where the cached tokens that come back say that it is not.

What fills it is the handbook, the same for everybody (processors/handbook.py), and never messages that were audited:
one tenant's would be shown in the calls of others, and an erasure would have to reach them.

Keys: the provider serves about 15 requests a minute of one `prompt_cache_key` from one cache, so a stream has as many
keys as its calls need, each filled before the next is taken.
"""

from collections import deque
from dataclasses import dataclass, field

from topics.limits import CACHE_KEYS_MAX

CACHED_TOKENS_MIN = 1_024  # the provider's threshold; prefixes for models with 2,048 stay short, after a trial
CACHED_PRICE = 0.1  # of a cached token, beside a fresh one, with every model of the vendor
CALLS_PER_KEY = 15  # a minute
_STEP_TOKENS = 128  # what is cached comes in such steps
_BYTES_PER_TOKEN = 4.6  # of plain English, about
SHORT_BYTES_MAX = round(CACHED_TOKENS_MIN * _BYTES_PER_TOKEN)  # a longer prefix is cached as it is
FILLED_BYTES = round((CACHED_TOKENS_MIN + _STEP_TOKENS) * _BYTES_PER_TOKEN)  # enough for 5.1 bytes a token, too
_MINUTE_S = 60.0
_TRIAL_CALLS = 20  # until the cached tokens say something
_TRIAL_KEYS = 8  # that are filled meanwhile: where nothing is cached, at most 120 calls a minute cost more for it
_SMOOTHING = 0.05  # of what is measured: the last twenty calls or so
_REST_SECONDS = 3_600.0  # after a trial that did not pay: traffic differs by the hour
_REST_SECONDS_MAX = 86_400.0  # it doubles each time, so that a stream that never pays spends next to nothing on trials


@dataclass(frozen=True, slots=True)
class Opening:
    """How a call begins. `warm`: an answer has come to its key, so that a filled prefix should be found."""

    key: str
    filled: bool
    warm: bool
    number: int  # of the key


@dataclass(slots=True)
class _Key:
    sent: deque[float] = field(default_factory=lambda: deque(maxlen=CALLS_PER_KEY))  # when its latest calls went
    warm: bool = False


class Prefix:
    """Of one stream and process. `filled_bytes` is 0 where there is no filled prefix. `salt` tells the process's keys
    from those of others."""

    def __init__(self, name: str, short_bytes: int, filled_bytes: int, salt: str) -> None:
        self._name = name
        self._salt = salt
        self._added_tokens = (filled_bytes - short_bytes) / _BYTES_PER_TOKEN
        steps = filled_bytes / _BYTES_PER_TOKEN // _STEP_TOKENS
        self._can_pay = filled_bytes > 0 and self._pays(steps * _STEP_TOKENS)
        self._fills = False
        self._tried = 0
        self._cached_tokens = 0.0  # a filled call
        self._rests_until_s = float("-inf")
        self._rest_s = _REST_SECONDS
        self._keys: list[_Key] = []

    def open(self, now_s: float) -> Opening:
        """How a call begins that goes now."""
        if self._can_pay and not self._fills and now_s >= self._rests_until_s:
            self._fills, self._tried = True, 0
            for key in self._keys:
                key.warm = False
        number = self._next_key(now_s)
        filled = self._fills and (self._tried >= _TRIAL_CALLS or number < _TRIAL_KEYS)
        return Opening(f"{self._name}.{self._salt}{number}"[-64:], filled, self._keys[number].warm, number)

    def heard(self, opening: Opening, cached_tokens: float, now_s: float) -> None:
        """How much of the call's input was read from the cache."""
        if not (opening.filled and self._fills):
            return
        self._keys[opening.number].warm = True
        if not cached_tokens and not opening.warm:
            return  # calls that went side by side, the first of their key: none could find what another left
        self._tried += 1
        self._cached_tokens += (cached_tokens - self._cached_tokens) * max(_SMOOTHING, 1 / self._tried)
        if self._tried < _TRIAL_CALLS:
            return
        if self._pays(self._cached_tokens):
            self._rest_s = _REST_SECONDS
        else:
            self._fills = False
            self._rests_until_s = now_s + self._rest_s
            self._rest_s = min(2 * self._rest_s, _REST_SECONDS_MAX)

    def _pays(self, cached_tokens: float) -> bool:
        return (1 - CACHED_PRICE) * cached_tokens > self._added_tokens

    def _next_key(self, now_s: float) -> int:
        """The first that had fewer than 15 calls in the last minute."""
        for number, key in enumerate(self._keys):
            if len(key.sent) < CALLS_PER_KEY or now_s - key.sent[0] >= _MINUTE_S:
                key.sent.append(now_s)
                return number
        if len(self._keys) < CACHE_KEYS_MAX:
            self._keys.append(_Key())
            number = len(self._keys) - 1
        else:
            number = min(range(len(self._keys)), key=lambda known: self._keys[known].sent[0])
        self._keys[number].sent.append(now_s)
        return number
