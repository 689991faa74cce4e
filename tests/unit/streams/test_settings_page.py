"""The page of the settings is what the types say."""

import json
from pathlib import Path

import pytest

from streams import settings, settings_page

MINIMAL = Path(__file__).parents[3] / "examples" / "minimal.toml"


def test_the_page_is_up_to_date() -> None:
    committed = (Path(__file__).parents[3] / "docs" / "settings.md").read_text(encoding="utf-8")
    assert committed == settings_page.page(), "run: python -m streams.settings_page > docs/settings.md"


@pytest.mark.parametrize(("key", "value"), settings_page.REFUSED)
def test_what_the_page_calls_refused_is_refused(key: str, value: str, tmp_path: Path) -> None:
    path = tmp_path / "sluice.toml"
    is_list = key == "agents.tools"
    path.write_text(f"{key} = {f'[{value}]' if is_list else value}\n{MINIMAL.read_text()}")
    with pytest.raises(settings.PolicyInvalid) as caught:
        settings.load(path)
    told = {each.where: each.what for each in caught.value.problems}
    assert str(json.loads(value)) in told[f"{key}.0" if is_list else key]
