"""Requests and tokens per minute of one model, as OpenAI counts and reports them.

The limit refills all the time (GCRA): `remaining` is the minute's limit less what has not refilled yet, `reset` the
time until all of it has. Enforced is a finer grain, as OpenAI's: no more than `burst_s` seconds' worth at once.
"""

from local.standin.problems import Problem, rate_limited, too_large


class Meter:
    """A generic cell rate algorithm over one unit. `full_at` is when everything taken has refilled."""

    def __init__(self, per_minute: int, burst_s: float) -> None:
        self.per_minute = per_minute
        self._second = per_minute / 60
        self._burst_s = burst_s
        self._full_at = 0.0

    def wait_s(self, amount: float, now: float) -> float:
        """Seconds until this much may be taken; 0 is now. More than a burst waits until all has refilled."""
        room_s = max(0.0, self._burst_s - amount / self._second)
        return max(0.0, self._full_at - now - room_s)

    def take(self, amount: float, now: float) -> None:
        self._full_at = max(self._full_at, now) + amount / self._second

    def count_refused(self, amount: float, now: float) -> None:
        """A refused call counts as well, but never beyond the burst: who waits as told gets through."""
        self._full_at = max(self._full_at, min(max(self._full_at, now) + amount / self._second, now + self._burst_s))

    def used(self, now: float) -> int:
        return min(self.per_minute, -int(-max(0.0, self._full_at - now) * self._second // 1))

    def reset_s(self, now: float) -> float:
        return max(0.0, self._full_at - now)


class RateLimits:
    """Both limits of one model. Not thread-safe; one event loop owns it."""

    def __init__(self, model: str, requests_per_minute: int, tokens_per_minute: int, burst_s: float) -> None:
        self._model = model
        self._meters = {
            "requests": Meter(requests_per_minute, burst_s),
            "tokens": Meter(tokens_per_minute, burst_s),
        }

    def admit(self, tokens: int, now: float) -> Problem | None:
        """Takes one request and its tokens, or says why not."""
        if tokens > (limit := self._meters["tokens"].per_minute):
            return too_large(self._model, limit, tokens)
        asked = {"requests": 1, "tokens": tokens}
        waits = {unit: meter.wait_s(asked[unit], now) for unit, meter in self._meters.items()}
        unit = max(waits, key=lambda unit: waits[unit])
        if waits[unit] > 0:
            meter = self._meters[unit]
            problem = rate_limited(self._model, unit, meter.per_minute, meter.used(now), asked[unit], waits[unit])
            self._meters["requests"].count_refused(1, now)
            return problem
        for unit, meter in self._meters.items():
            meter.take(asked[unit], now)
        return None

    def headers(self, now: float) -> dict[str, str]:
        """`x-ratelimit-{limit,remaining,reset}-{requests,tokens}`."""
        headers = {}
        for unit, meter in self._meters.items():
            headers[f"x-ratelimit-limit-{unit}"] = str(meter.per_minute)
            headers[f"x-ratelimit-remaining-{unit}"] = str(meter.per_minute - meter.used(now))
            headers[f"x-ratelimit-reset-{unit}"] = duration(meter.reset_s(now))
        return headers


def charged_tokens(prompt_chars: int, max_output_tokens: int | None) -> int:
    """What a call takes from the limit: the larger of its output bound and the estimate from its characters."""
    return max(max_output_tokens or 0, prompt_chars // 4, 1)


def duration(seconds: float) -> str:
    """As OpenAI writes it: 250ms, 1.5s, 1m30s."""
    ms = round(seconds * 1000)
    if ms < 1000:
        return f"{ms}ms"
    minutes, rest = divmod(ms, 60_000)
    return (f"{minutes}m" if minutes else "") + f"{rest / 1000:g}s"
