"""errors.toml: read, checked, hashed."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.eval.virtual import EPOCH_S
from local.standin.error_profile import DEFAULT_PROFILE, load_profile


def changed(tmp_path: Path, old: str, new: str) -> Path:
    text = DEFAULT_PROFILE.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "errors.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def test_the_hash_is_of_the_values_not_of_the_wording(tmp_path: Path) -> None:
    reworded = changed(tmp_path, "# How the stand-in's answers err.", "# Other words.")
    assert load_profile(reworded).hash == load_profile().hash
    assert load_profile(changed(tmp_path, "nano = 0.06", "nano = 0.07")).hash != load_profile().hash


def test_the_steady_profile_is_another() -> None:
    steady = load_profile(Path(__file__).parents[3] / "bench" / "errors" / "steady.toml")
    assert steady.name == "steady"
    assert steady.persistent > load_profile().persistent
    assert steady.tiers["nano"] < load_profile().tiers["nano"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("nano = 0.06", "nano = 6", "tiers.nano = 6 is not between 0 and 1"),
        ("auroc = 0.78", "auroc = 0.4", "confidence.auroc = 0.4"),
        ("obedience = 0", "obedience = 2", "injection.obedience = 2 is not 0 or 1"),
        ("temperature = 2.0", "temperature = 0", "confidence.temperature = 0 is not above 0"),
        ("neighbour = 0.005", "", "'neighbour' is missing"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        load_profile(changed(tmp_path, old, new))


def test_drift_begins_at_its_time(tmp_path: Path) -> None:
    profile = load_profile(changed(tmp_path, "from = 2027-02-01", "from = 2026-11-23T00:00:20Z"))
    assert profile.drift_at("nano", EPOCH_S + 19) == (1.0, 0.0), "within a run of eval --compare"
    assert profile.drift_at("nano", EPOCH_S + 20) == (1.5, 0.2)
    with pytest.raises(ValueError, match=r"drift\.from = 'soon' is no date"):
        load_profile(changed(tmp_path, "from = 2027-02-01", 'from = "soon"'))


def test_drift_begins_on_its_day() -> None:
    profile = load_profile()
    before = datetime(2027, 1, 31, 23, 59, tzinfo=UTC).timestamp()
    assert profile.drift_at("nano", before) == (1.0, 0.0)
    assert profile.drift_at("nano", before + 120) == (1.5, 0.2)
    assert profile.drift_at("mini", before + 120) == (1.0, 0.0)
