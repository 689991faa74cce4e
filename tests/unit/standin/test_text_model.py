"""Texts that are not in gold: a model of the gold, or of the labels' descriptions."""

from typing import Any

from local.standin.gold import Gold
from local.standin.text_model import by_meaning, half_of, train

LABELS = ("alert", "routine")


def lines(count: int) -> list[dict[str, Any]]:
    return [
        {"payload": {"line": f"{what} on unit {number}"}, "label": label, "labels": {}, "file": "s"}
        for number in range(count)
        for label, what in (("alert", "disk failure"), ("routine", "job finished"))
    ]


def test_a_model_of_the_gold_labels_like_texts() -> None:
    model = train(Gold(lines(40)).records, LABELS, seed=0)
    assert model is not None
    assert model.label("another disk failure was seen on unit 977") == "alert"
    assert model.label("nightly job finished on unit 512") == "routine"


def test_a_record_is_not_judged_by_the_memory_of_itself() -> None:
    """A record's own words are known only to the model of the other half."""
    records = Gold(lines(40)).records
    odd = Gold([{"payload": {"line": "xyzzy plugh"}, "label": "alert", "labels": {}, "file": "s"}]).records[0]
    twin = next(record for record in records if half_of(record) == half_of(odd) and record.label == "routine")
    with_odd = train([*records, odd], LABELS, seed=0)
    assert with_odd is not None
    assert with_odd.label("xyzzy plugh xyzzy plugh") == "alert"
    without = train(records, LABELS, seed=0)
    assert without is not None
    assert with_odd.label("xyzzy plugh", odd) == without.label("xyzzy plugh", twin)


def test_no_model_of_gold_that_speaks_of_other_labels() -> None:
    assert train(Gold(lines(10)).records, ("spam", "ham"), seed=0) is None


def test_without_gold_the_descriptions_decide() -> None:
    meanings = {
        "alert": "A failure that an operator must see now",
        "routine": "Normal operation; no one needs to look",
    }
    assert by_meaning("kernel: EXT4-fs error (device sda1): aborted journal", meanings) == "alert"
    assert by_meaning("zzz qqq", meanings) == "routine"
