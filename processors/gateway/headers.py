"""What a provider's response headers say about its limits and about when to come again."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Literal

from topics.limits import RETRY_AFTER_SECONDS_MAX

Resource = Literal["requests", "tokens"]
RESOURCES: tuple[Resource, ...] = ("requests", "tokens")

_UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_NUMBER = re.compile(r"\d{1,15}(?:\.\d+)?")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|d|h|m|s)")


@dataclass(frozen=True, slots=True)
class Told:
    """One limit as a response told it."""

    limit: float
    remaining: float
    reset_s: float | None  # until the whole limit is there again


def told(headers: Mapping[str, str], resource: Resource) -> Told | None:
    """`x-ratelimit-{limit,remaining,reset}-{resource}`; None where the server does not send them or sends nonsense."""
    limit = _number(headers.get(f"x-ratelimit-limit-{resource}"))
    remaining = _number(headers.get(f"x-ratelimit-remaining-{resource}"))
    if not limit or remaining is None:
        return None
    return Told(limit, min(remaining, limit), duration_s(headers.get(f"x-ratelimit-reset-{resource}", "")))


def duration_s(text: str) -> float | None:
    """Seconds of "1m30s", "250ms", "6m0s" or a bare number of seconds; None for anything else."""
    parts = _PART.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return sum(float(number) * _UNITS[unit] for number, unit in parts)
    return _number(text)


def retry_after_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """`retry-after-ms`, or `retry-after` in seconds or as a date, bounded. `now_s`: the epoch time"""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return min(milliseconds / 1000, RETRY_AFTER_SECONDS_MAX)
    text = headers.get("retry-after", "")
    seconds = _number(text)
    if seconds is None and text:
        try:
            seconds = max(0.0, parsedate_to_datetime(text).timestamp() - now_s)
        except ValueError:
            return None
    return None if seconds is None else min(seconds, RETRY_AFTER_SECONDS_MAX)


def _number(text: str | None) -> float | None:
    """A finite number of at least 0, or None."""
    return float(text) if text and _NUMBER.fullmatch(text) else None
