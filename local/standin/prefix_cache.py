"""Automatic prompt caching as OpenAI does it: exact prefix, from 1,024 tokens, in steps of 128."""

from collections import OrderedDict
from collections.abc import Iterable

from local.standin.tokens import Chunk

TOKENS_MIN = 1_024
TOKENS_STEP = 128
IDLE_SECONDS_MIN = 300  # a prefix lives 5 to 10 minutes after its last use
REQUESTS_PER_MACHINE = 15  # a minute and cache key; beyond it another machine answers, with its own cache
PREFIXES_MAX = 500_000  # chunks remembered, the least recently used dropped first: about 60 MB
ROUTES_MAX = 20_000


class PrefixCache:
    """Remembers the prefixes of earlier calls. Not thread-safe; one event loop owns it."""

    def __init__(self) -> None:
        self._expires: OrderedDict[int, float] = OrderedDict()
        self._routes: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def cached_tokens(self, model: str, cache_key: str, prompt: Iterable[Chunk], now: float) -> int:
        """How many of the prompt's tokens are read from the cache; the whole prompt is remembered for the next."""
        chain = hash((model, cache_key, self._machine(model, cache_key, now)))
        hit = True
        total = cached = 0.0
        for chunk in prompt:
            chain = hash((chain, chunk.key))
            total += chunk.tokens
            hit = hit and self._expires.get(chain, 0.0) > now
            if hit:
                cached = total
            self._expires[chain] = now + IDLE_SECONDS_MIN + chain % (IDLE_SECONDS_MIN + 1)
            self._expires.move_to_end(chain)
        while len(self._expires) > PREFIXES_MAX:
            self._expires.popitem(last=False)
        return int(cached) // TOKENS_STEP * TOKENS_STEP if cached >= TOKENS_MIN else 0

    def _machine(self, model: str, cache_key: str, now: float) -> int:
        """Requests of one key go to one machine, until it has had its share of the minute."""
        route = (model, cache_key)
        started, requests = self._routes.get(route, (now, 0))
        if now - started >= 60:
            started, requests = now, 0
        self._routes[route] = (started, requests + 1)
        self._routes.move_to_end(route)
        while len(self._routes) > ROUTES_MAX:
            self._routes.popitem(last=False)
        return requests // REQUESTS_PER_MACHINE
