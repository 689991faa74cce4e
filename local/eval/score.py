"""How good decisions are against gold: accuracy, precision, recall and F1. Pure."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Judged:
    """One message with both answers. `unit` groups messages that are scored as one, as the lines of a block."""

    gold: str
    label: str
    unit: Hashable


@dataclass(frozen=True, slots=True)
class Score:
    """Shares between 0 and 1; precision, recall and F1 are None where no class is the positive one, or none was met."""

    units: int
    accuracy: float
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None


def score(judged: Sequence[Judged], positive: str | None) -> Score:
    """With a positive class, a unit is positive where any of its messages is (gold and decision alike).

    Accuracy is by message where there is no positive class, else by unit.
    """
    if not judged:
        return Score(0, 0.0)
    if positive is None:
        return Score(len(judged), sum(one.gold == one.label for one in judged) / len(judged))
    gold = _positive_units(((one.unit, one.gold) for one in judged), positive)
    raised = _positive_units(((one.unit, one.label) for one in judged), positive)
    units = {one.unit for one in judged}
    both = len(gold & raised)
    if not gold | raised:
        return Score(len(units), 1.0)  # nothing to find and nothing raised: no share of nothing
    precision = both / len(raised) if raised else 0.0
    recall = both / len(gold) if gold else 0.0
    return Score(
        units=len(units),
        accuracy=1 - len(gold ^ raised) / len(units),
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / (precision + recall) if both else 0.0,
    )


def _positive_units(labels: Iterable[tuple[Hashable, str]], positive: str) -> set[Hashable]:
    return {unit for unit, label in labels if label == positive}
