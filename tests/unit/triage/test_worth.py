"""An escalation is made where it is worth its price: by hand, and as prices move."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors import worth
from processors.policy import Label, Tiers, Value

CLIMBING = {"routine": False, "alert": True, "noise": False, "fraud": True}

chances = st.floats(0, 1)
prices = st.floats(0.01, 10_000)


@pytest.mark.parametrize(
    ("label", "confidence", "expected"),
    [
        ("alert", 1.0, 1.0),
        ("alert", 0.7, 0.7 + 0.3 / 3),  # wrong, it is fraud in one case of three
        ("routine", 0.7, 0.3 * 2 / 3),  # wrong, it is alert or fraud in two of three
        ("routine", 1.0, 0.0),
        ("alert", None, 1.0),
    ],
)
def test_the_chance_that_a_message_has_to_climb(label: str, confidence: float | None, expected: float) -> None:
    assert worth.needed(label, confidence, CLIMBING) == pytest.approx(expected)


def test_the_gain_by_hand() -> None:
    found = worth.worth(0.12, Value(missed_usd=40, needless_usd=5), caught=0.9)
    assert found.gain_usd == pytest.approx(0.9 * 0.12 * 40 - 0.88 * 5)
    assert not found.pays(0.004)
    assert worth.worth(0.13, Value(missed_usd=40, needless_usd=5), caught=0.9).pays(0.004)


def test_overconfidence_is_taken_back() -> None:
    assert worth.calibrated(0.9, 1) == 0.9
    assert worth.calibrated(0.9, 2) == pytest.approx(0.75)  # log-odds log 9, halved: log 3
    assert worth.calibrated(1.0, 2) < 1
    assert worth.needed("routine", 0.99, CLIMBING, temperature=2) > worth.needed("routine", 0.99, CLIMBING)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (Label(means="a", escalate="mini"), True),
        (Label(means="a", escalate="never", severity="critical"), False),
        (Label(means="a", severity="error"), True),
        (Label(means="a", severity="warning"), False),
        (Label(means="a"), False),
    ],
)
def test_which_labels_have_to_climb(label: Label, expected: bool) -> None:
    assert worth.climbs(label) is expected


def test_an_escalation_costs_its_tiers_bound_until_more_is_known() -> None:
    assert worth.prices(Tiers()) == {"mini": 0.05, "flagship": 0.25}


@given(chances, prices, prices, prices, prices, prices)
def test_monotone_in_the_prices(
    needed: float, missed: float, dearer: float, needless: float, other: float, price: float
) -> None:
    """A dearer miss never stops an escalation; a dearer needless one, or a dearer agent, never starts one."""
    low, high = sorted((missed, dearer))
    less, more = sorted((needless, other))
    pays = worth.worth(needed, Value(missed_usd=low, needless_usd=more)).pays(price)
    assert not pays or worth.worth(needed, Value(missed_usd=high, needless_usd=more)).pays(price)
    assert not pays or worth.worth(needed, Value(missed_usd=low, needless_usd=less)).pays(price)
    assert not pays or worth.worth(needed, Value(missed_usd=low, needless_usd=more)).pays(price / 2)


@given(chances, chances, st.floats(1, 5))
def test_a_surer_label_says_more(one: float, other: float, temperature: float) -> None:
    low, high = sorted((one, other))
    assert (
        worth.needed("alert", low, CLIMBING, temperature=temperature)
        <= worth.needed("alert", high, CLIMBING, temperature=temperature) + 1e-12
    )
    assert (
        worth.needed("routine", high, CLIMBING, temperature=temperature)
        <= worth.needed("routine", low, CLIMBING, temperature=temperature) + 1e-12
    )
