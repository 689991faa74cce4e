"""How much surer nano says it is than it is."""

import math
import random

import orjson
import pytest

from processors.quality.calibration import Calibration


def heard(temperature: float, audits: int, calibration: Calibration | None = None, seed: int = 1) -> Calibration:
    """After audits of answers whose log-odds are stated so many times too high."""
    draw, calibration = random.Random(seed), calibration or Calibration()
    for _ in range(audits):
        log_odds = draw.gauss(1.5, 0.8)
        right = draw.random() < 1 / (1 + math.exp(-log_odds))
        calibration.add(1 / (1 + math.exp(-log_odds * temperature)), right)
    return calibration


@pytest.mark.parametrize("temperature", [0.8, 1.0, 2.0, 3.5])
def test_it_finds_the_temperature(temperature: float) -> None:
    assert heard(temperature, 4_000).temperature == pytest.approx(temperature, rel=0.12)


def test_after_few_audits_models_are_taken_at_their_word() -> None:
    assert heard(3.0, 190).temperature == 1.0


def test_a_model_that_changes_is_found_out() -> None:
    assert heard(1.0, 12_000, heard(3.0, 4_000), seed=2).temperature < 1.5


def test_what_is_kept_goes_on_as_it_was() -> None:
    one = heard(2.0, 1_010)
    other = Calibration.load(orjson.loads(orjson.dumps(one.dump())))
    assert other.temperature == one.temperature
    assert heard(1.0, 500, one, seed=3).temperature == heard(1.0, 500, other, seed=3).temperature


@pytest.mark.parametrize("confidence", [0.0, 1.0])
def test_no_confidence_is_too_high_or_too_low(confidence: float) -> None:
    calibration = Calibration()
    for _ in range(1_000):
        calibration.add(confidence, True)
    assert 0.5 <= calibration.temperature <= 6
