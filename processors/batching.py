"""How many messages of a stream travel in one call, and how long the first waits for company.

The size doubles and halves by what is measured. It grows while what is paid once a call (instructions, schema, control)
is a share of the bill worth dividing, and no further, because long batches are answered worse. It shrinks where calls
take too much of the deadline, and never exceeds what audits allow.

It does not flap: each wish has to come up in eight calls in a row, and of every pair of bounds the one for growing is
so far from the one for shrinking that a doubling cannot lead from one across the other. With b messages a call the
fixed share is s = f / (f + b), which a doubling makes s / (2 - s); latency at most doubles.

Pure: times are arguments, in seconds.
"""

import math

from topics.limits import BATCH_LINGER_SECONDS_MAX, BATCH_MESSAGES_MAX

_FIRST = 16  # messages, before anything is known
_SHARE_GROWS = 0.08  # fixed share of the bill from which doubling saves at least 4%
_SHARE_SHRINKS = 0.04  # under it halving costs less than 4%, and half as many answer better
_LATENCY_GROWS = 0.3  # of the deadline
_LATENCY_SHRINKS = 0.6
_LATENCY_OF_DOUBLE = 1.6  # times that of half the size, until calls of the new size tell: a part does not grow with it
_VOTES = 8  # calls in a row that want the same
_SMOOTHING = 0.1  # of what is measured: the last ten calls
_LATENCY_FIRST_S = 0.5  # of a call, before one was measured
_ALONE_SHARE_FIRST = 0.5  # before a bill was seen

_LINGER_SHARE = 1 / 3  # of the deadline, at most
_LINGER_SHARE_MIN = 1 / 20  # however long calls take: without company they would cost several times as much
_CALLS_IN_DEADLINE = 2.5  # a call, another one where its answer was not to be trusted, and some queueing
_QUIET_SHARE = 1 / 4  # of the linger without any arrival: those who are to come have come
_QUIET_SECONDS_MIN = 1.0
_COMPANY_MIN, _COMPANY_AGAIN = 0.25, 0.5  # messages expected within the linger: for fewer nobody waits; and again
_ARRIVALS_MIN = 8  # before the rate says something
_RATE_SECONDS = 2 * BATCH_LINGER_SECONDS_MAX  # that the arrival rate is the mean of, about


class Controller:
    """Of one stream. `fixed`: the size that the policy names, if it does."""

    def __init__(self, deadline_s: float, *, fixed: int | None = None) -> None:
        self._deadline_s = deadline_s
        self._fixed = fixed
        self._size = fixed or _FIRST
        self._ceiling = BATCH_MESSAGES_MAX if fixed is None else fixed
        self._votes = 0  # for growing where above zero, for shrinking below
        self._latency_s = _LATENCY_FIRST_S
        self.alone_share = _ALONE_SHARE_FIRST
        """Of what a message would cost in a call of its own, the share that it does not pay in company."""
        self._arrivals = 0
        self._began_s = self._arrived_at_s = 0.0
        self._recent = 0.0  # arrivals, fading
        self._waits = True

    @property
    def size(self) -> int:
        """Messages in one call, at most."""
        return min(self._size, self._ceiling)

    def arrived(self, now_s: float) -> None:
        """A message came that has to be asked about."""
        expected = self.rate(now_s) * self._allowed_s
        if self._arrivals == 0:
            self._began_s = now_s
        if self._arrivals >= _ARRIVALS_MIN:
            self._waits = expected >= (_COMPANY_MIN if self._waits else _COMPANY_AGAIN)
        self._recent = self._faded(now_s) + 1
        self._arrived_at_s = max(now_s, self._arrived_at_s)
        self._arrivals += 1

    def rate(self, now_s: float) -> float:
        """Arrivals a second of late."""
        counted_s = _RATE_SECONDS * -math.expm1(-max(0.0, now_s - self._began_s) / _RATE_SECONDS)
        return self._faded(now_s) / max(counted_s, _RATE_SECONDS / 100)

    def leaves_at_s(self, first_s: float, last_s: float) -> float:
        """When a batch leaves that is not full: its first message came at `first_s`, its last at `last_s`."""
        if self.size == 1 or not self._waits:
            return first_s
        quiet_s = max(_QUIET_SECONDS_MIN, self._allowed_s * _QUIET_SHARE)
        return min(first_s + self._allowed_s, last_s + quiet_s)

    def called(self, messages: int, latency_s: float, fixed_share: float) -> None:
        """What a call about `messages` told. `fixed_share`: of its bill, what does not grow with the messages.

        Calls about fewer than half of the size left early, and say nothing about it.
        """
        self._latency_s += _SMOOTHING * (latency_s - self._latency_s)
        self.alone_share += _SMOOTHING * (_at_size(fixed_share, messages, 1) - self.alone_share)
        if self._fixed is not None or 2 * messages < self._size:
            return
        wish = self._wish(_at_size(fixed_share, messages, self.size))
        self._votes = self._votes + wish if wish * self._votes > 0 else wish
        if abs(self._votes) == _VOTES:
            grows = self._votes > 0
            self._size = self._size * 2 if grows else self._size // 2
            self._latency_s *= _LATENCY_OF_DOUBLE if grows else 1 / _LATENCY_OF_DOUBLE  # else it shrinks on old news
            self._votes = 0

    def at_most(self, size: int | None) -> None:
        """The largest size that audits allow, also of one that the policy names. None: any."""
        allowed = self._fixed or BATCH_MESSAGES_MAX
        self._ceiling = allowed if size is None else max(1, min(size, allowed))
        while self._fixed is None and self._size >= 2 * self._ceiling:
            self._size //= 2
            self._votes = 0

    def _wish(self, fixed_share: float) -> int:
        """1 to grow, -1 to shrink, 0 to stay."""
        of_deadline = self._latency_s / self._deadline_s
        if self._size < self._ceiling and of_deadline < _LATENCY_GROWS and fixed_share > _SHARE_GROWS:
            return 1
        if self._size > 1 and (of_deadline > _LATENCY_SHRINKS or fixed_share < _SHARE_SHRINKS):
            return -1
        return 0

    @property
    def _allowed_s(self) -> float:
        """The longest linger that the deadline allows."""
        left_s = self._deadline_s - _CALLS_IN_DEADLINE * self._latency_s
        share_s = min(self._deadline_s * _LINGER_SHARE, left_s)
        return min(BATCH_LINGER_SECONDS_MAX, max(share_s, self._deadline_s * _LINGER_SHARE_MIN))

    def _faded(self, now_s: float) -> float:
        return self._recent * math.exp(-max(0.0, now_s - self._arrived_at_s) / _RATE_SECONDS)


def _at_size(share: float, messages: int, size: int) -> float:
    """The fixed share that a call of `messages` had, as one of `size` would have it."""
    if share >= 1:
        return share
    fixed = share / (1 - share) * messages  # in messages' worth
    return fixed / (fixed + size)
