"""Faults on request: what tests and benches make the provider do."""

import random
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, get_args

FaultKind = Literal[
    "timeout",  # never answers
    "slow",  # answers `seconds` later
    "server_error",  # `status`
    "reset",  # the connection is cut
    "garbage_body",  # 200 with bytes that are no JSON
    "garbage_text",  # a proper answer whose text is no JSON
    "refusal",  # the model declines
    "missing_item",
    "extra_item",
    "duplicate_item",
    "invalid_item",  # a label that the schema does not have
    "account_spent",  # 429 with the billing code `code`
    "rate_limited",  # 429, wait `seconds`
    "slow_down",  # 429, wait `seconds`
    "flex_unavailable",  # 429 of the flex lane, on any lane
    "wrong_key",  # 401
    "batch_refused",  # a Batch job fails before it begins: its model's queue is full
    "batch_invalid",  # a Batch job fails before it begins: its input is refused
    "batch_expired",  # a Batch job expires with half of its lines done
    "batch_line_error",  # a line of a Batch job fails with `status`, unpaid
]
KINDS: tuple[str, ...] = get_args(FaultKind)
OF_CALLS = tuple(kind for kind in KINDS if not kind.startswith("batch_"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Happens to each call with `probability`, at most `count` times (None: without end), to `model` (None: any).

    `/v1/files` and `/v1/batches` are struck as the models `files` and `batches`.
    """

    kind: FaultKind
    probability: float = 1.0
    count: int | None = None
    model: str | None = None
    seconds: float = 1.0
    status: int = 503
    code: str = "credit_balance_exhausted"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"'{self.kind}' is no fault: use one of {', '.join(KINDS)}")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"a probability is between 0 and 1, not {self.probability}")


class Faults:
    """The faults in force; of those that fit a call, the first that strikes is taken."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"faults {seed}")
        self._waiting: list[tuple[Fault, int | None]] = []

    def add(self, fault: Fault) -> None:
        self._waiting.append((fault, fault.count))

    def clear(self) -> None:
        self._waiting.clear()

    def strike(self, model: str, kinds: Collection[str] = OF_CALLS) -> Fault | None:
        """The fault of this call, if any; its count goes down."""
        for index, (fault, left) in enumerate(self._waiting):
            if (
                fault.kind not in kinds
                or fault.model not in (None, model)
                or self._random.random() >= fault.probability
            ):
                continue
            if left is not None:
                self._waiting[index] = (fault, left - 1)
                if left <= 1:
                    del self._waiting[index]
            return fault
        return None


def break_items(value: Any, kind: str) -> Any:
    """The answer with its first list of objects one short, one long, one twice, or with one wrong label."""
    if not isinstance(value, dict):
        return value
    for name, items in value.items():
        if not (isinstance(items, list) and items and (isinstance(items[0], dict) or len(value) == 1)):
            continue
        last = items[-1]
        if kind == "missing_item":
            items = items[:-1]
        elif kind == "extra_item":
            items = [*items, _renamed(last)]
        elif kind == "duplicate_item":
            items = [*items, last]
        elif kind == "invalid_item":
            items = [*items[:-1], _mislabelled(last)]
        return value | {name: items}
    return value


def _renamed(item: Any) -> Any:
    """The item with an id that nothing has: digits written as codes get another first one."""
    if isinstance(item, str):
        return str((int(item[0]) + 1) % 10) + item[1:] if item[:1].isdecimal() else item
    return item | ({"verdict": _renamed(item["verdict"])} if "verdict" in item else {"id": "zz00"})


def _mislabelled(item: Any) -> Any:
    if isinstance(item, str):
        return re.sub(r"[A-Z]+", "?", item)
    return item | ({"verdict": _mislabelled(item["verdict"])} if "verdict" in item else {"label": "no such label"})
