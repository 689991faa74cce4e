"""Which of the provider's lanes an ask goes by: the cheapest that meets its deadline."""

from collections.abc import Collection, Mapping

from topics.limits import BATCH_DEADLINE_SECONDS_MIN, FLEX_DEADLINE_SECONDS_MIN
from topics.messages import Lane

# Flex and batch cost the same. Batch comes first where there is time: it has limits of its own, and leaves the others'.
DEADLINES: Mapping[Lane, float] = {
    "batch": BATCH_DEADLINE_SECONDS_MIN,
    "flex": FLEX_DEADLINE_SECONDS_MIN,
    "realtime": 0.0,
}
"""The nearest deadline in seconds that each lane is used for, the cheapest lane first."""


def lane_of(deadline_s: float | None, lanes: Collection[Lane], deadlines: Mapping[Lane, float] = DEADLINES) -> Lane:
    """`deadline_s`: from now until the answer is of use; None: now. `realtime` is always there."""
    left_s = deadline_s or 0.0
    return next((lane for lane, nearest_s in deadlines.items() if lane in lanes and left_s >= nearest_s), "realtime")


def billed(asked: Lane, service_tier: str | None) -> Lane:
    """The lane whose price a call has: what the response says, else the one that was asked for.

    A Batch job's lines may say `default`; the job's price is the same for all of them.
    """
    if asked == "batch" or service_tier is None:
        return asked
    return "flex" if service_tier == "flex" else "realtime"
